"""DICOM -> pixels as its tags ask for, by pydicom; nothing about the patient is even read."""

import io

import numpy as np

from unet_lib.intake import dicom_view
from unet_lib.intake.dicom_display import colours_to_8_bit, number, numbers, show
from unet_lib.intake.raster import (
    NoPicture,
    Raster,
    Refused,
    as_16_bit,
    check_size,
    damaged,
    without_colour,
)

_TAGS = """
Rows Columns SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames
BitsAllocated BitsStored HighBit PixelRepresentation PixelPaddingValue PixelPaddingRangeLimit
RescaleSlope RescaleIntercept ModalityLUTSequence VOILUTSequence WindowCenter WindowWidth
VOILUTFunction PresentationLUTShape PixelSpacing ImagerPixelSpacing NominalScannedPixelSpacing
PixelAspectRatio Modality SOPClassUID PixelData FloatPixelData DoubleFloatPixelData
RedPaletteColorLookupTableDescriptor RedPaletteColorLookupTableData
GreenPaletteColorLookupTableDescriptor GreenPaletteColorLookupTableData
BluePaletteColorLookupTableDescriptor BluePaletteColorLookupTableData
SegmentedRedPaletteColorLookupTableData SegmentedGreenPaletteColorLookupTableData
SegmentedBluePaletteColorLookupTableData ExtendedOffsetTable ExtendedOffsetTableLengths
""".split() + [*dicom_view.TAGS]
"""All that is taken from a file: what says how pixels are stored and shown, and of what."""

_SLICES = {
    "CT": "a CT slice", "MR": "an MR slice", "PT": "a PET slice", "NM": "a nuclear medicine image",
    "OPT": "an OCT slice", "IVOCT": "an OCT slice", "IVUS": "an ultrasound slice",
    "RTDOSE": "a dose distribution", "SEG": "a segmentation, not a picture",
}  # fmt: skip
_SLICE_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT", "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR", "1.2.840.10008.5.1.4.1.1.4.1": "MR",
    "1.2.840.10008.5.1.4.1.1.128": "PT", "1.2.840.10008.5.1.4.1.1.20": "NM",
}  # fmt: skip
_DIRECTORY = "1.2.840.10008.1.3.10"
_LAID_OVER = 0.1  # share of the pixels, at most, in which bits beyond the stored ones are set
_JPEG_FAMILY = "1.2.840.10008.1.2.4."  # JPEG, JPEG-LS, JPEG 2000: all end in 0xff 0xd9


def read_picture(data: bytes) -> Raster:
    """Decode a picture: 8-bit grey as its tags ask for, or colours.

    Grey goes through the modality step (look-up table or slope and intercept), then through one
    view: the first window; if there is none of use, the first VOI look-up table; if there is none
    either, 8-bit values stay as stored and all others are spread from the darkest half per cent to
    the brightest. At last MONOCHROME1 or an inverse presentation is turned round, once. Padding
    counts for nothing and becomes black.

    Raises:
        NoPicture: a DICOM without pixels.
        ValueError: several frames, slices of a volume, damaged, no decoder; the text says which.
    """
    dataset = _open(data)
    modality = _SLICE_CLASSES.get(dataset.get("SOPClassUID"), dataset.get("Modality"))
    if modality in _SLICES:
        raise Refused(
            f"DICOM file with {_SLICES[modality]} (modality {modality}); expected an X-ray "
            "(CR, DX, MG, RF, XA, ...): if it is one, save it as PNG"
        )
    stored, notes, view = _stored(dataset), {}, ""
    if stored.ndim == 3:
        pixels = colours_to_8_bit(stored, number(dataset, "BitsStored"))
    else:
        pixels, view, notes = show(dataset, stored)
    notes |= dicom_view.note(dataset)
    return _finish(dataset, pixels, notes, view)


def read_mask(data: bytes) -> Raster:
    """Decode a mask: the values that are stored, without window and inversion.

    Raises:
        NoPicture: a DICOM without pixels.
        ValueError: several frames, negative values, damaged, no decoder; the text says which.
    """
    dataset = _open(data)
    pixels = _stored(dataset)
    pixels = pixels if pixels.dtype == np.uint8 else as_16_bit("DICOM", pixels)
    return _finish(dataset, pixels, {}, "")


def _finish(dataset, pixels: np.ndarray, notes: dict[str, str], view: str) -> Raster:
    """Add what the tags say about the shape of a pixel."""
    pixels = without_colour(pixels)
    ratio, spacing = numbers(dataset, "PixelAspectRatio"), None
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        found = numbers(dataset, keyword)
        if spacing is None and len(found) == 2 and min(found) > 0:
            spacing = ratio = tuple(found)
    aspect = ratio[0] / ratio[1] if len(ratio) == 2 and min(ratio) > 0 else 1.0
    if abs(aspect - 1) > 0.01:
        notes["non-square pixels"] = f" (height to width {ratio[0]:g} : {ratio[1]:g})"
    return Raster(
        np.ascontiguousarray(pixels), None, "DICOM", notes, True, spacing, aspect, view
    )


