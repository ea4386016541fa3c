"""One file to pixels: what is noted, what becomes grey, and how errors read."""

import struct
import warnings

import cv2
import numpy as np
import pytest
from made_files import DEEP, FLAT, SMOOTH, exif, pillow, png, tiff
from made_trees import GREY, save

from unet_lib.intake import formats, raster

COLOUR = FLAT[..., :3]
LUMINANCE = COLOUR @ [0.299, 0.587, 0.114]
OPACITY = FLAT[..., 3] / 255


@pytest.mark.parametrize(
    "data, expected, faults",
    [
        (png(FLAT[..., 0], 0), FLAT[..., 0], set()),
        (png(DEEP[..., 0], 0, 16), DEEP[..., 0], set()),
        (png(np.dstack([FLAT[..., 0]] * 3), 2), FLAT[..., 0], set()),
        (png(COLOUR, 2), LUMINANCE, {"colour image"}),
        (png(DEEP[..., :3], 2, 16), DEEP[..., :3] @ [0.299, 0.587, 0.114], {"colour image"}),
        (png(FLAT, 6), LUMINANCE * OPACITY, {"colour image", "transparent picture"}),
        (png(np.dstack([COLOUR, FLAT[..., 3] | 255]), 6), LUMINANCE, {"colour image"}),
        (png(FLAT[..., :2], 4), FLAT[..., 0] * (FLAT[..., 1] / 255), {"transparent picture"}),
        (png(DEEP[..., :2], 4, 16), DEEP[..., 0] * (DEEP[..., 1] / 65535), {"transparent picture"}),
        (tiff(FLAT), LUMINANCE * OPACITY, {"colour image", "transparent picture"}),
        (pillow(FLAT, "WEBP", lossless=True, exact=True), LUMINANCE * OPACITY,
         {"colour image", "transparent picture"}),
    ],
    ids="grey8 grey16 grey-rgb rgb rgb16 rgba opaque ga ga16 tiff-rgba webp-rgba".split(),
)  # fmt: skip
def test_every_picture_becomes_grey_of_its_depth(data, expected, faults):
    decoded = formats.decode(data)
    grey = formats.to_grey(decoded)
    assert grey.ndim == 2 and grey.dtype == decoded.pixels.dtype
    np.testing.assert_allclose(grey, expected, atol=1 if grey.dtype == np.uint8 else 2)
    assert set(decoded.notes) == faults and not decoded.settled


def test_a_hidden_colour_is_not_read():
    """Grey where it is seen; what lies under the transparent pixels plays no part."""
    alpha = np.where(np.arange(28) < 7, 0, 255) * np.ones((20, 1), int)
    seen = np.dstack([np.full((20, 28), 200)] * 3 + [alpha])
    decoys = [(0, 0, 0), (255, 255, 255), (255, 0, 0)]
    for decoy in decoys:
        seen[alpha == 0, :3] = decoy
        decoded = formats.decode(png(seen, 6))
        assert decoded.notes == {"transparent picture": " (25.0% of its pixels)"}
        np.testing.assert_array_equal(formats.to_grey(decoded), np.where(alpha, 200, 0))


@pytest.mark.parametrize("level", [0, 1, 100])
def test_an_alpha_that_is_the_same_everywhere_says_nothing(level):
    decoded = formats.decode(png(np.dstack([COLOUR, np.full_like(FLAT[..., 3], level)]), 6))
    assert decoded.notes == {
        "equally transparent picture": f" (alpha is {level} everywhere)", "colour image": ""}
    assert np.array_equal(formats.to_grey(decoded), formats.to_grey(formats.decode(png(COLOUR, 2))))


def test_a_bmp_that_leaves_its_alpha_at_0_is_no_black_picture():
    grey = np.arange(80, dtype=np.uint8).reshape(8, 10)
    head = struct.pack("<2s3I", b"BM", 122 + 320, 0, 122)  # a V4 header names a mask of alpha
    head += struct.pack("<I2i2H6I", 108, 10, -8, 1, 32, 3, 320, 0, 0, 0, 0)
    head += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + bytes(52)
    decoded = formats.decode(head + np.dstack([grey] * 3 + [grey * 0]).tobytes())
    assert list(decoded.notes) == ["equally transparent picture"]
    assert np.array_equal(formats.to_grey(decoded), grey)


def test_a_mask_keeps_its_colours_and_its_alpha():
    decoded = formats.decode_mask(png(FLAT, 6, extra=[(b"eXIf", exif(3))]))
    np.testing.assert_array_equal(decoded.pixels, COLOUR[::-1, ::-1])
    np.testing.assert_array_equal(decoded.alpha, FLAT[::-1, ::-1, 3])
    assert decoded.notes == {"turned by its orientation flag": " (flag 3)"}


def test_nothing_is_said_but_the_error(recwarn, capfd):
    """Decoders warn, log and print; none of it is for a user."""
    cut = tiff(DEEP[..., :3])
    packed = cv2.imencode(".tiff", DEEP[..., :3])[1].tobytes()
    middle = bytearray(packed)
    middle[len(packed) // 3 :: 7] = bytes(len(middle[len(packed) // 3 :: 7]))
    bad_exif = pillow(SMOOTH, "JPEG", exif=b"Exif\0\0" + exif(3)[:-8])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for data in (cut[:-40], bytes(middle), bad_exif, bad_exif[:300]):
            try:
                formats.decode(data)
            except ValueError as error:
                assert "copy it again from its origin" in str(error) or "save it" in str(error)
    assert not recwarn.list
    assert capfd.readouterr().err == ""


def test_a_large_picture_is_no_bomb(recwarn):
    large = np.zeros((10_000, 9_500), np.uint8)  # more than Pillow warns of
    for kind in ("PNG", "JPEG"):
        assert formats.decode(cv2.imencode("." + kind.lower(), large)[1].tobytes()).kind == kind
    assert not recwarn.list


def test_what_a_decoder_raises_never_gets_out(monkeypatch):
    for wrong in (KeyError("Doe^Jane"), RuntimeError("x"), OSError("image file is truncated")):

        def fail(data, wrong=wrong):
            raise wrong

        monkeypatch.setitem(formats._READERS, "PNG", fail)
        state = "truncated" if isinstance(wrong, OSError) else "damaged"
        with pytest.raises(ValueError, match=f"^{state} PNG file; copy it again from its origin$"):
            formats.decode(png(GREY, 0))
    monkeypatch.setitem(formats._READERS, "PNG", lambda data: bytearray(1 << 60))
    with pytest.raises(ValueError, match="PNG file too large for the memory; make it smaller"):
        formats.decode(png(GREY, 0))


@pytest.mark.parametrize(
    "data, reason",
    [(b"", "empty file of 0 bytes"), (b"8BPS", "Photoshop picture: not read"),
     (-40, "truncated PNG"), (b"words", "no picture: text")],
)  # fmt: skip
def test_an_unreadable_file_is_named_with_the_reason(data, reason, tmp_path):
    path = save(tmp_path / "Röntgen.png", GREY)
    path.write_bytes(path.read_bytes()[:data] if isinstance(data, int) else data)
    with pytest.raises(ValueError, match=f"Röntgen.png cannot be read: {reason}") as caught:
        formats.read_picture(path)
    assert isinstance(caught.value, formats.NoPicture) == (data == b"words")
    path.unlink()
    with pytest.raises(FileNotFoundError):
        formats.read_picture(path)


def test_the_limit_is_the_documented_one():
    assert formats.MAX_PIXELS == raster.MAX_PIXELS == 250_000_000
