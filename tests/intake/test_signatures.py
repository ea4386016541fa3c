"""What a file is, by its first bytes."""

import gzip
import struct

import numpy as np
import pytest
from made_files import FLAT, pillow, png, tiff

from unet_lib.intake import signatures
from unet_lib.intake.raster import NoPicture, Refused


@pytest.mark.parametrize(
    "data, kind",
    [
        (png(FLAT[..., 0], 0), "PNG"),
        (pillow(FLAT[..., 0], "JPEG"), "JPEG"),
        (tiff(FLAT[..., 0]), "TIFF"),
        (tiff(FLAT[..., 0], order=">"), "TIFF"),
        (pillow(FLAT[..., 0], "TIFF", big_tiff=True), "TIFF"),
        (pillow(FLAT[..., 0], "BMP"), "BMP"),
        (pillow(FLAT[..., :3], "WEBP"), "WebP"),
        (pillow(FLAT[..., 0], "GIF"), "GIF"),
        (bytes(128) + b"DICM", "DICOM"),
        (tiff(FLAT[..., 0])[:128] + b"DICM", "DICOM"),
        (b"\x08\0\x05\0CS\x0a\0", "DICOM"),
    ],
)
def test_a_picture_is_known_by_its_content(data, kind):
    assert signatures.recognise(data) == kind


@pytest.mark.parametrize(
    "data, what",
    [
        (b"a list\nof words\n", "text"),
        (b"BMI of patients, a table", "text"),
        ("größer".encode("latin-1"), "text"),
        ("wide".encode("utf-16"), "text"),
        (b'\xef\xbb\xbf {"shapes": []}', "JSON text"),
        (b"PK\3\4\0\0", r"an archive \(zip\); unpack it"),
        (gzip.compress(b"words"), r"packed \(gzip\); unpack it"),
        (bytes(257).replace(b"\0", b"a", 5) + b"ustar", r"an archive \(tar\)"),
        (b"%PDF-1.7", "a PDF document"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS; `git lfs pull`"),
        (b"<!DOCTYPE html>\n<html>", "a web page"), (b"<html>404", "a web page"),
        (b"\0\0\0\1Bud1", "none of PNG, JPEG, TIFF, BMP, WebP, GIF and DICOM"),
        (np.random.default_rng(1).bytes(999), "none of PNG"),
    ],
)
def test_what_is_no_picture_is_named(data, what):
    with pytest.raises(NoPicture, match=f"^no picture: {what}"):
        signatures.recognise(data)


HEADER = struct.pack("<i", 348) + bytes(400)


@pytest.mark.parametrize(
    "data, what",
    [
        (b"\0\0\0\x0cjP  \r\n", "JPEG 2000 picture"),
        (b"\0\0\0\x18ftypheic", "HEIC or AVIF picture"),
        (b"P5\n2 2\n255\nabcd", "Netpbm picture"),
        (b"\x93NUMPY\1\0", "NumPy array"),
        (b"ObjectType = Image\nNDims = 3\n", "MetaImage volume"),
        (HEADER, "NIfTI or Analyze volume"),
        (gzip.compress(HEADER), "NIfTI or Analyze volume"),
    ],
)
def test_a_format_that_is_not_read_is_named_with_the_remedy(data, what):
    with pytest.raises(Refused, match=f"^{what}: not read .*; save .* as PNG$") as caught:
        signatures.recognise(data)
    assert not isinstance(caught.value, NoPicture)


@pytest.mark.parametrize("side", [64, 512, 2048])
def test_bare_pixels_are_named_with_the_line_that_saves_them(side):
    film = np.random.default_rng(side).integers(0, 4096, (side, side)).astype(">u2")
    with pytest.raises(Refused, match=f"^bare pixels without a header, {side} x {side} of") as told:
        signatures.recognise(film.tobytes())
    assert not isinstance(told.value, NoPicture)
    assert f"4095 - np.fromfile('x.IMG', '>u2').reshape({side}, {side})" in str(told.value)
    for other in (film.tobytes()[2:], film[:, 1:].tobytes(), b"words " * (side * side // 3)):
        with pytest.raises(NoPicture):
            signatures.recognise(other)


@pytest.mark.parametrize(
    "data, text",
    [(b"", "empty file of 0 bytes; copy"), (bytes(99), "damaged file: 99 bytes, all zero; copy")],
)
def test_an_empty_file_is_damaged_not_skipped(data, text):
    with pytest.raises(Refused, match=text) as caught:
        signatures.recognise(data)
    assert not isinstance(caught.value, NoPicture)
