"""Speaks phrases with the free voices of espeak-ng, flite and festival, at 16 kHz.

    python voices.py --count 60000 --output speech.npz

Voices are split by name: those of the test never speak in the training set.
"""

import argparse
import random
import subprocess
import tempfile
import wave
from math import gcd
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

import phrases

RATE = 16_000
ACCENTS = "en-us en-us en-us en-gb en-gb en-gb-x-rp en-gb-scotland en-gb-x-gbclan en-gb-x-gbcwmd en-029 en-us-nyc".split()
VARIANTS = """adam Alex Alicia Andrea Andy Annie antonio aunty belinda benjamin boris caleb david Denis Diogo ed edward edward2 Gene Gene2 gustave Henrique Hugo iven
iven2 iven3 iven4 Jacky john kaukovalta Lee linda marcelo Marco Mario max Michael michel miguel Mike Mr Nguyen norbert pablo paul pedro quincy rob robert sandro shelby
steph steph2 steph3 travis victor zac anika f1 f2 f3 f4 f5 m1 m2 m3 m4 m5 m6 m7 m8 grandma grandpa klatt klatt2 klatt3 klatt4 klatt5 klatt6""".split()
TEST_VARIANTS = "Annie caleb f4 m6 klatt3 steph2 Mike grandma Denis".split()
FESTIVAL = "kal_diphone ked_diphone cmu_us_slt_arctic_hts".split()


def choose(r, test):
    """Return the engine and the voice of one utterance."""
    if test:
        return ("flite", "awb") if r.random() < 0.3 else ("espeak-ng", f"{r.choice(ACCENTS)}+{r.choice(TEST_VARIANTS)}")
    p = r.random()
    if p < 0.55:
        return "espeak-ng", f"{r.choice(ACCENTS)}+{r.choice([v for v in VARIANTS if v not in TEST_VARIANTS])}"
    if p < 0.85:
        return "flite", r.choice("kal16 rms rms slt slt".split())
    return "festival", r.choice(FESTIVAL)


def spell(text, a):
    """Write single letters so that every engine says their names; `a` is how to write the letter a."""
    words = text.split()
    single = [len(w) == 1 for w in words]
    for i, word in enumerate(words):
        alone = not (i and (single[i - 1] or words[i - 1] == "letter")) and not (i + 1 < len(words) and single[i + 1])
        if single[i] and not (alone and word in "ai"):
            words[i] = a if word == "a" else word.upper()
    return " ".join(words)


def read_wave(path):
    with wave.open(str(path)) as f:
        rate, samples = f.getframerate(), np.frombuffer(f.readframes(f.getnframes()), "<i2")
    if rate != RATE:
        g = gcd(rate, RATE)
        samples = resample_poly(samples.astype(np.float32), RATE // g, rate // g).clip(-32768, 32767).astype(np.int16)
    return trim(samples)


def trim(samples):
    """Cut the silence before and after the words."""
    loud = np.flatnonzero(np.abs(samples) > 200)
    return samples[max(0, loud[0] - 400):loud[-1] + 1200] if len(loud) else samples[:0]


def say(job):
    """Speak one batch of utterances of one engine; return (text, voice, samples) of each."""
    seed, count, test = job
    r, out, festival = random.Random(f"{seed} {test}"), [], {}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(count):
            text, (engine, voice), path = phrases.phrase(r), choose(r, test), Path(folder) / f"{i}.wav"
            if engine == "espeak-ng":
                spoken = spell(text, "[['eI]]")
                if r.random() < 0.3 and len(spoken.split()) > 1:
                    words = spoken.split()
                    words[r.randrange(len(words) - 1)] += ","
                    spoken = " ".join(words)
                subprocess.run(["espeak-ng", "-v", voice, "-s", str(r.randint(110, 220)), "-p", str(r.randint(15, 85)), "-w", path, spoken], capture_output=True)
            elif engine == "flite":
                subprocess.run(["flite", "-voice", voice, "--setf", f"duration_stretch={r.uniform(0.75, 1.35):.2f}", "-t", spell(text, "ay"), "-o", path], capture_output=True)
            else:
                festival.setdefault(voice, []).append(f"(Parameter.set 'Duration_Stretch {r.uniform(0.75, 1.35):.2f}) (utt.save.wave (utt.synth (Utterance Text \"{spell(text, 'ay')}\")) \"{path}\" 'riff)")
            out.append((text, f"{engine} {voice}", path))
        for voice, lines in festival.items():
            script = Path(folder) / "say.scm"
            script.write_text("\n".join([f"(voice_{voice})", *lines]))
            subprocess.run(["festival", "--batch", script], capture_output=True)
        return [(text, voice, samples) for text, voice, path in out if path.exists() and 1600 < len(samples := read_wave(path)) < 12 * RATE]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60_000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--output", required=True)
    args = parser.parse_args()
    out = {}
    with Pool(args.processes) as pool:
        for name, total, test in (("train", args.count, False), ("test", args.test, True)):
            said = [u for part in pool.imap_unordered(say, [(seed, 50, test) for seed in range(total // 50)]) for u in part]
            said.sort(key=lambda u: u[:2])
            texts, voices, samples = zip(*said)
            out |= {f"{name}_texts": np.array(texts), f"{name}_voices": np.array(voices), f"{name}_lengths": np.array([len(s) for s in samples]), f"{name}_samples": np.concatenate(samples)}
            print(f"{name}: {len(said)} utterances, {sum(map(len, samples)) / RATE / 3600:.1f} hours", flush=True)
    np.savez(args.output, **out)


if __name__ == "__main__":
    main()
