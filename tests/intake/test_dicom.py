"""DICOM: every syntax, what is refused, and nothing about the patient."""

import builtins
import io
import logging
import struct
import time
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from made_dicoms import PATIENT, RAMP, dataset, dicom, written
from made_files import FLAT, tiff
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate

from unet_lib.intake import formats
from unet_lib.intake.formats import NoPicture, decode, decode_mask

EXPECTED = np.floor(RAMP * (255 / 4032) + 0.5).astype(np.uint8)


def sample(name: str) -> pydicom.Dataset:
    return pydicom.dcmread(get_testdata_file(name, download=False))


BARS = [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


def recoded(syntax) -> bytes:
    """RAMP as pydicom itself packs it."""
    made = dataset()
    made.compress(syntax, generate_instance_uid=False)
    return written(made)


@pytest.mark.parametrize(
    "syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian,
               uid.DeflatedExplicitVRLittleEndian, uid.RLELossless],
    ids=lambda syntax: syntax.name,
)  # fmt: skip
def test_a_syntax_plays_no_part(syntax):
    data = recoded(syntax) if syntax == uid.RLELossless else dicom(syntax=syntax)
    raster = decode(data)
    np.testing.assert_array_equal(raster.pixels, EXPECTED)
    assert (raster.kind, raster.settled, raster.alpha) == ("DICOM", True, None)
    np.testing.assert_array_equal(decode_mask(data).pixels, RAMP)


@pytest.mark.parametrize(
    "name", ["MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm", "MR_small_RLE.dcm",
             "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_padded.dcm"],
)  # fmt: skip
def test_packed_without_loss_is_as_unpacked(name):
    reference, packed = sample("MR_small.dcm"), sample(name)
    stored = np.frombuffer(reference.PixelData, "<i2").reshape(64, 64)
    np.testing.assert_array_equal(decode_mask(written(packed)).pixels, stored)
    reference.Modality = packed.Modality = "DX"
    reference.SOPClassUID = packed.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    seen = decode(written(packed)).pixels
    np.testing.assert_array_equal(seen, decode(written(reference)).pixels)
    assert len(np.unique(seen)) > 100


def test_jpeg_with_loss_in_colour():
    exact = decode(written(sample("SC_rgb_small_odd.dcm"))).pixels.astype(int)
    close = decode(written(sample("SC_rgb_small_odd_jpeg.dcm"))).pixels
    assert close.shape == exact.shape == (3, 3, 3) and np.abs(close - exact).max() < 8


@pytest.mark.parametrize("name", ["SC_rgb_rle.dcm", "SC_rgb_rle_16bit.dcm", "SC_rgb_rle_32bit.dcm",
                                  "SC_rgb_dcmtk_+eb+cr.dcm", "SC_ybr_full_422_uncompressed.dcm",
                                  "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_jls_lossy_line.dcm"])  # fmt: skip
def test_colours_of_every_kind_become_red_green_blue(name):
    raster = decode(written(sample(name)))
    assert raster.pixels.dtype == np.uint8 and "colour image" in raster.notes
    bars = raster.pixels[[5, 25, 45], 50].astype(int)
    assert np.abs(bars - BARS).max() < 8


def test_what_is_colour_the_tags_say_not_the_shape():
    colours = FLAT[..., :3]
    np.testing.assert_array_equal(decode(dicom(colours)).pixels, colours)
    planes = dicom(colours, PlanarConfiguration=1,
                   PixelData=np.moveaxis(colours, -1, 0).tobytes())  # fmt: skip
    np.testing.assert_array_equal(decode(planes).pixels, colours)
    narrow = np.arange(64 * 3, dtype=np.uint8).reshape(64, 3)
    np.testing.assert_array_equal(decode(dicom(narrow)).pixels, narrow)
    grey = np.repeat(FLAT[..., :1], 3, -1)
    np.testing.assert_array_equal(decode(dicom(grey)).pixels, FLAT[..., 0])


