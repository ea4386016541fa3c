"""PNG, JPEG, TIFF, BMP and WebP: every kind at its stored depth, nothing in part."""

import io
import time
import zlib

import numpy as np
import pytest
from made_files import (
    DEEP,
    FLAT,
    SMOOTH,
    TURNS,
    chunk,
    exif,
    packed_bmp,
    pillow,
    png,
    tiff,
)
from PIL import Image

from unet_lib.intake import decoders, formats

GREY, GREY16 = FLAT[..., 0], DEEP[..., 0]
PALETTE = np.random.default_rng(3).integers(0, 256, (256, 3)).astype(np.uint8)


def same(raster, pixels, alpha=None):
    np.testing.assert_array_equal(raster.pixels, pixels)
    assert raster.pixels.dtype == np.asarray(pixels).dtype and raster.pixels.flags.c_contiguous
    if alpha is None:
        assert raster.alpha is None
    else:
        np.testing.assert_array_equal(raster.alpha, alpha)
        assert raster.alpha.dtype == raster.pixels.dtype


def key(values) -> tuple[bytes, bytes]:
    return b"tRNS", np.asarray(values).astype(">u2").tobytes()


def shown(mask, most=255):
    """Alpha where a key is transparent."""
    return np.where(mask, 0, most)


@pytest.mark.parametrize(
    "data, pixels, alpha",
    [
        (png(GREY > 99, 0, 1), (GREY > 99) * np.uint8(255), None),
        (png(GREY >> 6, 0, 2), (GREY >> 6) * np.uint8(85), None),
        (png(GREY >> 4, 0, 4), (GREY >> 4) * np.uint8(17), None),
        (png(GREY, 0), GREY, None),
        (png(GREY, 0, interlace=1), GREY, None),
        (png(GREY16, 0, 16), GREY16, None),
        (png(FLAT[..., :3], 2), FLAT[..., :3], None),
        (png(DEEP[..., :3], 2, 16), DEEP[..., :3], None),
        (png(FLAT[..., :2], 4), GREY, FLAT[..., 1]),
        (png(DEEP[..., :2], 4, 16), GREY16, DEEP[..., 1]),
        (png(FLAT, 6), FLAT[..., :3], FLAT[..., 3]),
        (png(DEEP, 6, 16), DEEP[..., :3], DEEP[..., 3]),
        (png(GREY, 0, extra=[key([GREY[2, 3]])]), GREY, shown(GREY == GREY[2, 3])),
        (png(GREY >> 6, 0, 2, extra=[key([1])]), (GREY >> 6) * np.uint8(85), shown(GREY >> 6 == 1)),
        (png(GREY16, 0, 16, extra=[key([GREY16[2, 3]])]), GREY16,
         shown(GREY16 == GREY16[2, 3], 65535)),
        (png(FLAT[..., :3], 2, extra=[key(FLAT[2, 3, :3])]), FLAT[..., :3],
         shown((FLAT[..., :3] == FLAT[2, 3, :3]).all(-1))),
        (png(DEEP[..., :3], 2, 16, extra=[key(DEEP[2, 3, :3])]), DEEP[..., :3],
         shown((DEEP[..., :3] == DEEP[2, 3, :3]).all(-1), 65535)),
        (png(GREY, 3, extra=[(b"PLTE", PALETTE.tobytes())]), PALETTE[GREY], None),
        (png(GREY, 3, extra=[(b"PLTE", PALETTE.tobytes()), (b"tRNS", b"\0\x80")]), PALETTE[GREY],
         np.where(GREY == 0, 0, np.where(GREY == 1, 128, 255))),
        (png(GREY > 99, 3, 1, extra=[(b"PLTE", b"\xff\xff\xff\0\0\0")]),
         (GREY <= 99) * np.uint8(255), None),
        (png(np.dstack([GREY] * 3 + [GREY | 255]), 6), GREY, None),
    ],
    ids="grey1 grey2 grey4 grey8 adam7 grey16 rgb8 rgb16 ga8 ga16 rgba8 rgba16 key8 key2 key16 "
    "rgb-key8 rgb-key16 palette palette-alpha palette1-white-first opaque-grey-as-rgba".split(),
)  # fmt: skip
def test_every_kind_of_png(data, pixels, alpha):
    same(decoders.read_png(data), pixels, alpha)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    "pixels",
    [GREY, GREY16, FLAT[..., :3], DEEP[..., :3], FLAT, DEEP, FLAT[..., :2], DEEP[..., :2]],
    ids="grey8 grey16 rgb8 rgb16 rgba8 rgba16 ga8 ga16".split(),
)  # fmt: skip
def test_every_kind_of_tiff(pixels, order):
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    alpha = pixels[..., -1] if samples in (2, 4) else None
    colour = pixels[..., :3] if samples > 2 else pixels.reshape(*pixels.shape[:2], -1)[..., 0]
    same(decoders.read_tiff(tiff(pixels, order=order)), colour, alpha)


