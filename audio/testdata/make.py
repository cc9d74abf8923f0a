#!/usr/bin/env python3
"""Write this folder's sound files and what transformers and ffmpeg make of them.

    python make.py OUT GOLDENS

GOLDENS holds audio/. Needs numpy, torch, transformers and the program ffmpeg
with libmp3lame. The same versions give the same files.
"""

import json
import shutil
import subprocess
import sys
import wave
import zlib
from pathlib import Path

import numpy as np
from transformers import WhisperFeatureExtractor

out, goldens = map(Path, sys.argv[1:])
out.mkdir(exist_ok=True)


def read(path):
    with wave.open(str(path)) as w:
        return np.frombuffer(w.readframes(w.getnframes()), "<i2").astype(np.float32) / 32768


def write(name, x, rate):
    with wave.open(str(out / name), "wb") as w:
        w.setnchannels(x.shape[1])
        w.setsampwidth(2)
        w.setframerate(rate)
        w.writeframes((x * 32767).round().astype("<i2").tobytes())


def ffmpeg(*args):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, args)], check=True)


# Features, rounded to 2^-16 so that they compress.
for name in ("tiny-0.wav", "librivox-0880.wav"):
    shutil.copyfile(goldens / "audio" / name, out / name)
short, speech = read(out / "tiny-0.wav"), read(out / "librivox-0880.wav")
cases, blob = [], bytearray()
for files, config, whole in (
    (["tiny-0.wav"], {"chunk_length": 3}, False),
    (["tiny-0.wav"], {"feature_size": 128, "chunk_length": 2}, False),
    (["librivox-0880.wav"], {}, False),
    (["librivox-0880.wav"], {"chunk_length": 2}, False),  # cut
    (["librivox-0880.wav", "tiny-0.wav", "librivox-0880.wav"], {"chunk_length": 3}, True),
):
    x = np.concatenate([read(out / f) for f in files])
    options = {"truncation": False, "padding": "longest"} if whole else {}
    f = WhisperFeatureExtractor(**config)(
        x, sampling_rate=16000, return_tensors="np", **options
    ).input_features[0]
    f = (np.round(f.astype(np.float64) * 65536) / 65536).astype("<f4")
    cases.append(
        {
            "files": files,
            "config": config,
            "whole": whole,
            "mels": f.shape[0],
            "frames": f.shape[1],
            "offset": len(blob) // 4,
        }
    )
    blob += f.tobytes()
(out / "features.json").write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n")
(out / "features.f32").write_bytes(zlib.compress(bytes(blob), 9))

# A quarter of a second of two sweeps, in the formats that are read.
rate = 44100
t = np.arange(rate // 4) / rate
sweep = np.stack(
    [0.4 * np.sin(2 * np.pi * (200 * t + 3000 * t * t)), 0.3 * np.sin(2 * np.pi * (900 * t + 1500 * t * t))],
    1,
)
write("sweep.wav", sweep, rate)
src = out / "sweep.wav"
ffmpeg("-i", src, out / "sweep16.flac")
ffmpeg("-i", src, "-af", "volume=0.7", "-sample_fmt", "s32", "-ar", "48000", out / "sweep24.flac")
ffmpeg("-i", src, "-ac", 1, out / "mono.flac")
ffmpeg("-i", src, "-b:a", "64k", out / "stereo44100.mp3")
ffmpeg("-i", src, "-q:a", 4, "-id3v2_version", 3, "-metadata", "title=" + "x" * 300, out / "vbr44100.mp3")
ffmpeg("-i", src, "-ac", 1, "-b:a", "32k", "-write_xing", 0, "-id3v2_version", 0, out / "plain44100.mp3")
for r in (16000, 22050, 24000):
    ffmpeg("-i", src, "-ar", r, "-ac", 1, "-b:a", "24k", out / f"mono{r}.mp3")
ffmpeg("-i", src, "-ar", 22050, "-q:a", 0, out / "vbr22050.mp3")  # frames of the highest bit rate
ffmpeg("-i", src, "-ar", 11025, "-ac", 1, "-b:a", "16k", out / "mpeg25.mp3")
ffmpeg("-i", src, "-fflags", "+bitexact", "-c:a", "libopus", "-b:a", "64k", out / "stereo.opus")
ffmpeg(
    "-i",
    out / "tiny-0.wav",
    "-t",
    "0.3",
    "-fflags",
    "+bitexact",
    "-c:a",
    "libopus",
    "-b:a",
    "16k",
    "-application",
    "voip",
    out / "speech.opus",
)
for f in sorted(out.glob("*.flac")) + sorted(out.glob("*.mp3")) + sorted(out.glob("*.opus")):
    if f.name != "mpeg25.mp3":
        decoder = ["-c:a", "libopus"] if f.suffix == ".opus" else []
        pcm = subprocess.run(
            ["ffmpeg", "-v", "error", *decoder, "-i", f, "-f", "f32le", "-"], capture_output=True, check=True
        ).stdout
        channels = 1 if f.name.startswith(("mono", "plain", "speech")) else 2
        x = np.frombuffer(pcm, "<f4").reshape(-1, channels).mean(1, dtype=np.float32)
        (out / (f.name + ".pcm")).write_bytes(
            zlib.compress((x * (1 << 23)).round().astype("<i4").tobytes(), 9)
        )
# Headers as programs write them to a pipe.
pipe = subprocess.run(
    ["ffmpeg", "-v", "error", "-i", src, "-t", "0.02", "-f", "wav", "-"], capture_output=True, check=True
).stdout
(out / "pipe.wav").write_bytes(pipe)
for codec in ("pcm_alaw", "pcm_mulaw"):
    ffmpeg("-i", src, "-t", "0.05", "-ac", 1, "-ar", 8000, "-c:a", codec, out / f"{codec}.wav")
    pcm = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", out / f"{codec}.wav", "-f", "s16le", "-"],
        capture_output=True,
        check=True,
    ).stdout
    (out / f"{codec}.s16").write_bytes(pcm)
