"""Sets of made chests with plain or odd masks, for the tests of the intake from end to end."""

import io
from pathlib import Path

import cv2
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

SIDE = 64
RIGHT, LEFT = np.zeros((2, SIDE, SIDE), bool)
RIGHT[12:52, 8:27], LEFT[12:52, 37:56] = True, True
LUNGS = RIGHT | LEFT
WHITE = LUNGS * np.uint8(255)


def chest(number: int, side: int = SIDE) -> np.ndarray:
    """Return (side, side) uint8: noise, darker in the lungs; another one for each number."""
    grey = np.random.default_rng(number).integers(130, 200, (side, side))
    lungs = cv2.resize(WHITE, (side, side), interpolation=cv2.INTER_NEAREST_EXACT) > 0
    return (grey - 90 * lungs).astype(np.uint8)


def encode(pixels: np.ndarray, kind: str = "png", **options: object) -> bytes:
    """Encode grey, colours or colours with alpha, of 8 or 16 bits; Pillow takes the options."""
    if pixels.dtype == np.uint16:
        return cv2.imencode(".png", pixels)[1].tobytes()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def palette(indices: np.ndarray, colours: list[tuple[int, int, int]]) -> bytes:
    """Encode a PNG with a palette, as annotation tools write label masks."""
    picture, buffer = Image.fromarray(indices, "P"), io.BytesIO()
    picture.putpalette([value for colour in colours for value in colour])
    picture.save(buffer, "png")
    return buffer.getvalue()


def turned(pixels: np.ndarray, flag: int = 6) -> bytes:
    """Encode a PNG that asks to be turned: 6 means a quarter clockwise."""
    exif = Image.Exif()
    exif[0x0112] = flag
    return encode(pixels, exif=exif.tobytes())


def dicom(pixels: np.ndarray, **tags: object) -> bytes:
    """Encode (H, W) uint16 below 4096 as a DICOM film with more tags."""
    made = pydicom.Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    made.Modality, made.PhotometricInterpretation, made.SamplesPerPixel = "DX", "MONOCHROME2", 1
    made.Rows, made.Columns = pixels.shape
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelData = pixels.astype("<u2").tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, made, enforce_file_format=True)
    return buffer.getvalue()


def put(path: Path, content: bytes | str | np.ndarray) -> Path:
    """Write a file: bytes and text as they are, pixels as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content, "utf-8")
    else:
        path.write_bytes(content if isinstance(content, bytes) else encode(content))
    return path


def alpha(colour, ground, *, over=LUNGS) -> np.ndarray:
    """Return (64, 64, 4): one colour on the lungs, opaque there alone, another elsewhere."""
    made = np.full((64, 64, 4), [*ground, 0], np.uint8)
    made[over] = [*colour, 255]
    return made


def make_set(root: Path, mask=WHITE, *, count: int = 8, image=chest, name="P{:02d}") -> Path:
    """Write images/<name>.png and masks/<name>.png; `mask` and `image` may be functions."""
    for number in range(count):
        held = mask(number) if callable(mask) else mask
        put(root / f"images/{name.format(number)}.png", image(number))
        put(root / f"masks/{name.format(number)}.png", held)
    return root


def met(manifest: dict) -> dict[str, list[str]]:
    """Return what was found: fault to its cases."""
    return {f["fault"]: f["cases"] for f in manifest["findings"] if f["count"]}
