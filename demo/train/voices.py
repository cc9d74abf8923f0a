"""Speaks phrases with the free voices of espeak-ng, flite and festival, at 16 kHz.

    python voices.py --count 150000 --output speech.npz

Voices are split by name: those of the test never speak in the training set. To the variants that espeak-ng brings,
training adds some that chance makes: other throats, pitches and timbres.
"""

import argparse
import os
import random
import shutil
import subprocess
import tempfile
import time
import wave
from collections import Counter
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
DRAWN = 180  # variants of espeak-ng that chance makes; it holds 350 voices at most


def choose(r, test):
    """Return the engine and the voice of one utterance."""
    if test:
        return ("flite", "awb") if r.random() < 0.3 else ("espeak-ng", f"{r.choice(ACCENTS)}+{r.choice(TEST_VARIANTS)}")
    p = r.random()
    if p < 0.25:
        return "espeak-ng", f"{r.choice(ACCENTS)}+{r.choice([v for v in VARIANTS if v not in TEST_VARIANTS])}"
    if p < 0.58:
        return "espeak-ng", f"{r.choice(ACCENTS)}+drawn{r.randrange(DRAWN)}"
    if p < 0.85:
        return "flite", r.choice("kal16 rms rms slt slt".split())
    return "festival", "ked_diphone" if p < 0.96 else "cmu_us_slt_arctic_hts"


def draw_variant(i):
    """The text of a variant of espeak-ng: formants (frequency, strength, width in percent), pitch and timbre."""
    r = random.Random(f"variant {i}")
    percent = lambda mean, deviation, low, high: round(min(high, max(low, r.gauss(mean, deviation))))
    low, throat = r.uniform(60, 190), r.gauss(100, 8)
    lines = ["language variant", f"name drawn{i}", f"pitch {low:.0f} {low * r.uniform(1.15, 1.9):.0f}", f"flutter {r.randint(0, 12)}", f"roughness {r.randint(0, 3)}"]
    for formant in range(9):
        strength = (100, 25, 50, 170) if formant < 4 else (85, 40, 0, 170)
        lines.append(f"formant {formant} {percent(throat, 6, 75, 135)} {percent(*strength)} {percent(105, 25, 50, 170)}")
    for share, line in ((0.5, f"voicing {r.randint(30, 130)}"), (0.5, f"consonants {r.randint(50, 130)} {r.randint(50, 130)}"), (0.2, f"klatt {r.choice((1, 2, 4, 5, 6))}"),
                        (0.2, "breath 0 " + " ".join(str(r.randint(1, 4)) for _ in range(7))), (0.2, f"echo {r.randint(40, 150)} {r.randint(5, 20)}"), (0.3, f"intonation {r.randint(1, 4)}"),
                        (0.3, f"tone 600 {r.randint(120, 255)} 1200 {r.randint(80, 255)} 2000 {r.randint(60, 255)}")):
        if r.random() < share:
            lines.append(line)
    return "\n".join(lines) + "\n"


def foreign(folder, names):
    """What English does without, of a folder of espeak-ng's data."""
    return [n for n in names if (n.endswith("_dict") and n != "en_dict") or (Path(folder).name == "lang" and n != "gmw") or n in ("mb", "mbrola_ph")]


