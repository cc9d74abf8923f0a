#!/usr/bin/env python3
"""Write this folder's images and what Pillow and transformers make of them.

    python make.py OUT GOLDENS

GOLDENS holds images/ and tiny/tiny-vit.safetensors. Needs numpy, pillow 13,
transformers, safetensors and the program cjpeg. The same versions give the same files.
"""

import io
import json
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from safetensors.numpy import load_file
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

out, goldens = map(Path, sys.argv[1:])
out.mkdir(exist_ok=True)
rng = np.random.default_rng(7)


def smooth(w, h, n=3, seed=0):
    r = np.random.default_rng(seed)
    y, x = np.mgrid[0:h, 0:w]
    img = np.zeros((h, w, n))
    for c in range(n):
        for _ in range(4):
            fx, fy, p, a = (
                r.uniform(-0.35, 0.35),
                r.uniform(-0.35, 0.35),
                r.uniform(0, 6.28),
                r.uniform(20, 60),
            )
            img[..., c] += a * np.sin(fx * x + fy * y + p)
    img += 128
    img[h // 3 : h // 2, w // 4 : w // 2] = r.uniform(0, 255, n)
    return np.clip(img + r.normal(0, 6, img.shape), 0, 255).astype(np.uint8)


def chunk(t, d):
    return struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d))


def png(a, depth, ct, extra=b""):
    a = np.asarray(a)
    h, w = a.shape[:2]
    if depth == 16:
        rows = [a[y].astype(">u2").tobytes() for y in range(h)]
    elif depth == 8:
        rows = [a[y].astype("u1").tobytes() for y in range(h)]
    else:
        rows = []
        for y in range(h):
            bits = "".join(format(int(v), f"0{depth}b") for v in a[y])
            bits += "0" * (-len(bits) % 8)
            rows.append(bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, ct, 0, 0, 0))
        + extra
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + r for r in rows), 9))
        + chunk(b"IEND", b"")
    )


def save(im, fmt, **kw):
    b = io.BytesIO()
    im.save(b, fmt, **kw)
    return b.getvalue()


def exif(o):
    e = Image.Exif()
    e[274] = o
    return e