@pytest.mark.parametrize("shape, frames", [((64, 64), 3), ((64, 3), 5)])
def test_several_frames_are_refused_by_name(shape, frames):
    made = dataset(np.zeros(shape, np.uint8), NumberOfFrames=frames)
    made.PixelData = bytes(shape[0] * shape[1] * frames)
    for judge in (decode, decode_mask):
        with pytest.raises(ValueError, match=f"DICOM file of {frames} frames; save the one"):
            judge(written(made))
    assert decode(dicom(NumberOfFrames=1)).pixels.shape == RAMP.shape


@pytest.mark.parametrize("times", [2, 3])
def test_frames_that_no_tag_tells_of_are_refused(times):
    data = dicom(PixelData=RAMP.tobytes() * times)
    with pytest.raises(ValueError, match=f"DICOM file of {times} times the pixels that its tags"):
        formats.decode(data)
    padded = formats.decode(dicom(PixelData=RAMP.tobytes() + bytes(200)))  # such as some leave
    assert (padded.pixels == formats.decode(dicom()).pixels).all()


@pytest.mark.parametrize("modality", ["CR", "DX", "MG", "RF", "XA", "OT", "SC", "", None])
def test_projections_are_read(modality):
    np.testing.assert_array_equal(decode(dicom(Modality=modality)).pixels, EXPECTED)


@pytest.mark.parametrize(
    "modality, what", [("CT", "a CT slice"), ("MR", "an MR slice"), ("PT", "a PET slice"),
                       ("SEG", "a segmentation")],
)  # fmt: skip
def test_slices_are_refused_by_name_as_pictures_only(modality, what):
    data = dicom(Modality=modality)
    with pytest.raises(ValueError, match=f"DICOM file with {what}.*expected an X-ray.*as PNG"):
        decode(data)
    np.testing.assert_array_equal(decode_mask(data).pixels, RAMP)


def test_a_ct_is_known_by_its_class_too():
    with pytest.raises(ValueError, match=r"a CT slice \(modality CT\)"):
        decode(dicom(Modality=None, SOPClassUID=uid.CTImageStorage))


def test_content_decides_whatever_stands_in_front():
    data = dicom()
    decoy = tiff(FLAT[..., 0])
    np.testing.assert_array_equal(decode(decoy[:128] + data[128:]).pixels, EXPECTED)
    np.testing.assert_array_equal(decode(data[132:]).pixels, EXPECTED)  # no preamble


@pytest.mark.parametrize("implicit", [True, False])
def test_without_preamble_and_syntax(implicit):
    file, made = io.BytesIO(), dataset(SpecificCharacterSet="ISO_IR 100")
    del made.file_meta
    pydicom.dcmwrite(file, made, implicit_vr=implicit, little_endian=True)
    assert file.getvalue()[:2] == b"\x08\0"
    np.testing.assert_array_equal(decode(file.getvalue()).pixels, EXPECTED)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless])
def test_a_header_without_a_syntax(syntax):
    data = dicom() if syntax == uid.ExplicitVRLittleEndian else recoded(syntax)
    nameless = data.replace(b"\x02\0\x10\0UI", b"\x02\0\x11\0UI", 1)
    assert nameless != data
    if syntax == uid.ExplicitVRLittleEndian:
        np.testing.assert_array_equal(decode(nameless).pixels, EXPECTED)
    else:
        with pytest.raises(ValueError, match="DICOM file of packed pixels without a transfer syn"):
            decode(nameless)


def test_what_holds_no_picture_is_skipped():
    report = dataset()
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(report, keyword)
    icon = dataset(FLAT[..., 0])
    del icon.PixelData
    report.IconImageSequence = [dataset(FLAT[..., 0])]
    found = Path(get_testdata_file("DICOMDIR", download=False)).read_bytes()
    without = "a DICOM file without pixels"
    for data, text in (
        (written(report), without),
        (written(icon), without),
        (found, r"a directory of DICOM files \(DICOMDIR\)"),
        (b"\x08\0 words that begin oddly\n" * 9, without),
    ):
        for judge in (decode, decode_mask):
            with pytest.raises(NoPicture, match=f"no picture: {text}"):
                judge(data)


