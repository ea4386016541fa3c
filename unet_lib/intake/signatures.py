"""What a file is, by its first bytes; its name is never asked."""

import math
import re
import zlib

from unet_lib.intake.raster import NoPicture, Refused

READ = "PNG, JPEG, TIFF, BMP, WebP, GIF and DICOM"

_KINDS = [
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"MM\0+", "TIFF"),
]  # fmt: skip

_PICTURES = [
    (b"\0\0\0\x0cjP  ", "JPEG 2000 picture"), (b"\xff\x4f\xff\x51", "JPEG 2000 picture"),
    (b"\xff\x0a", "JPEG XL picture"), (b"\0\0\0\x0cJXL ", "JPEG XL picture"),
    (b"8BPS", "Photoshop picture"), (b"\0\0\1\0", "Windows icon"), (b"icns", "macOS icon"),
    (b"v/1\1", "OpenEXR picture"), (b"DDS ", "DirectDraw picture"),
    (b"SIMPLE  =", "FITS picture"), (b"\x93NUMPY", "NumPy array"), (b"NRRD00", "NRRD volume"),
    (b"ObjectType", "MetaImage volume"), (b"NDims", "MetaImage volume"),
]  # fmt: skip

_OTHER = [
    (b"PK\3\4", "an archive (zip)"), (b"PK\5\6", "an archive (zip)"),
    (b"\x1f\x8b", "packed (gzip)"), (b"BZh", "packed (bzip2)"), (b"\xfd7zXZ\0", "packed (xz)"),
    (b"7z\xbc\xaf", "an archive (7z)"), (b"Rar!", "an archive (rar)"),
    (b"\x28\xb5\x2f\xfd", "packed (zstd)"), (b"%PDF", "a PDF document"),
    (b"\x89HDF", "an HDF5 file"), (b"SQLite format 3", "a database"),
    (b"MATLAB 5.0", "a MATLAB file"), (b"\x7fELF", "a program"), (b"MZ", "a program"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
    (b"version https://git-lfs", "a pointer of Git LFS; `git lfs pull` fetches the file itself"),
    (b"<!DOCTYPE html", "a web page, as a failed download leaves"),
    (b"<!doctype html", "a web page, as a failed download leaves"),
    (b"<html", "a web page, as a failed download leaves"),
]  # fmt: skip

_BMP_HEADERS = {bytes([size, 0, 0, 0]) for size in (12, 16, 40, 52, 56, 64, 108, 124)}
_DICOM_GROUPS = {b"\x02\0", b"\x08\0", b"\0\x02", b"\0\x08"}  # little and big endian


def recognise(data: bytes) -> str:
    """Return "DICOM", "PNG", "JPEG", "TIFF", "BMP", "WebP" or "GIF".

    `DICM` at byte 128 comes before all others: the 128 bytes in front of it are free, and some
    programs fill them with the header of a TIFF.

    Raises:
        NoPicture: text, an archive, anything else that holds no picture.
        Refused: empty, or a picture of a format that is not read.
    """
    if not data:
        raise Refused("empty file of 0 bytes; copy it again from its origin")
    if data[128:132] == b"DICM":
        return "DICOM"
    for signature, kind in _KINDS:
        if data.startswith(signature):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[:2] == b"BM" and data[14:18] in _BMP_HEADERS:
        return "BMP"
    _refuse_by_name(data)
    if data[:2] in _DICOM_GROUPS:  # without its preamble; whether it is one, `dicom` decides
        return "DICOM"
    if not data.strip(b"\0"):
        raise Refused(f"damaged file: {len(data)} bytes, all zero; copy it again from its origin")
    _refuse_raw(data)
    raise NoPicture(f"no picture: {_describe(data)}")


def _refuse_by_name(data: bytes) -> None:
    """Raise Refused for a picture or volume of another format."""
    name = next((name for signature, name in _PICTURES if data.startswith(signature)), "")
    if re.match(rb"P[1-7]\s", data):
        name = "Netpbm picture"
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"avif"):
        name = "HEIC or AVIF picture"
    if _is_nifti(data) or (data[:2] == b"\x1f\x8b" and _is_nifti(_unpacked(data))):
        name = "NIfTI or Analyze volume"
    if name:
        what = "the pictures in it" if name.endswith(("volume", "array")) else "it"
        raise Refused(f"{name}: not read ({READ} are); save {what} as PNG")


def _refuse_raw(data: bytes) -> None:
    """Raise Refused for what may be a square of 16-bit pixels, such as a film of the JSRT set."""
    side = math.isqrt(len(data) // 2)
    if 2 * side**2 == len(data) and side >= 64 and _describe(data).startswith("none of"):
        raise Refused(
            f"bare pixels without a header, {side} x {side} of 16 bits by the size of the file; not"
            f" read, for it does not say so. As JSRT's .IMG (negatives of 12 bits) save it by"
            f" cv2.imwrite('x.png', 4095 - np.fromfile('x.IMG', '>u2').reshape({side}, {side}))"
        )


def _is_nifti(data: bytes) -> bool:
    """Look for the size of the header of NIfTI-1, Analyze (348) or NIfTI-2 (540) at its start."""
    return len(data) >= 348 and data[:4] in {
        size.to_bytes(4, order) for size in (348, 540) for order in ("little", "big")
    }


def _unpacked(data: bytes) -> bytes:
    """Return the first bytes of what gzip packed."""
    try:
        return zlib.decompressobj(31).decompress(data[:65536], 600)
    except zlib.error:
        return b""


def _describe(data: bytes) -> str:
    """Say what a file is that holds no picture."""
    for signature, name in _OTHER:
        if data.startswith(signature):
            return name + ("; unpack it" if "archive" in name or "packed" in name else "")
    if data[257:262] == b"ustar":
        return "an archive (tar); unpack it"
    if not _is_text(data):
        return f"none of {READ}"
    return "JSON text" if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") else "text"


def _is_text(data: bytes) -> bool:
    """Text has no control characters but tabs and line ends."""
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = data[:4096].decode("utf-16" if wide else "utf-8", "ignore")
    return bool(text) and not any(ord(c) < 32 and c not in "\t\n\r\f\x1b" for c in text)