files = {}
rgb = Image.fromarray(smooth(31, 22, seed=1))
grey = Image.fromarray(smooth(31, 22, 1, seed=2)[..., 0])
rgba = Image.fromarray(np.dstack([smooth(31, 22, seed=3), smooth(31, 22, 1, seed=4)[..., 0] // 2]), "RGBA")
files["rgb.png"] = save(rgb, "PNG")
files["rgba.png"] = save(rgba, "PNG")
files["la.png"] = save(rgba.convert("LA"), "PNG")
files["grey.png"] = save(grey, "PNG")
files["grey-trns.png"] = save(grey, "PNG", transparency=100)
files["rgb-trns.png"] = save(rgb, "PNG", transparency=(10, 20, 30))
files["palette.png"] = save(rgb.quantize(13), "PNG")
files["palette-trns.png"] = save(rgb.quantize(13), "PNG", transparency=bytes([0, 128, 255, 3]))
files["exif-6.png"] = save(rgb, "PNG", exif=exif(6))
for d in (1, 2, 4):
    files[f"grey{d}.png"] = png(rng.integers(0, 1 << d, (5, 13)), d, 0)
v16 = rng.integers(0, 65536, (6, 9, 4))
small = rng.integers(0, 400, (6, 9))
files["grey16.png"] = png(small, 16, 0)
files["grey16-trns.png"] = png(small, 16, 0, chunk(b"tRNS", struct.pack(">H", int(small[2, 2]))))
files["la16.png"] = png(v16[..., :2], 16, 4)
files["rgb16.png"] = png(v16[..., :3], 16, 2)
files["rgba16.png"] = png(v16, 16, 6)
files["palette.gif"] = save(rgb.quantize(13), "GIF")
files["transparent.gif"] = save(rgb.quantize(13), "GIF", transparency=2)
files["interlaced.gif"] = save(rgb.quantize(13), "GIF", interlace=1)
frames = [rgb.quantize(13), rgb.transpose(0).quantize(13)]
b = io.BytesIO()
frames[0].save(b, "GIF", save_all=True, append_images=frames[1:], duration=50)
files["animated.gif"] = b.getvalue()


def offset_gif(trans):
    pal = bytes([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    s = b"GIF89a" + struct.pack("<HHBBB", 7, 5, 0x81, 1, 0) + pal
    if trans is not None:
        s += b"\x21\xf9\x04\x01\0\0" + bytes([trans]) + b"\0"
    s += b"\x2c" + struct.pack("<HHHHB", 1, 2, 3, 2, 0)
    acc = nb = 0
    data = bytearray()
    for c in [4, 2, 4, 3, 4, 1, 4, 2, 4, 3, 4, 0, 5]:
        acc |= c << nb
        nb += 3
        while nb >= 8:
            data.append(acc & 255)
            acc >>= 8
            nb -= 8
    if nb:
        data.append(acc)
    return s + b"\x02" + bytes([len(data)]) + bytes(data) + b"\0;"


files["offset.gif"] = offset_gif(None)
files["offset-transparent.gif"] = offset_gif(3)
big = Image.fromarray(smooth(61, 43, seed=5))
for name, sub in (("444", 0), ("422", 1), ("420", 2)):
    files[f"{name}.jpg"] = save(big, "JPEG", quality=85, subsampling=sub)
files["440.jpg"] = None
files["progressive.jpg"] = save(big, "JPEG", quality=85, progressive=True)
files["grey.jpg"] = save(grey, "JPEG", quality=90)
files["narrow.jpg"] = save(big.crop((0, 0, 4, 9)), "JPEG", quality=90, subsampling=2)
files["cmyk.jpg"] = save(Image.fromarray(smooth(29, 21, 4, seed=6), "CMYK"), "JPEG", quality=95)
for o in range(1, 9):
    files[f"exif-{o}.jpg"] = save(rgb, "JPEG", quality=90, subsampling=0, exif=exif(o))
files["lossless.webp"] = save(rgba, "WEBP", lossless=True, exact=True)
files["lossy.webp"] = save(big, "WEBP", quality=80)
files["lossy-alpha.webp"] = save(
    Image.fromarray(np.dstack([smooth(30, 23, seed=3), smooth(30, 23, 1, seed=4)[..., 0] // 2]), "RGBA"),
    "WEBP",
    quality=80,
)
files["exif-8.webp"] = save(rgb, "WEBP", quality=90, exif=exif(8))
# cjpeg writes what Pillow cannot: 4:4:0
ppm = b"P6 61 43 255\n" + big.tobytes()
files["440.jpg"] = subprocess.run(
    ["cjpeg", "-quality", "85", "-sample", "1x2"], input=ppm, capture_output=True, check=True
).stdout
# CMYK without the Adobe marker, and with the marker's transform set to YCCK
c = files["cmyk.jpg"]
i = c.index(b"\xff\xee")
n = struct.unpack(">H", c[i + 2 : i + 4])[0]
files["ycck.jpg"] = c[: i + 1 + n] + b"\2" + c[i + 2 + n :]
files["cmyk-bare.jpg"] = c[:i] + c[i + 2 + n :]
expected = {}
blob = bytearray()
for name, data in files.items():
    (out / name).write_bytes(data)
    im = Image.open(io.BytesIO(data))
    im = ImageOps.exif_transpose(im).convert("RGB")
    expected[name] = {"width": im.width, "height": im.height, "offset": len(blob)}
    blob += im.tobytes()
(out / "decoded.rgb").write_bytes(zlib.compress(bytes(blob), 9))
(out / "decoded.json").write_text(json.dumps(expected, indent=0) + "\n")
# resizing
src = Image.fromarray(smooth(61, 43, seed=5))
(out / "resize.png").write_bytes(save(src, "PNG", optimize=True))
cases, blob = [], bytearray()
for f in range(6):
    for w, h in (
        (24, 24),
        (61, 20),
        (17, 43),
        (90, 70),
        (7, 100),
        (100, 5),
        (1, 1),
        (61, 43),
        (60, 3),
        (33, 80),
    ):
        r = src.resize((w, h), f)
        d = r.tobytes()
        case = {"filter": f, "width": w, "height": h, "crc": zlib.crc32(d)}
        cases.append(case)
(out / "resize.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
# Image processors of transformers
cfgs = [
    json.loads((goldens / "models/tiny-vit/preprocessor_config.json").read_text()),
    {
        "size": 24,
        "do_normalize": True,
        "do_resize": True,
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.3, 0.5],
    },
    {"image_processor_type": "DeiTFeatureExtractor", "size": 40, "crop_size": 33, "do_center_crop": True},
    {
        "image_processor_type": "ViTImageProcessorFast",
        "size": {"shortest_edge": 30},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": 30, "width": 27},
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    },
    {
        "image_processor_type": "ViTImageProcessor",
        "size": {"shortest_edge": 20},
        "resample": 1,
        "do_center_crop": True,
        "crop_size": {"height": 25, "width": 40},
        "do_normalize": False,
    },
    {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": False,
        "do_center_crop": True,
        "crop_size": {"height": 90, "width": 31},
        "do_rescale": False,
        "do_normalize": False,
    },
    {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 20, "width": 31},
        "resample": 0,
        "rescale_factor": 0.01,
        "image_mean": 0.25,
        "image_std": 0.75,
    },
]
images = sorted((goldens / "images").iterdir())
gold = load_file(str(goldens / "tiny/tiny-vit.safetensors"))
blob = bytearray()
cases = []
for ci, c in enumerate(cfgs):
    cls = DeiTImageProcessorPil if "DeiT" in c.get("image_processor_type", "") else ViTImageProcessorPil
    p = cls(**{k: v for k, v in c.items() if k != "image_processor_type"})
    for i, path in enumerate(images):
        if ci and path.name.startswith("4"):
            continue
        x = np.asarray(p(Image.open(path).convert("RGB"))["pixel_values"][0], dtype=np.float32)
        if ci == 0:
            print(path.name, "golden differs by", np.abs(x - gold[f"{i}.pixel_values"]).max())
            x = gold[f"{i}.pixel_values"]
        cases.append(
            {
                "config": ci,
                "image": path.name,
                "height": x.shape[1],
                "width": x.shape[2],
                "offset": len(blob) // 4,
            }
        )
        blob += x.astype("<f4").tobytes()
for path in images:
    shutil.copyfile(path, out / path.name)
(out / "processors.json").write_text(json.dumps({"configs": cfgs, "cases": cases}, indent=1) + "\n")
(out / "processors.f32").write_bytes(zlib.compress(bytes(blob), 9))
print(sum(p.stat().st_size for p in out.iterdir()), "bytes")
