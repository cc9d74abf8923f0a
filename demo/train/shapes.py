"""Draws everyday things and plain shapes, each time a little different: a white figure on black."""

import math
import random

from PIL import Image, ImageDraw

SIZE = 128  # pixels of a drawing; 0..1 is the unit square that the drawing functions use


class Pen:
    """Outlines or fills figures given in the unit square, with lines of one wobbling width."""

    def __init__(self, rng):
        self.rng, self.filled = rng, rng.random() < 0.4
        self.width = rng.randint(3, 9)
        self.image = Image.new("L", (SIZE, SIZE))
        self.draw = ImageDraw.Draw(self.image)

    def points(self, points):
        wobble = 0.008
        return [((x + self.rng.gauss(0, wobble)) * SIZE, (y + self.rng.gauss(0, wobble)) * SIZE) for x, y in points]

    def line(self, *points, ink=255):
        self.draw.line(self.points(points), fill=ink, width=self.width, joint="curve")

    def shape(self, points, hole=False):
        """A closed figure: filled, or its outline; a hole is cut out of filled figures."""
        points = self.points(points)
        if hole and self.filled:
            self.draw.polygon(points, fill=0)
        elif self.filled:
            self.draw.polygon(points, fill=255)
        else:
            self.draw.line(points + points[:2], fill=255, width=self.width, joint="curve")

    def ellipse(self, x, y, rx, ry, hole=False):
        self.shape(arc(x, y, rx, ry, 0, 360), hole)

    def dot(self, x, y, r):
        """A spot: ink on an outline, a hole in a filled figure."""
        self.draw.ellipse([(x - r) * SIZE, (y - r) * SIZE, (x + r) * SIZE, (y + r) * SIZE], fill=0 if self.filled else 255)


def arc(x, y, rx, ry, begin, end, n=28):
    return [(x + rx * math.cos(math.radians(begin + (end - begin) * i / n)), y + ry * math.sin(math.radians(begin + (end - begin) * i / n))) for i in range(n + 1)]


def regular(n, turn=-90.0, radius=0.38):
    return [(0.5 + radius * math.cos(math.radians(turn + 360 * i / n)), 0.5 + radius * math.sin(math.radians(turn + 360 * i / n))) for i in range(n)]


def circle(p, r):
    p.filled = True  # an outline would be the digit nought
    radius = r.uniform(0.3, 0.4)
    p.ellipse(0.5, 0.5, radius, radius * r.uniform(0.92, 1.08))


def square(p, r):
    half = r.uniform(0.26, 0.37)
    p.shape([(0.5 - half, 0.5 - half), (0.5 + half, 0.5 - half), (0.5 + half, 0.5 + half), (0.5 - half, 0.5 + half)])


def triangle(p, r):
    x = r.uniform(0.3, 0.7)
    top = r.uniform(0.1, 0.25)
    p.shape([(x, top), (r.uniform(0.82, 0.92), 0.84), (r.uniform(0.08, 0.18), 0.84)])


def star(p, r):
    inner = r.uniform(0.4, 0.52)
    outer, between = regular(5, radius=0.42), regular(5, turn=-54, radius=0.42 * inner)
    p.shape([q for pair in zip(outer, between) for q in pair])


def heart(p, r):
    wide, points = r.uniform(0.9, 1.1), []
    for i in range(60):
        t = math.tau * i / 60
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((0.5 + x * wide * 0.023, 0.47 - y * 0.024))
    p.shape(points)


def moon(p, r):
    cut = r.uniform(0.12, 0.22)
    side = r.choice((-1, 1))
    outer = arc(0.5, 0.5, 0.38, 0.38, 70, 290)
    inner = arc(0.5 + cut, 0.5, 0.30, 0.33, 285, 75)
    points = outer + inner
    p.shape([(0.5 + side * (x - 0.5), y) for x, y in points])


def cross(p, r):
    a, b = r.uniform(0.08, 0.14), r.uniform(0.32, 0.4)
    s = [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)]
    p.shape([(0.5 + x, 0.5 + y) for x, y in s])