@pytest.mark.parametrize("packing", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_packed_tiffs(packing):
    for pixels in (GREY, GREY16, FLAT[..., :3]):
        same(decoders.read_tiff(pillow(pixels, "TIFF", compression=packing)), pixels)
    same(decoders.read_tiff(pillow(GREY > 99, "TIFF", compression="group4")),
         (GREY > 99) * np.uint8(255))  # fmt: skip


@pytest.mark.parametrize("packing", [None, "tiff_lzw"])
def test_tiffs_of_brightness_and_two_colours(packing):
    """Pillow writes unpacked YCbCr but does not read it."""
    picture = Image.fromarray(np.dstack([SMOOTH, SMOOTH // 2, 255 - SMOOTH])).convert("YCbCr")
    read = decoders.read_tiff(pillow(picture, "TIFF", compression=packing))
    difference = np.abs(read.pixels.astype(int) - np.array(picture.convert("RGB")))
    assert read.alpha is None and difference.max() <= 3


def test_a_tiff_whose_white_is_zero_is_seen_the_right_way_round():
    same(decoders.read_tiff(tiff(GREY, photometric=0)), 255 - GREY)
    same(decoders.read_tiff(tiff(GREY16, photometric=0)), 65535 - GREY16)


@pytest.mark.parametrize(
    "pixels, kind", [(GREY16.astype(np.uint32), 1), (GREY16.astype(np.int32), 2),
                     ((GREY16 >> 1).astype(np.int16), 2), (GREY16.astype(np.float32), 3)],
)  # fmt: skip
def test_wide_values_that_fit_16_bits_keep_them(pixels, kind):
    same(decoders.read_tiff(tiff(pixels, kind=kind)), pixels.astype(np.uint16))


@pytest.mark.parametrize(
    "data, text",
    [
        (tiff((GREY / 255).astype(np.float32), kind=3), r"TIFF file with 32-bit values \(0 to 1\)"),
        (tiff((GREY - 300.0).astype(np.float32), kind=3), r"32-bit values \(-300 to -45\)"),
        (tiff(DEEP[..., :3], planes=2), "16-bit colours in separate planes; save it as PNG"),
        (tiff(GREY.view(np.int8), kind=2), "TIFF file with negative values of 8 bits"),
        (pillow(GREY, "TIFF", save_all=True, append_images=[Image.fromarray(GREY)] * 2),
         "TIFF file of 3 pages; save the one that is meant as a file"),
        (pillow(GREY, "WEBP", save_all=True, append_images=[Image.fromarray(255 - GREY)]),
         "WebP file of 2 animated pictures"),
        (pillow(GREY, "GIF", save_all=True, append_images=[Image.fromarray(255 - GREY)]),
         "GIF file of 2 animated pictures; save the one that is meant as a file"),
        (pillow(GREY, "PNG", save_all=True, append_images=[Image.fromarray(255 - GREY)]),
         "PNG file of 2 animated pictures"),
    ],
    ids="fractions negative planes signed pages webp gif apng".split(),
)  # fmt: skip
def test_what_cannot_be_read_rightly_is_refused(data, text):
    with pytest.raises(ValueError, match=text):
        formats.decode(data)


def jpeg_of(orientation):
    return pillow(SMOOTH, "JPEG", quality=100, exif=b"Exif\0\0" + exif(orientation))


@pytest.mark.parametrize("flag", range(1, 9))
def test_the_orientation_flag_is_honoured(flag):
    turn = TURNS[flag]
    upright = decoders.read_jpeg(jpeg_of(1)).pixels
    files = {
        "png": (png(FLAT, 6, extra=[(b"eXIf", exif(flag))]), FLAT[..., :3], FLAT[..., 3]),
        "jpeg": (jpeg_of(flag), upright, None),
        "webp": (pillow(FLAT, "WEBP", lossless=True, exact=True, exif=b"Exif\0\0" + exif(flag)),
                 FLAT[..., :3], FLAT[..., 3]),
        "tiff8": (tiff(GREY, orientation=flag), GREY, None),
        "tiff16": (tiff(GREY16, orientation=flag), GREY16, None),
        "tiff rgb16": (tiff(DEEP[..., :3], orientation=flag), DEEP[..., :3], None),
        "tiff rgba16": (tiff(DEEP, orientation=flag), DEEP[..., :3], DEEP[..., 3]),
        "tiff ga16": (tiff(DEEP[..., :2], orientation=flag), GREY16, DEEP[..., 1]),
    }  # fmt: skip
    for data, pixels, alpha in files.values():
        raster = formats.decode(data)
        same(raster, turn(pixels), None if alpha is None else turn(alpha))
        told = raster.notes.get("turned by its orientation flag")
        assert told == (f" (flag {flag})" if flag > 1 else None)


def test_an_orientation_that_cannot_be_read_turns_nothing():
    for block in (b"junk", exif(9), b""):
        raster = decoders.read_png(png(GREY, 0, extra=[(b"eXIf", block)]))
        same(raster, GREY)
        assert raster.notes == {}


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_of_every_colour_space(mode, progressive):
    picture = Image.fromarray(np.dstack([SMOOTH, 255 - SMOOTH, SMOOTH // 2])).convert(mode)
    data = pillow(picture, "JPEG", quality=98, subsampling=0, progressive=progressive)
    expected = np.asarray(picture.convert("L" if mode == "L" else "RGB")).astype(int)
    assert np.abs(decoders.read_jpeg(data).pixels - expected).max() <= 8


def test_bmps_and_webps():
    for mode in ("1", "L", "P", "RGB"):
        picture = Image.fromarray(FLAT[..., :3]).convert(mode)
        expected = np.asarray(picture.convert("L" if mode in "1L" else "RGB"))
        same(decoders.read_bmp(pillow(picture, "BMP")), expected)
    same(decoders.read_bmp(packed_bmp(GREY)), GREY)
    same(decoders.read_webp(pillow(FLAT[..., :3], "WEBP", lossless=True)), FLAT[..., :3])


@pytest.mark.parametrize("interlace", [0, 1])
def test_gifs_of_one_picture(interlace):
    same(decoders.read_gif(pillow(GREY, "GIF", interlace=interlace)), GREY)
    mask = (GREY > 99) * np.uint8(255)
    same(decoders.read_gif(pillow(mask, "GIF", interlace=interlace)), mask)
    labels = Image.fromarray(GREY // 100)
    labels.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)[GREY // 100]
    same(decoders.read_gif(pillow(labels, "GIF", interlace=interlace)), colours)
    clear = decoders.read_gif(pillow(labels, "GIF", interlace=interlace, transparency=0))
    assert ((clear.alpha == 0) == (GREY < 100)).all()


def test_comments_of_any_size_are_no_damage():
    comments = [(b"tEXt", b"note\0" + b"a" * 9_000_000),
                (b"zTXt", b"note\0\0" + zlib.compress(b"a" * 90_000_000))]  # fmt: skip
    same(decoders.read_png(png(GREY, 0, extra=comments)), GREY)


WHOLE = {
    "png": png(GREY, 0), "png rgb16": png(DEEP[..., :3], 2, 16),
    "jpeg": pillow(SMOOTH, "JPEG"), "jpeg rgb": pillow(np.dstack([SMOOTH] * 3), "JPEG"),
    "jpeg progressive": pillow(SMOOTH, "JPEG", progressive=True),
    "tiff": tiff(GREY), "tiff rgb16": tiff(DEEP[..., :3]), "tiff ga16": tiff(DEEP[..., :2]),
    "tiff in front": tiff(DEEP[..., :3], front=512), "bmp packed": packed_bmp(GREY),
    "tiff lzw": pillow(GREY, "TIFF", compression="tiff_lzw"),
    "tiff deflate": pillow(GREY, "TIFF", compression="tiff_adobe_deflate"),
    "bmp": pillow(GREY, "BMP"), "webp": pillow(FLAT, "WEBP"),
    "webp lossless": pillow(FLAT, "WEBP", lossless=True),
    "gif": pillow(GREY, "GIF"), "gif in rows": pillow(GREY, "GIF", interlace=0),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_that_was_cut_off_anywhere_is_refused(name):
    whole = WHOLE[name]
    formats.decode(whole)
    for length in {*range(1, len(whole) - 1, max(1, len(whole) // 60)), len(whole) - 2}:
        with pytest.raises(ValueError, match="truncated|damaged|no picture"):
            formats.decode(whole[:length])


@pytest.mark.parametrize("options", [{}, {"quality": 95}, {"progressive": True}], ids=str)
def test_a_jpeg_that_was_cut_and_closed_again_is_refused(options):
    """Every decoder fills the rest with grey and says nothing."""
    noise = np.random.default_rng(4).integers(0, 256, (64, 64)).astype(np.uint8)
    for picture in (np.tile(SMOOTH, (2, 1)), noise, np.dstack([noise] * 3)):
        whole = pillow(picture, "JPEG", **options)
        scan = whole.rfind(b"\xff\xda") + 20
        for length in np.linspace(scan, scan + (len(whole) - scan) * 0.8, 5).astype(int):
            closed = whole[:length].removesuffix(b"\xff") + b"\xff\xd9"
            Image.open(io.BytesIO(closed)).load()
            with pytest.raises(ValueError, match="truncated JPEG file; copy it again"):
                formats.decode(closed)


def test_damage_inside_is_refused():
    whole = png(GREY, 0)
    flipped = whole[:200] + bytes([whole[200] ^ 255]) + whole[201:]
    header = whole[:33]
    short = header + chunk(b"IDAT", zlib.compress(bytes(29 * 5))) + chunk(b"IEND", b"")
    for data in (flipped, short, header + whole[-12:], b"\x89PNG\n\x1a\n" + whole[8:]):
        with pytest.raises(ValueError, match="damaged PNG file.*; copy it again from its origin"):
            formats.decode(data)
    clear = png(GREY, 0, extra=[key([7])])
    flipped = clear.replace(b"tRNS\0\7", b"tRNS\0\6")
    with pytest.raises(ValueError, match="damaged PNG file"):
        formats.decode(flipped)
    with pytest.raises(ValueError, match="truncated PNG file"):
        formats.decode(whole[:-12])
    with pytest.raises(ValueError, match="truncated TIFF file"):
        formats.decode(tiff(DEEP[..., :3], front=512)[:-50])


def test_a_size_is_read_before_the_pixels():
    jpeg = pillow(SMOOTH, "JPEG")
    place = jpeg.find(b"\xff\xc0") + 5
    claims = {
        "PNG": png(GREY, 0, size=(40_000, 40_000)),
        "JPEG": jpeg[:place] + b"\x9c\x40\x9c\x40" + jpeg[place + 4 :],
        "BMP": (bmp := pillow(GREY, "BMP"))[:18] + b"\x40\x9c\0\0" * 2 + bmp[26:],
        "TIFF": tiff(np.broadcast_to(GREY[:1, :1], (1, 1))).replace(
            b"\0\1\4\0\1\0\0\0\1\0\0\0\1\1\4\0\1\0\0\0\1\0\0\0",
            b"\0\1\4\0\1\0\0\0\x40\x9c\0\0\1\1\4\0\1\0\0\0\x40\x9c\0\0"),
    }  # fmt: skip
    for kind, data in claims.items():
        with pytest.raises(ValueError, match=f"{kind} file that claims 40000 x 40000 pixels"):
            formats.decode(data)
    fits = jpeg[:place] + b"\x3a\x98\x3a\x98" + jpeg[place + 4 :]  # 15000 x 15000 in 500 bytes
    start = time.perf_counter()
    with pytest.raises(ValueError, match="truncated JPEG"):
        formats.decode(fits)
    assert time.perf_counter() - start < 1