def add_variants(folder):
    """Copy the English data of espeak-ng into folder, with the drawn variants, and let it read them there."""
    try:
        version = subprocess.run(["espeak-ng", "--version"], capture_output=True, text=True).stdout
        data = folder / "espeak-ng-data"
        shutil.copytree(version.split("Data at:")[1].strip(), data, ignore=foreign)
    except (OSError, IndexError) as error:
        print(f"espeak-ng does not run: {error}", flush=True)
        return
    for i in range(DRAWN):
        (data / "voices" / "!v" / f"drawn{i}").write_text(draw_variant(i))
    os.environ["ESPEAK_DATA_PATH"] = str(folder)


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
    """The samples of a file; none if the engine wrote nothing that can be read."""
    try:
        with wave.open(str(path)) as f:
            rate, samples = f.getframerate(), np.frombuffer(f.readframes(f.getnframes()), "<i2")
    except (OSError, EOFError, wave.Error):
        return np.zeros(0, np.int16)
    if rate != RATE:
        g = gcd(rate, RATE)
        samples = resample_poly(samples.astype(np.float32), RATE // g, rate // g).clip(-32768, 32767).astype(np.int16)
    return trim(samples)


def trim(samples):
    """Cut the silence before and after the words."""
    loud = np.flatnonzero(np.abs(samples) > 200)
    return samples[max(0, loud[0] - 400):loud[-1] + 1200] if len(loud) else samples[:0]


def run(*command):
    """Run an engine. One that is missing, fails or hangs costs only its utterances: their files are not there."""
    try:
        subprocess.run(command, capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        pass


def say(job):
    """Speak one batch of utterances; return (text, voice, kind, samples) of each, without samples where the engine failed."""
    seed, count, test = job
    r, out, festival = random.Random(f"{seed} {test}"), [], {}
    shares = phrases.EVERYDAY if test else phrases.TRAINING
    with tempfile.TemporaryDirectory() as folder:
        for i in range(count):
            (kind, text), (engine, voice), path = phrases.draw(r, shares), choose(r, test), Path(folder) / f"{i}.wav"
            if engine == "espeak-ng":
                spoken = spell(text, "[['eI]]")
                if r.random() < 0.3 and len(spoken.split()) > 1:
                    words = spoken.split()
                    words[r.randrange(len(words) - 1)] += ","
                    spoken = " ".join(words)
                run("espeak-ng", "-v", voice, "-s", str(r.randint(110, 220)), "-p", str(r.randint(15, 85)), "-w", path, spoken)
            elif engine == "flite":
                stretch = f"duration_stretch={r.uniform(0.75, 1.35):.2f}"
                pitch = [] if test else ["--setf", f"f0_shift={r.uniform(0.75, 1.35):.2f}"]
                run("flite", "-voice", voice, "--setf", stretch, *pitch, "-t", spell(text, "ay"), "-o", path)
            else:
                stretch, pitch = r.uniform(0.75, 1.35), r.uniform(75, 180)
                festival.setdefault(voice, []).append(
                    f"(Parameter.set 'Duration_Stretch {stretch:.2f}) (set! int_lr_params '((target_f0_mean {pitch:.0f}) (target_f0_std {pitch / 7:.0f}) (model_f0_mean 170) (model_f0_std 34)))"
                    f"(utt.save.wave (utt.synth (Utterance Text \"{spell(text, 'ay')}\")) \"{path}\" 'riff)")
            out.append((text, f"{engine} {voice}", kind, path))
        for voice, lines in festival.items():
            script = Path(folder) / "say.scm"
            script.write_text("\n".join([f"(voice_{voice})", *lines]))
            run("festival", "--batch", script)
        return [(*words, read_wave(path)) for *words, path in out]


def speak(pool, total, test, seconds):
    """The utterances of one side, in the order of their seeds, as many as are spoken in the time."""
    asked, spoken, begin = Counter(), [], time.monotonic()
    for part in pool.imap(say, [(seed, 50, test) for seed in range(total // 50)]):
        for utterance in part:
            engine = utterance[1].split()[0]
            asked[engine] += 1
            if 1600 < len(utterance[-1]) < 12 * RATE:
                spoken.append(utterance)
        if time.monotonic() - begin > seconds:
            print(f"stopped after {seconds:.0f} s", flush=True)
            break
    said = Counter(u[1].split()[0] for u in spoken)
    print(f"{'test' if test else 'train'}: {len(spoken)} utterances, {sum(len(u[-1]) for u in spoken) / RATE / 3600:.1f} hours, {time.monotonic() - begin:.0f} s; "
          + ", ".join(f"{engine} {said[engine]} of {count} asked" for engine, count in sorted(asked.items())), flush=True)
    return sorted(spoken, key=lambda u: u[:2])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=150_000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop then, with fewer utterances")
    parser.add_argument("--output", required=True)
    args = parser.parse_args()
    out = {}
    with tempfile.TemporaryDirectory() as folder:
        add_variants(Path(folder))
        with Pool(args.processes) as pool:
            sides = {"test": speak(pool, args.test, True, float("inf")), "train": speak(pool, args.count, False, args.seconds)}
    for side, said in sides.items():
        texts, voices, kinds, samples = zip(*said)
        out |= {f"{side}_texts": np.array(texts), f"{side}_voices": np.array(voices), f"{side}_kinds": np.array(kinds),
                f"{side}_lengths": np.array([len(s) for s in samples]), f"{side}_samples": np.concatenate(samples)}
    np.savez(args.output, **out)


if __name__ == "__main__":
    main()
