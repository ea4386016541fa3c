"""Picture files made byte by byte, so that no library that reads them also wrote them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (20, 28, 4)).astype(np.uint16)
FLAT = (DEEP >> 8).astype(np.uint8)
SMOOTH = np.add.outer(np.arange(40) * 3, np.arange(56) * 2).astype(np.uint8)

TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.swapaxes(a[::-1], 0, 1),
    7: lambda a: np.swapaxes(a[::-1, ::-1], 0, 1),
    8: lambda a: np.swapaxes(a[:, ::-1], 0, 1),
}


def chunk(name: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(name + body)
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


def png(pixels, kind, depth=8, *, size=None, interlace=0, extra=()) -> bytes:
    """kind: 0 grey, 2 colour, 3 palette, 4 grey and alpha, 6 colour and alpha; extra: chunks."""
    pixels = np.asarray(pixels)
    height, width = size or pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlace)
    body = adam7(pixels) if interlace else b"".join(b"\0" + row(line, depth) for line in pixels)
    parts = [chunk(b"IHDR", header), *(chunk(*e) for e in extra)]
    parts += [chunk(b"IDAT", zlib.compress(body)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def row(line, depth) -> bytes:
    if depth == 16:
        return line.astype(">u2").tobytes()
    if depth == 8:
        return line.astype(np.uint8).tobytes()
    bits = np.unpackbits(line.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]
    return np.packbits(bits.ravel()).tobytes()


def adam7(pixels) -> bytes:
    """The seven passes of an interlaced PNG of 8 bits."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
              (1, 0, 2, 1)]  # fmt: skip
    parts = [pixels[top::down, left::right] for top, left, down, right in passes]
    return b"".join(b"\0" + line.tobytes() for part in parts for line in part)


def tiff(pixels, *, orientation=1, photometric=None, planes=1, order="<", kind=1, front=0):
    """An unpacked TIFF of one strip; kind: 1 whole numbers, 2 with a sign, 3 floating point.

    front: bytes for the directory in front of the pixels; else it follows them.
    """
    height, width = pixels.shape[:2]
    samples = 1 if pixels.ndim == 2 else pixels.shape[2]
    bits = pixels.dtype.itemsize * 8
    stored = np.moveaxis(pixels, -1, 0) if planes == 2 else pixels
    raw = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    strips = samples if planes == 2 else 1
    if photometric is None:
        photometric = 2 if samples > 2 else 1
    tags = [
        (256, "I", [width]), (257, "I", [height]), (258, "H", [bits] * samples), (259, "H", [1]),
        (262, "H", [photometric]),
        (273, "I", [8 + front + n * len(raw) // strips for n in range(strips)]),
        (274, "H", [orientation]), (277, "H", [samples]), (278, "I", [height]),
        (279, "I", [len(raw) // strips] * strips), (284, "H", [planes]),
        *([(338, "H", [2])] if samples in (2, 4) else []), (339, "H", [kind] * samples),
    ]  # fmt: skip
    start = 8 if front else 8 + len(raw)
    beyond, entries = b"", b""
    for tag, letter, values in tags:
        body = struct.pack(f"{order}{len(values)}{letter}", *values)
        if len(body) > 4:
            place = start + 2 + 12 * len(tags) + 4 + len(beyond)
            beyond, body = beyond + body, struct.pack(order + "I", place)
        number = {"H": 3, "I": 4}[letter]
        entries += struct.pack(order + "HHI", tag, number, len(values)) + body.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    directory = struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "I", 0)
    if front:
        return head + (directory + beyond).ljust(front, b"\0") + raw
    return head + raw + directory + beyond


def packed_bmp(pixels) -> bytes:
    """A grey BMP whose rows are packed by run lengths: each pixel a run of one."""
    height, width = pixels.shape
    lines = [b"".join(bytes([1, value]) for value in line) + b"\0\0" for line in pixels[::-1]]
    body = b"".join(lines)[:-2] + b"\0\1"
    palette = b"".join(bytes([value] * 3 + [0]) for value in range(256))
    start = 14 + 40 + 1024
    head = struct.pack("<2sIHHI", b"BM", start + len(body), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 256, 0)
    return head + info + palette + body


def exif(orientation: int) -> bytes:
    """The smallest EXIF block that holds an orientation."""
    tag = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"MM\0*\0\0\0\x08\0\x01" + tag + bytes(4)


def pillow(pixels, kind: str, **options) -> bytes:
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