def arrow(p, r):
    h, w, n = r.uniform(0.05, 0.1), r.uniform(0.18, 0.28), r.uniform(0.5, 0.64)
    turn = r.choice(((1, 0), (0, 1), (-1, 0), (0, -1)))
    s = [(0.1, 0.5 - h), (n, 0.5 - h), (n, 0.5 - w), (0.9, 0.5), (n, 0.5 + w), (n, 0.5 + h), (0.1, 0.5 + h)]
    c, d = turn
    p.shape([(0.5 + c * (x - 0.5) - d * (y - 0.5), 0.5 + d * (x - 0.5) + c * (y - 0.5)) for x, y in s])


def house(p, r):
    left, right, eaves = r.uniform(0.14, 0.24), r.uniform(0.76, 0.86), r.uniform(0.4, 0.5)
    p.shape([(left, eaves), (right, eaves), (right, 0.88), (left, 0.88)])
    p.shape([(left - 0.08, eaves), (0.5, r.uniform(0.08, 0.2)), (right + 0.08, eaves)])
    x = r.uniform(0.32, 0.6)
    p.shape([(x, 0.88), (x, 0.66), (x + 0.14, 0.66), (x + 0.14, 0.88)], hole=True)
    if r.random() < 0.5:
        p.shape([(left + 0.05, 0.55), (left + 0.15, 0.55), (left + 0.15, 0.64), (left + 0.05, 0.64)], hole=True)


def tree(p, r):
    w = r.uniform(0.04, 0.07)
    p.shape([(0.5 - w, 0.6), (0.5 + w, 0.6), (0.5 + w, 0.92), (0.5 - w, 0.92)])
    if r.random() < 0.5:  # a fir of two or three storeys
        n = r.choice((2, 3))
        for i in range(n):
            y, half = 0.08 + i * 0.52 / n, 0.16 + 0.2 * (i + 1) / n
            p.shape([(0.5, y), (0.5 + half, y + 0.62 / n), (0.5 - half, y + 0.62 / n)])
    else:
        lumps, base = r.randint(5, 8), r.uniform(0.26, 0.33)
        p.shape([(0.5 + (base + 0.035 * math.cos(lumps * a)) * math.cos(a), 0.36 + (base + 0.035 * math.cos(lumps * a)) * math.sin(a) * 0.9)
                 for a in (math.tau * i / 72 for i in range(72))])


def car(p, r):
    roof, left, right = r.uniform(0.26, 0.36), r.uniform(0.24, 0.32), r.uniform(0.66, 0.74)
    p.shape([(0.06, 0.5), (left - 0.04, 0.48), (left + 0.06, roof), (right - 0.06, roof), (right + 0.06, 0.48), (0.94, 0.52), (0.94, 0.7), (0.06, 0.7)])
    wheel = r.uniform(0.085, 0.12)
    for x in (0.26, 0.74):
        p.ellipse(x, 0.71, wheel, wheel)
        p.ellipse(x, 0.71, wheel * 0.5, wheel * 0.5, hole=True)
    if r.random() < 0.7:
        p.shape([(left + 0.08, 0.47), (left + 0.12, roof + 0.05), (0.48, roof + 0.05), (0.48, 0.47)], hole=True)


def boat(p, r):
    deck = r.uniform(0.62, 0.7)
    p.shape([(0.1, deck), (0.9, deck), (0.76, 0.88), (0.24, 0.88)])
    mast = r.uniform(0.44, 0.56)
    p.line((mast, deck), (mast, 0.1))
    p.shape([(mast + 0.03, 0.12), (mast + r.uniform(0.24, 0.34), deck - 0.06), (mast + 0.03, deck - 0.06)])
    if r.random() < 0.6:
        p.shape([(mast - 0.03, 0.2), (mast - 0.03, deck - 0.06), (mast - r.uniform(0.2, 0.28), deck - 0.06)])


def fish(p, r):
    side, h = r.choice((-1, 1)), r.uniform(0.17, 0.24)
    flip = lambda points: [(0.5 + side * (x - 0.5), y) for x, y in points]
    p.shape(flip(arc(0.42, 0.5, 0.32, h, 20, 340) + [(0.9, 0.5 - h), (0.84, 0.5), (0.9, 0.5 + h)]))
    p.dot(0.5 + side * (0.24 - 0.5), 0.5 - h * 0.25, 0.025)