def test_cut_off_anywhere_it_is_refused():
    for whole in (dicom(), recoded(uid.RLELossless), written(sample("MR_small_jp2klossless.dcm")),
                  written(sample("MR_small_jpeg_ls_lossless.dcm"))):  # fmt: skip
        end = whole.rfind(b"\xff\xd9") if b"\xff\xd9" in whole else len(whole) - 9
        for length in np.linspace(133, end, 40).astype(int):
            with pytest.raises(ValueError, match="truncated|damaged|no picture"):
                decode_mask(whole[:length])


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_gdcm.dcm", "MR_small_jp2klossless.dcm",
                                  "MR_small_jpeg_ls_lossless.dcm"])  # fmt: skip
def test_a_packed_frame_without_its_end_is_refused(name):
    made = sample(name)
    frame = next(pydicom.encaps.generate_frames(made.PixelData, number_of_frames=1))
    made.PixelData = encapsulate([frame[: len(frame) // 2]])
    with pytest.raises(ValueError, match="truncated DICOM file; copy it again"):
        decode_mask(written(made))


def test_a_size_is_compared_with_what_there_is():
    with pytest.raises(ValueError, match="truncated DICOM file: 6144 bytes .*, expected 6272; c"):
        decode(dicom(Rows=49))
    start = time.perf_counter()
    with pytest.raises(ValueError, match="DICOM file that claims 30000 x 30000 pixels; at most"):
        decode(dicom(Rows=30_000, Columns=30_000))
    assert time.perf_counter() - start < 1


def test_a_decoder_that_lacks_is_named_with_its_package(monkeypatch):
    made = dataset()
    made.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(40) + b"\xff\xd9"])
    made["PixelData"].is_undefined_length = True
    made.file_meta.TransferSyntaxUID = uid.HTJ2KLossless
    with pytest.raises(ValueError, match="High-Throughput JPEG 2000.*needs a decoder; pip install"):
        decode(written(made))
    made.file_meta.TransferSyntaxUID = uid.MPEG4HP41
    with pytest.raises(ValueError, match=r"in MPEG-4 AVC/H.264.*not read; save it as PNG"):
        decode(written(made))
    twelve = sample("JPGExtended.dcm")
    with pytest.raises(ValueError, match=r"JPEG Extended.*: damaged, or .* pip install pylibjpeg"):
        decode_mask(written(twelve))
    lossless = sample("MR_small_jpeg_ls_lossless.dcm")
    decoder = pydicom.pixels.get_decoder(uid.JPEGLSLossless)
    monkeypatch.setattr(decoder, "_available", {})
    with pytest.raises(ValueError, match="JPEG-LS.*needs a decoder; pip install python-gdcm"):
        decode_mask(written(lossless))


def test_without_pydicom_it_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.split(".")[0] == "pydicom":
            raise ImportError(name)
        return real(name, *rest)

    data = dicom()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match="pydicom is not installed; pip install pydicom"):
        decode(data)


def test_a_mask_is_what_is_stored():
    labels = (FLAT[..., 0] % 3).astype(np.uint8)
    data = dicom(labels, PhotometricInterpretation="MONOCHROME1", WindowCenter=1, WindowWidth=2,
                 RescaleSlope=2, RescaleIntercept=-7)  # fmt: skip
    np.testing.assert_array_equal(decode_mask(data).pixels, labels)
    bits = np.packbits(labels.ravel() > 0, bitorder="little").tobytes()
    one = dataset(labels, BitsAllocated=1, BitsStored=1, PixelData=bits + b"\0" * (len(bits) % 2))
    np.testing.assert_array_equal(decode_mask(written(one)).pixels, labels > 0)
    with pytest.raises(ValueError, match=r"DICOM file with 16-bit values \(-5 to 5\)"):
        decode_mask(dicom(np.array([[-5, 5]], np.int16)))


