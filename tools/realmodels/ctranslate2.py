"""Reader for CTranslate2's model.bin."""

import struct

import numpy as np

DTYPES = ("<f4", "<i1", "<i2", "<i4", "<f2", "bfloat16")


class Reader:
    def __init__(self, file):
        self.file = file

    def number(self, code):
        size = struct.calcsize("<" + code)
        return struct.unpack("<" + code, self.file.read(size))[0]

    def text(self):
        """A u16 length, which counts the NUL at the end, and the bytes."""
        return self.file.read(self.number("H"))[:-1].decode("utf-8")

    def array(self):
        """u8 rank, the dimensions as u32, u8 dtype, u32 number of bytes, the data."""
        shape = [self.number("I") for _ in range(self.number("B"))]
        dtype = DTYPES[self.number("B")]
        raw = self.file.read(self.number("I"))
        if dtype == "bfloat16":
            return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
        return np.frombuffer(raw, dtype).reshape(shape)


def read(file, expected):
    """Return name -> array of a model of the expected spec, format version 6.

    The file holds: u32 version, name and u32 revision of the spec, u32 number
    of variables, each a name and an array; u32 number of aliases, each a name
    and the name of its target.
    """
    r = Reader(file)
    version, spec, _revision = r.number("I"), r.text(), r.number("I")
    if (version, spec) != (6, expected):
        raise ValueError(f"CTranslate2 file is a {spec} of version {version}, expected a {expected} of version 6")
    variables = {}
    for _ in range(r.number("I")):
        name = r.text()
        variables[name] = r.array()
    for _ in range(r.number("I")):
        alias = r.text()
        variables[alias] = variables[r.text()]
    if file.read(1):
        raise ValueError("CTranslate2 file goes on after its last alias")
    return {name: dequantize(variables, name) for name in variables if not name.endswith("_scale")}


def dequantize(variables, name):
    """Undo the quantization to 8 or 16 bits: q / scale, with one scale per row of the output."""
    x, scale = variables[name], variables.get(name + "_scale")
    if scale is None:
        return x
    scale = scale.astype(np.float32)
    return x.astype(np.float32) / scale.reshape(scale.shape + (1,) * (x.ndim - scale.ndim))
