"""From stored values to 8 bits: modality, view, inversion, padding, in this order and once."""

import numpy as np
import pytest
from made_dicoms import RAMP, dataset, dicom, table, written
from made_files import FLAT

from unet_lib.intake.formats import decode

FULL = np.floor(RAMP * (255 / 4032) + 0.5).astype(np.uint8)
WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}


def linear(values, center, width):
    """The formula of PS3.3 C.11.2.1.2, written once more."""
    part = (values - (center - 0.5)) / (width - 1) + 0.5
    return np.floor(np.clip(part, 0, 1) * 255 + 0.5)


@pytest.mark.parametrize(
    "tags, values, view",
    [
        ({}, RAMP * (255 / 4032), "data range 0 to 4032"),
        (WINDOW, linear(RAMP, 2048, 4096), "window 2048/4096 (center/width)"),
        ({"WindowCenter": [1000, 2048], "WindowWidth": [500, 4096]}, linear(RAMP, 1000, 500),
         "window 1000/500 (center/width), 1 of 2"),
        ({"WindowCenter": 0, "WindowWidth": 2000, "RescaleSlope": 0.5, "RescaleIntercept": -1000},
         linear(RAMP * 0.5 - 1000, 0, 2000), "window 0/2000 (center/width)"),
        ({**WINDOW, "VOILUTFunction": "LINEAR_EXACT"}, RAMP / 4096 * 255,
         "window 2048/4096 (center/width)"),
        ({**WINDOW, "VOILUTFunction": "SIGMOID"}, 255 / (1 + np.exp(-4 * (RAMP - 2048.0) / 4096)),
         "window 2048/4096 (center/width)"),
        ({"VOILUTSequence": [table(np.arange(4096) // 32 * 2)]}, RAMP // 32 * 2, "VOI LUT 1 of 1"),
        ({"VOILUTSequence": [table(np.arange(4095, -1, -1), bits=12)]}, 255 - RAMP / 4095 * 255,
         "VOI LUT 1 of 1"),
        ({"VOILUTSequence": [table([0, 85, 170, 255], first=1000)]},
         np.array([0, 85, 170, 255])[np.clip(RAMP.astype(int) - 1000, 0, 3)], "VOI LUT 1 of 1"),
        ({"VOILUTSequence": [table([0, 255]), table([255, 0])], **WINDOW}, linear(RAMP, 2048, 4096),
         "window 2048/4096 (center/width)"),
        ({"ModalityLUTSequence": [table(np.arange(4096) // 2, bits=12)], "WindowCenter": 1024,
          "WindowWidth": 2048}, linear(RAMP // 2, 1024, 2048), "window 1024/2048 (center/width)"),
    ],
    ids="none window two-windows rescale exact sigmoid lut descending-lut short-lut both modality"
    .split(),
)  # fmt: skip
def test_the_view_is_taken_by_one_rule_and_named(tags, values, view):
    raster = decode(dicom(**tags))
    assert raster.view == view and raster.notes == {} and raster.pixels.dtype == np.uint8
    np.testing.assert_allclose(raster.pixels, values, atol=0.5 + 1e-5)


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": 2048, "WindowWidth": 0},
        {"WindowCenter": 2048, "WindowWidth": -5},
        {"WindowCenter": 2048},
        {"WindowWidth": 2048},
        {"WindowCenter": 60_000, "WindowWidth": 10},
        {**WINDOW, "VOILUTFunction": "SPLINE"},
        {"VOILUTSequence": [table([9] * 4096)]},
    ],
    ids="zero negative no-width no-center outside function flat-lut".split(),
)  # fmt: skip
def test_a_view_of_no_use_falls_back_to_the_range_of_the_data(tags):
    raster = decode(dicom(**tags))
    np.testing.assert_array_equal(raster.pixels, FULL)
    name = "VOI LUT" if "VOILUTSequence" in tags else "window"
    assert raster.view == "data range 0 to 4032"
    assert raster.notes == {"unusable window": f" ({name})"}


def test_a_look_up_table_stands_in_for_a_window_of_no_use():
    tags = {"WindowCenter": 1, "WindowWidth": 0, "VOILUTSequence": [table(np.arange(4096) // 16)]}
    raster = decode(dicom(**tags))
    assert raster.view == "VOI LUT 1 of 1" and raster.notes == {"unusable window": " (window)"}


@pytest.mark.parametrize("view", [{}, WINDOW, {"VOILUTSequence": [table(np.arange(4096) // 16)]}],
                         ids=["range", "window", "lut"])  # fmt: skip
@pytest.mark.parametrize("shape", [None, "INVERSE", "IDENTITY"])
def test_both_twins_give_the_same_picture(view, shape):
    """MONOCHROME1 with the mirrored values looks like MONOCHROME2; turned once, not twice."""
    positive = decode(dicom(**view)).pixels
    mirrored = (4095 - RAMP).astype(np.uint16)
    tags = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, **view}
    if shape:
        tags["PresentationLUTShape"] = shape
    if "VOILUTSequence" in view:
        tags["VOILUTSequence"] = [table(255 - (4095 - np.arange(4096)) // 16)]
    np.testing.assert_array_equal(decode(dicom(mirrored, **tags)).pixels, positive)
    assert positive[0, 0] < 5 < 250 < positive[0, -1]


def test_twins_agree_where_a_value_lies_between_two_grey_levels():
    values = np.arange(340, dtype=np.uint16).reshape(17, 20)
    tags = {"WindowWidth": 340, "VOILUTFunction": "LINEAR_EXACT", "BitsStored": 12}
    positive = decode(dicom(values, WindowCenter=170, **tags)).pixels
    mirrored = decode(dicom((4095 - values).astype(np.uint16), WindowCenter=3925,
                            PhotometricInterpretation="MONOCHROME1", **tags))  # fmt: skip
    np.testing.assert_array_equal(mirrored.pixels, positive)


def test_an_inverse_presentation_alone_turns_too():
    turned = decode(dicom(PresentationLUTShape="INVERSE")).pixels
    np.testing.assert_array_equal(turned, 255 - FULL)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_8_bits_stay_as_stored(photometric):
    grey = FLAT[..., 0] // 2
    raster = decode(dicom(grey, PhotometricInterpretation=photometric))
    expected = grey if photometric == "MONOCHROME2" else 255 - grey
    np.testing.assert_array_equal(raster.pixels, expected)
    assert raster.view == "stored values"


def test_padding_sets_no_range_and_is_black():
    padded = RAMP.copy()
    padded[:10] = 63_000
    for photometric in ("MONOCHROME2", "MONOCHROME1"):
        made = dicom(padded, PixelPaddingValue=63_000, PhotometricInterpretation=photometric)
        pixels = decode(made).pixels
        assert (pixels[:10] == 0).all()
        seen = FULL if photometric == "MONOCHROME2" else 255 - FULL
        np.testing.assert_array_equal(pixels[10:], seen[10:])
    padded[:5] = 62_000
    between = dicom(padded, PixelPaddingValue=61_999, PixelPaddingRangeLimit=63_001)
    np.testing.assert_array_equal(decode(between).pixels[10:], FULL[10:])


def test_signed_padding_is_known_in_either_spelling():
    signed = RAMP.astype(np.int16)
    signed[:10] = -2000
    made = dataset(signed, PixelPaddingValue=-2000)
    made["PixelPaddingValue"].VR = "SS"
    wrong = dataset(signed)
    wrong.add_new("PixelPaddingValue", "US", 65536 - 2000)
    for data in (written(made), written(wrong)):
        np.testing.assert_array_equal(decode(data).pixels[10:], FULL[10:])


def test_a_single_bright_pixel_does_not_set_the_range():
    marked = RAMP.copy()
    marked[0, 0] = 65_535
    np.testing.assert_array_equal(decode(dicom(marked)).pixels[1:], FULL[1:])


def test_a_constant_picture_is_no_division_by_zero():
    for value in (0, 7):
        raster = decode(dicom(np.full((4, 4), value, np.uint16), **WINDOW))
        assert np.ptp(raster.pixels) == 0 and raster.notes == {}
        assert np.ptp(decode(dicom(np.full((4, 4), value, np.uint16))).pixels) == 0


def test_32_bits_are_spread_too():
    wide = RAMP.astype(np.uint32) * 1_000_000
    np.testing.assert_array_equal(decode(dicom(wide)).pixels, FULL)


def test_16_bit_colours_become_8_bit():
    colours = FLAT[..., :3].astype(np.uint16)
    np.testing.assert_array_equal(decode(dicom(colours * 257)).pixels, FLAT[..., :3])
    ten = decode(dicom(colours * 4, BitsStored=10)).pixels.astype(int)
    assert np.abs(ten - FLAT[..., :3]).max() <= 1
