"""PNG, JPEG, TIFF, BMP, WebP and GIF -> pixels, all or nothing.

OpenCV reads PNG, colours of 16 bits, which Pillow reduces to 8, and unpacked YCbCr, which Pillow
cannot; Pillow reads the rest, because it notices where a file was cut off.
"""

import io
import zlib
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from unet_lib.intake.raster import Raster, Refused, as_16_bit, check_size, damaged, without_colour

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
ORIENTATION, SAMPLES, PLANES, FORMAT = 274, 277, 284, 339
STRIPS, STRIP_SIZES, TILES, TILE_SIZES = 273, 279, 324, 325

_TURNS = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: np.swapaxes(pixels, 0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(np.swapaxes(pixels, 0, 1), 2),
    8: np.rot90,
}
"""EXIF orientation -> how the stored pixels are turned upright."""


def _finish(kind, pixels, alpha=None, *, orientation=1, turned=False) -> Raster:
    """Turn upright unless the decoder has `turned`; drop an alpha that is opaque everywhere."""
    if alpha is not None and alpha.min() == np.iinfo(alpha.dtype).max:
        alpha = None
    pixels, notes = without_colour(pixels), {}
    if orientation in _TURNS:
        notes["turned by its orientation flag"] = f" (flag {orientation})"
        turn = (lambda pixels: pixels) if turned else _TURNS[orientation]
        pixels, alpha = turn(pixels), None if alpha is None else turn(alpha)
    alpha = None if alpha is None else np.ascontiguousarray(alpha)
    return Raster(np.ascontiguousarray(pixels), alpha, kind, notes)