def test_the_shape_of_a_pixel():
    cases = [
        ({"PixelSpacing": [0.2, 0.1]}, (0.2, 0.1), 2.0, " (height to width 0.2 : 0.1)"),
        ({"ImagerPixelSpacing": [0.1, 0.2]}, (0.1, 0.2), 0.5, " (height to width 0.1 : 0.2)"),
        ({"PixelSpacing": [0.3, 0.3], "ImagerPixelSpacing": [0.2, 0.1]}, (0.3, 0.3), 1.0, None),
        ({"PixelAspectRatio": [2, 1]}, None, 2.0, " (height to width 2 : 1)"),
        ({"PixelSpacing": [0, 0]}, None, 1.0, None),
        ({}, None, 1.0, None),
    ]
    for tags, spacing, aspect, note in cases:
        for judge in (decode, decode_mask):
            raster = judge(dicom(**tags))
            assert raster.spacing == spacing and raster.aspect == pytest.approx(aspect)
            assert raster.notes.get("non-square pixels") == note


def test_nothing_about_the_patient_goes_anywhere(caplog, capfd):
    secrets = [*PATIENT.values(), "1.2.826"]
    odd = dicom(Modality="MODALITY").replace(b"MODALITY", b"Doe^Jane")
    broken = dicom(PhotometricInterpretation="PHOTOMET").replace(b"PHOTOMET", b"Doe^Jane")
    window = dicom(WindowCenter=1, WindowWidth=2).replace(b"DS\x02\x001 ", b"DS\x02\x00Do")
    told = []
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        for data in (dicom(), odd, broken, window, dicom(Rows=999), dicom()[:400]):
            for judge in (decode, decode_mask):
                try:
                    told.append(str(judge(data)))
                except ValueError as error:
                    told.append(f"{error} {error.__cause__}")
    told += [str(warning.message) for warning in heard] + caplog.messages + list(capfd.readouterr())
    assert not [text for text in told for secret in secrets if secret in text]
    assert not heard


def test_the_reader_does_not_even_read_the_patient(monkeypatch):
    seen, real = [], pydicom.dcmread

    def reading(*arguments, **options):
        seen.append(real(*arguments, **options))
        return seen[-1]

    data = dicom()
    monkeypatch.setattr(pydicom, "dcmread", reading)
    decode(data)
    assert not [keyword for keyword in PATIENT if keyword in seen[0]]
    assert "Rows" in seen[0]


@pytest.mark.parametrize("bits, factor", [(10, 1), (12, 16)])  # 16: 12 bits, as of HighBit 15
def test_values_of_more_bits_than_the_tags_tell_of_are_refused(bits, factor):
    made = dicom(BitsStored=bits, PixelData=(RAMP * factor).tobytes())
    for judge in (decode, decode_mask):
        with pytest.raises(ValueError, match=f"to {4032 * factor}, and tags that tell of {bits}"):
            judge(made)


def test_a_few_pixels_may_hold_what_is_laid_over_the_picture():
    letters = RAMP.copy()
    letters[20:24, 10:30] |= 0x8000
    shown = decode(dicom(letters, BitsStored=12)).pixels
    np.testing.assert_array_equal(shown, decode(dicom()).pixels)
    short = (RAMP.astype(int) - 2048 & 0xFFF).astype(np.uint16)  # 12 bits, the sign not spread
    made = decode(dicom(short, BitsStored=12, PixelRepresentation=1)).pixels
    np.testing.assert_array_equal(made, shown)


def test_signed_pixels():
    signed = (RAMP.astype(np.int16) - 2000).astype(np.int16)
    np.testing.assert_array_equal(decode(dicom(signed)).pixels, EXPECTED)
    header = struct.pack("<h", -2000)
    assert header in dicom(signed)


def test_read_picture_names_the_file(tmp_path):
    path = tmp_path / "Röntgen.png"  # whatever its name says
    path.write_bytes(dicom())
    assert formats.read_picture(path).kind == "DICOM"
    path.write_bytes(dicom(Modality="CT"))
    with pytest.raises(ValueError, match="Röntgen.png cannot be read: DICOM file with a CT slice"):
        formats.read_picture(path)
