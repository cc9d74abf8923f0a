"""Writing the files of a Hugging Face folder."""

import json
import struct

import numpy as np

DTYPES = {"float32": ("F32", 4), "float16": ("F16", 2), "bfloat16": ("BF16", 2)}


def encode(x, dtype):
    """Return the bytes of a float array in a stored dtype, little endian. Finite values only."""
    if dtype == "bfloat16":  # numpy has none: round the upper half of the f32 to nearest even
        u = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
        return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype("<u2").tobytes()
    return np.ascontiguousarray(x, dtype={"float32": "<f4", "float16": "<f2"}[dtype]).tobytes()


def save_safetensors(path, tensors, dtype):
    """Write name -> float array: u64 length of the header, the header in JSON, the data by name."""
    code, size = DTYPES[dtype]
    names = sorted(tensors)
    header, begin = {"__metadata__": {"format": "pt"}}, 0
    for name in names:
        end = begin + tensors[name].size * size
        header[name] = {"dtype": code, "shape": list(tensors[name].shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            f.write(encode(tensors[name], dtype))


def save_json(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=2, ensure_ascii=False)
        f.write("\n")


def added_tokens(tokens):
    """The added tokens of a tokenizer.json in the form of tokenizer_config.json."""
    return {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in tokens}