def _with_opencv(kind: str, data: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    """Return (H, W) or (H, W, 3) in red, green, blue, and alpha if there is one."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise damaged(kind)
    if pixels.ndim == 2:
        return pixels, None
    return pixels[..., 2::-1], pixels[..., 3] if pixels.shape[2] == 4 else None


def _with_pillow(kind: str, picture: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Return (H, W) or (H, W, 3) in red, green, blue, and alpha if there is one."""
    if picture.mode in ("P", "PA", "La", "RGBa"):
        picture = picture.convert("LA" if picture.mode == "La" else "RGBA")
    elif picture.mode not in ("1", "L", "LA", "RGB", "RGBA", "F") and picture.mode[0] != "I":
        picture = picture.convert("RGB")
    pixels = np.array(picture)
    if picture.mode == "1":
        return pixels * np.uint8(255), None
    if picture.mode in ("I", "F"):
        return as_16_bit(kind, pixels), None
    if picture.mode[0] == "I":
        return pixels.astype(np.uint16), None
    if picture.mode == "LA":
        return pixels[..., 0], pixels[..., 1]
    return (pixels[..., :3], pixels[..., 3]) if picture.mode == "RGBA" else (pixels, None)


def _orientation(read_exif: Callable[[], Image.Exif]) -> int:
    """Return the orientation flag; an EXIF block that cannot be read has none."""
    try:
        return read_exif().get(ORIENTATION, 1)
    except Exception:
        return 1


def _only_one(kind: str, count: int, parts: str = "pages") -> None:
    if count > 1:
        raise Refused(f"{kind} file of {count} {parts}; save the one that is meant as a file")


# --- PNG ------------------------------------------------------------------------------------

_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"acTL", b"IEND"}


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of each chunk that carries pixels; comments of any size are left.

    Raises:
        Refused: cut off, or another checksum than the file's own.
    """
    place = 8
    while True:
        end = place + 12 + int.from_bytes(data[place : place + 4])
        if len(data) < place + 12 or len(data) < end:
            raise damaged("PNG", "truncated")
        name = data[place + 4 : place + 8]
        if name in _KEPT:
            checksum = zlib.crc32(memoryview(data)[place + 4 : end - 4])
            if checksum != int.from_bytes(data[end - 4 : end]):
                raise damaged("PNG")
            yield name, place, end
        if name == b"IEND":
            return
        place = end


def read_png(data: bytes) -> Raster:
    """Decode a PNG of any kind at its stored depth."""
    if data[12:16] != b"IHDR" or data[:8] != b"\x89PNG\r\n\x1a\n":
        raise Refused("damaged PNG file: it does not start as one; copy it again from its origin")
    check_size("PNG", int.from_bytes(data[16:20]), int.from_bytes(data[20:24]))
    kept = [(name, data[start:end]) for name, start, end in _chunks(data)]
    found = {name: chunk[8:-4] for name, chunk in kept}
    _only_one("PNG", int.from_bytes(found.get(b"acTL", b"")[:4]), "animated pictures")
    kept = [chunk for name, chunk in kept if name not in (b"acTL", b"eXIf")]
    pixels, alpha = _with_opencv("PNG", data[:8] + b"".join(kept))
    if alpha is None and b"tRNS" in found:
        alpha = _key_to_alpha(pixels, found[b"tRNS"], data[24])
    exif = Image.Exif()
    turned = _orientation(lambda: exif.load(b"Exif\0\0" + found.get(b"eXIf", b"")) or exif)
    return _finish("PNG", pixels, alpha, orientation=turned)


def _key_to_alpha(pixels: np.ndarray, key: bytes, bits: int) -> np.ndarray:
    """Return alpha where one grey value or colour stands for transparent."""
    most = np.iinfo(pixels.dtype).max
    values = np.frombuffer(key, ">u2").astype(int) * most // (2**bits - 1)
    same = pixels == (values[0] if pixels.ndim == 2 else values[:3])
    return np.where(same if pixels.ndim == 2 else same.all(-1), 0, most).astype(pixels.dtype)


# --- JPEG -----------------------------------------------------------------------------------


def read_jpeg(data: bytes) -> Raster:
    """Decode a JPEG: grey, YCbCr, RGB, CMYK; one that ends too early is refused."""
    end = data.find(b"\xff\xd9", _find_scan(data))  # inside a scan 0xff is always followed by 0
    picture = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    check_size("JPEG", *picture.size)
    if end < 0 or picture.width * picture.height > 512 * end:  # a bit for each 8 x 8 at least
        raise damaged("JPEG", "truncated")
    pixels, _ = _with_pillow("JPEG", picture)
    _check_tail(data[:end], pixels)
    return _finish("JPEG", pixels, orientation=_orientation(picture.getexif))


def _find_scan(data: bytes) -> int:
    """Return where the first scan of a JPEG begins."""
    place = 2
    while place + 9 < len(data) and data[place] == 0xFF and data[place + 1] != 0xDA:
        marker = data[place + 1]
        if marker in (0xC0, 0xC1, 0xC2, 0xC3) and data[place + 4] != 8:
            raise Refused(f"JPEG file of {data[place + 4]} bits; save it as 16-bit PNG")
        place += 1 if marker == 0xFF else 2 + int.from_bytes(data[place + 2 : place + 4])
    if data[place : place + 2] != b"\xff\xda":
        raise damaged("JPEG", "truncated")
    return place


def _check_tail(scans: bytes, pixels: np.ndarray) -> None:
    """Tell a JPEG that was cut and closed again: more bytes at its end would change the picture.

    Where data lack, the decoder goes on with flat grey and says nothing. What follows a scan that
    is whole it leaves alone.
    """
    longer = JpegImagePlugin.JpegImageFile(io.BytesIO(scans + b"\x5a" * 64 + b"\xff\xd9"))
    if not np.array_equal(_with_pillow("JPEG", longer)[0], pixels):
        raise damaged("JPEG", "truncated")


# --- TIFF, BMP, WebP, GIF -------------------------------------------------------------------


def read_tiff(data: bytes) -> Raster:
    """Decode a TIFF of one page; 32-bit values must fit 16 bits exactly."""
    tags = _tiff_tags(data)
    samples, deep = tags.get(SAMPLES, 1), np.max(tags.get(BITS, 1)) == 16
    orientation = tags.get(ORIENTATION, 1)
    if deep and samples > 1 and tags.get(PLANES, 1) != 1:
        raise Refused("TIFF file of 16-bit colours in separate planes; save it as PNG")
    if deep and samples == 2:
        return _finish("TIFF", *_grey_and_alpha(data, tags), orientation=orientation)
    try:
        picture = TiffImagePlugin.TiffImageFile(io.BytesIO(data))
    except SyntaxError:
        raise Refused("TIFF file of an uncommon kind; save it as PNG") from None
    _only_one("TIFF", picture.n_frames)
    if tags.get(FORMAT) == (2,) * samples and np.max(tags.get(BITS, 1)) == 8:
        if np.max(picture) > 127:  # Pillow reads them without their sign
            raise Refused("TIFF file with negative values of 8 bits; save it as 8-bit PNG")
    chroma = tags.get(PHOTOMETRIC) == 6 and tags.get(COMPRESSION, 1) == 1  # unpacked YCbCr
    by_opencv = (deep and samples > 1) or chroma
    pixels, alpha = _with_opencv("TIFF", data) if by_opencv else _with_pillow("TIFF", picture)
    if tags.get(PHOTOMETRIC) == 0 and picture.mode == "I;16":
        pixels = 65535 - pixels  # white is zero; Pillow turns 8 bits round, but not 16
    return _finish("TIFF", pixels, alpha, orientation=orientation, turned=True)  # both libraries do


def _tiff_tags(data: bytes) -> dict:
    """Return the tags of the first page; its size and that all of it is there are checked."""
    order, big = "little" if data[:2] == b"II" else "big", b"+" in data[2:4]
    count, entry, pointer, start = (8, 20, 8, 16) if big else (2, 12, 4, 8)
    directory = TiffImagePlugin.ImageFileDirectory_v2(data[:start])
    first = directory.next + count
    number = int.from_bytes(data[directory.next : first], order)
    if first + number * entry + pointer > len(data):
        raise damaged("TIFF", "truncated")
    source = io.BytesIO(data)
    source.seek(directory.next)
    directory.load(source)
    tags = dict(directory)
    check_size("TIFF", tags.get(WIDTH, 0), tags.get(HEIGHT, 0))
    for offsets, sizes in ((STRIPS, STRIP_SIZES), (TILES, TILE_SIZES)):
        ends = np.add(tags.get(offsets, 0), tags.get(sizes, 0))
        if np.max(ends, initial=0) > len(data):
            raise damaged("TIFF", "truncated")
    return tags


def _grey_and_alpha(data: bytes, tags: dict) -> tuple[np.ndarray, np.ndarray]:
    """Read 16-bit grey with alpha as it lies in the file: neither library knows that kind."""
    if tags.get(COMPRESSION, 1) != 1 or STRIPS not in tags:
        raise Refused("TIFF file of packed 16-bit grey with alpha; save it as PNG")
    places = zip(tags[STRIPS], tags[STRIP_SIZES], strict=True)
    strips = b"".join(data[start : start + size] for start, size in places)
    values = np.frombuffer(strips, "<u2" if data[:2] == b"II" else ">u2")
    both = values.astype(np.uint16).reshape(tags[HEIGHT], tags[WIDTH], 2)
    return both[..., 0], both[..., 1]


def read_bmp(data: bytes) -> Raster:
    """Decode a BMP."""
    picture = BmpImagePlugin.BmpImageFile(io.BytesIO(data))
    check_size("BMP", *picture.size)
    packed = data[30:34] in (b"\1\0\0\0", b"\2\0\0\0")  # Pillow fills up what lacks
    if packed and int.from_bytes(data[2:6], "little") > len(data):
        raise damaged("BMP", "truncated")
    return _finish("BMP", *_with_pillow("BMP", picture))


def read_webp(data: bytes) -> Raster:
    """Decode a WebP of one picture."""
    if int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise damaged("WebP", "truncated")
    picture = WebPImagePlugin.WebPImageFile(io.BytesIO(data))
    check_size("WebP", *picture.size)
    _only_one("WebP", picture.n_frames, "animated pictures")
    pixels, alpha = _with_pillow("WebP", picture)
    return _finish("WebP", pixels, alpha, orientation=_orientation(picture.getexif))


def read_gif(data: bytes) -> Raster:
    """Decode a GIF of one picture."""
    if not data.rstrip(b"\0").endswith(b";"):  # Pillow fills up what lacks
        raise damaged("GIF", "truncated")
    picture = GifImagePlugin.GifImageFile(io.BytesIO(data))
    check_size("GIF", *picture.size)
    _only_one("GIF", picture.n_frames, "animated pictures")
    return _finish("GIF", *_with_pillow("GIF", picture))