def flower(p, r):
    n, ring, petal = r.randint(5, 8), r.uniform(0.16, 0.2), r.uniform(0.09, 0.12)
    p.line((0.5, 0.4), (0.5 + r.uniform(-0.05, 0.05), 0.94))
    for i in range(n):
        p.ellipse(0.5 + ring * math.cos(math.tau * i / n), 0.34 + ring * math.sin(math.tau * i / n), petal, petal)
    p.ellipse(0.5, 0.34, 0.09, 0.09, hole=True)
    if r.random() < 0.6:
        p.ellipse(0.62, 0.74, 0.1, 0.045)


def face(p, r):
    p.ellipse(0.5, 0.5, r.uniform(0.34, 0.42), r.uniform(0.36, 0.42))
    gap, y = r.uniform(0.12, 0.17), r.uniform(0.38, 0.45)
    for x in (0.5 - gap, 0.5 + gap):
        p.dot(x, y, r.uniform(0.03, 0.05))
    begin, end = (20, 160) if r.random() < 0.7 else (200, 340)  # glad or sad
    middle = 0.58 if begin == 20 else 0.74
    p.line(*arc(0.5, middle, 0.17, 0.12, begin, end), ink=0 if p.filled else 255)


def cup(p, r):
    taper = r.uniform(0.0, 0.08)
    side = r.choice((-1, 1))
    p.shape([(0.24, 0.26), (0.68, 0.26), (0.68 - taper, 0.8), (0.24 + taper, 0.8)])
    p.line(*[(0.46 + side * (x - 0.46), y) for x, y in arc(0.67, 0.5, 0.18, 0.15, -80, 80)])


def umbrella(p, r):
    top = r.uniform(0.12, 0.2)
    scallops = [q for i in range(4) for q in arc(0.8 - 0.2 * i, 0.5, 0.1, 0.06, 0, -180, 8)]
    p.shape(arc(0.5, 0.5, 0.4, 0.5 - top, 180, 360) + scallops)
    p.line((0.5, 0.5), (0.5, 0.82), *arc(0.42, 0.82, 0.08, 0.08, 0, 170, 10))


def key(p, r):
    ring = r.uniform(0.12, 0.17)
    p.ellipse(0.25, 0.5, ring, ring)
    p.ellipse(0.25, 0.5, ring * 0.45, ring * 0.45, hole=True)
    p.line((0.25 + ring, 0.5), (0.9, 0.5))
    for x in (0.86, 0.74)[: r.randint(1, 2)]:
        p.line((x, 0.5), (x, 0.5 + r.uniform(0.12, 0.18)))


def clock(p, r):
    p.ellipse(0.5, 0.5, 0.4, 0.4)
    ink = 0 if p.filled else 255
    for length in (0.17, 0.28):
        a = r.uniform(0, math.tau)
        p.line((0.5, 0.5), (0.5 + length * math.cos(a), 0.5 + length * math.sin(a)), ink=ink)
    for i in range(12):
        a = math.tau * i / 12
        p.line((0.5 + 0.32 * math.cos(a), 0.5 + 0.32 * math.sin(a)), (0.5 + 0.36 * math.cos(a), 0.5 + 0.36 * math.sin(a)), ink=ink)


def lightning(p, r):
    p.shape([(0.58, 0.06), (0.22, 0.54), (0.46, 0.54), (0.36, 0.94), (0.78, 0.4), (0.54, 0.4), (0.7, 0.06)])


SHAPES = (circle, square, triangle, star, heart, moon, cross, arrow, house, tree, car, boat, fish, flower, face, cup, umbrella, key, clock, lightning)
NAMES = tuple(shape.__name__ for shape in SHAPES)


def draw(index, seed, size=64):
    """Return one drawing of the thing with this index as an 8-bit grey image of size x size."""
    rng = random.Random(seed)
    pen = Pen(rng)
    SHAPES[index](pen, rng)
    return pen.image.resize((size, size), Image.BOX)