# --- Reading --------------------------------------------------------------------------------


def _open(data: bytes):
    """Return a pydicom Dataset of `_TAGS`, one frame of a size that can be read."""
    try:
        import pydicom
    except ImportError:
        raise Refused("DICOM file, and pydicom is not installed; pip install pydicom") from None
    dataset = pydicom.dcmread(io.BytesIO(data), force=True, specific_tags=_TAGS)
    if dataset.file_meta.get("MediaStorageSOPClassUID") == _DIRECTORY:
        raise NoPicture("no picture: a directory of DICOM files (DICOMDIR)")
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        raise Refused("DICOM file with a map of fractions; scale it and save it as 16-bit PNG")
    if not all(dataset.get(keyword) for keyword in ("Rows", "Columns", "PixelData")):
        raise NoPicture("no picture: a DICOM file without pixels")
    frames = number(dataset, "NumberOfFrames", 1)
    if frames > 1:
        raise Refused(f"DICOM file of {frames} frames; save the one that is meant as a file")
    check_size("DICOM", dataset.Columns, dataset.Rows)
    return dataset


def _stored(dataset) -> np.ndarray:
    """Decode the pixels: (H, W) as stored, or (H, W, 3) red, green, blue if the tags say colour."""
    from pydicom.pixels import apply_color_lut, get_decoder

    syntax = _syntax(dataset)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise Refused(f"DICOM file in {syntax.name}, which is not read; save it as PNG") from None
    if not decoder.is_available:
        raise Refused(f"DICOM file in {syntax.name}, which needs a decoder; {_advice(syntax)}")
    (_check_end if syntax.is_encapsulated else _check_length)(dataset, syntax)
    try:
        pixels, _ = decoder.as_array(dataset, index=0)
        if not syntax.is_encapsulated:
            _check_bits(dataset, decoder)
    except RuntimeError:  # every decoder that is installed gave up
        raise Refused(
            f"DICOM file in {syntax.name}: damaged, or of a kind that the installed decoders do "
            f"not know; copy it again from its origin, or {_advice(syntax)}"
        ) from None
    if dataset.PhotometricInterpretation != "PALETTE COLOR":
        return pixels
    pixels = apply_color_lut(pixels, dataset)
    return pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)


def _syntax(dataset):
    """Return the transfer syntax; if none is named, the one in which the tags could be read."""
    from pydicom import uid

    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        names = uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = names[0 if implicit else 1 if little else 2]
        if dataset["PixelData"].is_undefined_length:
            raise Refused("DICOM file of packed pixels without a transfer syntax: save it as PNG")
    return dataset.file_meta.TransferSyntaxUID


def _advice(syntax) -> str:
    """Say what to install so that a transfer syntax is decoded."""
    if "JPEG 2000" in syntax.name and "High-Throughput" in syntax.name:
        return "pip install pylibjpeg pylibjpeg-openjpeg"
    if syntax.endswith(".51"):  # with 12 bits, which neither Pillow nor GDCM reads through pydicom
        return "pip install pylibjpeg pylibjpeg-libjpeg (GPL)"
    return "pip install python-gdcm"


def _check_length(dataset, syntax) -> None:
    """Compare the bytes of unpacked pixels with what rows and columns ask for."""
    from pydicom.pixels.utils import get_expected_length

    expected = get_expected_length(dataset)
    if len(dataset.PixelData) < expected:
        raise Refused(
            f"truncated DICOM file: {len(dataset.PixelData)} bytes of pixels, expected {expected}; "
            "copy it again from its origin"
        )
    if (times := len(dataset.PixelData) // expected) > 1:
        raise Refused(
            f"DICOM file of {times} times the pixels that its tags tell of, as if it had {times}"
            " frames; save the one that is meant as a file"
        )


def _check_bits(dataset, decoder) -> None:
    """Refuse grey values that need more bits than the tags tell of: the decoder cuts these off.

    A few pixels may: there old files keep lines and letters to be laid over the picture.
    """
    bits = number(dataset, "BitsStored")
    if number(dataset, "SamplesPerPixel") > 1 or bits >= number(dataset, "BitsAllocated"):
        return
    whole = decoder.as_array(dataset, index=0, correct_unused_bits=False)[0]
    low, high = 0, 2**bits - 1
    if number(dataset, "PixelRepresentation") == 1:
        low, high = -(2 ** (bits - 1)), high  # negative ones may lack their sign further up
    if np.mean((whole < low) | (whole > high)) > _LAID_OVER:
        raise Refused(
            f"DICOM file with values from {whole.min()} to {whole.max()}, and tags that tell of"
            f" {bits} bits (BitsStored, HighBit {number(dataset, 'HighBit')}); correct the tags, or"
            " save it as 16-bit PNG"
        )


def _check_end(dataset, syntax) -> None:
    """Refuse a packed frame without its end: some decoders would fill up what lacks."""
    from pydicom.encaps import get_frame

    if syntax.startswith(_JPEG_FAMILY):
        frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
        if b"\xff\xd9" not in frame[-1024:]:
            raise damaged("DICOM", "truncated")
