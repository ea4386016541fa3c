"""One image and its masks are read alike by the audit and by what writes the data set."""

import json

import numpy as np
import pytest
from made_sets import LEFT, LUNGS, RIGHT, WHITE, chest, dicom, encode, put, turned

from unet_lib.intake import reading, values
from unet_lib.intake.masks import Meaning


def test_an_image_keeps_its_depth(tmp_path):
    deep = chest(0).astype(np.uint16) * 18
    grey, raster = reading.read_image(put(tmp_path / "deep.png", deep))
    np.testing.assert_array_equal(grey, deep)
    assert grey.dtype == np.uint16 and raster.kind == "PNG" and not raster.settled
    colours = np.dstack([chest(0)] * 3)
    colours[0, 0] = 255, 0, 0
    grey, raster = reading.read_image(put(tmp_path / "colour.png", colours))
    assert (grey[1:] == chest(0)[1:]).all() and grey[0, 0] == 76 and "colour image" in raster.notes


@pytest.mark.parametrize(("ratio", "shape"), [((2, 1), (128, 64)), ((1, 2), (64, 128))])
def test_pixels_become_square(ratio, shape, tmp_path):
    data = dicom(chest(0) * np.uint16(16), PixelAspectRatio=list(ratio))
    grey, raster = reading.read_image(put(tmp_path / "film", data))
    assert grey.shape == shape and raster.pixels.shape == (64, 64) and raster.settled
    assert "non-square pixels" in raster.notes


def test_a_mask_file_gives_its_values_and_its_faults(tmp_path):
    found, notes = reading.read_mask(put(tmp_path / "m.png", WHITE), tmp_path / "x.png", (64, 64))
    assert [each.keys for each in found] == [(0, 255)] and notes == {}
    sideways = put(tmp_path / "turned.png", turned(np.rot90(WHITE)))
    found, notes = reading.read_mask(sideways, tmp_path / "x.png", (64, 64))
    np.testing.assert_array_equal(found[0].codes > 0, LUNGS)
    assert notes == {"turned by its orientation flag": " (flag 6)"}


def test_an_annotation_gives_a_plane_a_label_and_says_what_it_left_out(tmp_path):
    box = [[8, 12], [27, 12], [27, 52], [8, 52]]
    shapes = [{"label": "right lung", "points": box, "shape_type": "polygon"},
              {"label": "scar", "points": [[1, 1]], "shape_type": "point"}]  # fmt: skip
    text = json.dumps({"imagePath": "x.png", "imageHeight": 64, "imageWidth": 64, "shapes": shapes})
    path = put(tmp_path / "x.json", text)
    found, notes = reading.read_mask(path, tmp_path / "x.png", (64, 64))
    assert [each.keys for each in found] == [(0, "right lung")]
    np.testing.assert_array_equal(found[0].codes > 0, RIGHT)
    assert notes == {"annotation ignored": ' (x.png): shape 1 "scar" is a point'}


def test_masks_of_one_image_are_joined_at_its_size():
    meaning = Meaning(frozenset({1}), {}, (), ())
    small, whole = (values.read_values(reading.Raster(m * np.uint8(1), None, "PNG"))
                    for m in (RIGHT[::2, ::2], LEFT))  # fmt: skip
    joined = reading.finish_mask([small, whole], meaning, (64, 64))
    assert joined.dtype == np.uint8 and set(np.unique(joined)) == {0, 1}
    np.testing.assert_array_equal(joined > 0, RIGHT[::2, ::2].repeat(2, 0).repeat(2, 1) | LEFT)
    assert not reading.finish_mask([], meaning, (64, 64)).any()


def test_fit_makes_no_new_value():
    labels = np.random.default_rng(0).choice([0, 7, 9], (30, 40)).astype(np.uint8)
    assert set(np.unique(reading.fit(labels, (77, 103)))) == {0, 7, 9}
    assert reading.fit(labels, (30, 40)) is labels


def test_proportions_within_a_hundredth():
    assert reading.same_proportions((299, 299), (256, 256))
    assert reading.same_proportions((1000, 1000), (500, 504))
    assert not reading.same_proportions((1000, 1000), (500, 506))
    assert not reading.same_proportions((20, 24), (24, 20))


def test_a_finished_image_is_scaled_and_turned_round():
    grey = np.array([[0, 1000, 4095, 65535]], np.uint16)
    made = reading.finish_image(grey, reach=(0, 4095))
    assert made.dtype == np.uint8 and made.tolist() == [[0, 62, 255, 255]]
    assert (reading.finish_image(grey, reach=(0, 4095), turned=True) == 255 - made).all()
    plain = chest(0)
    assert reading.finish_image(plain, reach=None) is plain
    assert (reading.finish_image(plain, reach=None, turned=True) == 255 - plain).all()


def test_what_is_no_picture_is_refused(tmp_path):
    for name, content in (("image.png", b""), ("mask.json", "{}")):
        put(tmp_path / name, content)
    with pytest.raises(ValueError, match="empty file of 0 bytes"):
        reading.read_image(tmp_path / "image.png")
    with pytest.raises(ValueError, match="mask.json"):
        reading.read_mask(tmp_path / "mask.json", tmp_path / "x.png", (4, 4))
    with pytest.raises(OSError):
        reading.read_image(tmp_path / "none.png")


def test_encode_is_read_back(tmp_path):
    """The helper of these tests is sound."""
    for kind in ("png", "bmp", "tiff"):
        grey, _ = reading.read_image(put(tmp_path / kind, encode(chest(3), kind)))
        np.testing.assert_array_equal(grey, chest(3))


def test_classes_keep_their_numbers_and_the_higher_one_counts_where_two_overlap():
    meaning = Meaning(frozenset({1, 2}), {}, (), (), classes=("a", "b"), numbers={1: 1, 2: 2})
    one, two = np.zeros((2, 64, 64), np.uint8)
    one[:40], two[30:50] = 1, 2
    found = [values.read_values(reading.Raster(m, None, "PNG")) for m in (two, one[::2, ::2])]
    joined = reading.finish_mask(found, meaning, (64, 64))
    assert [int(joined[row, 0]) for row in (0, 29, 30, 39, 49, 50)] == [1, 1, 2, 2, 2, 0]
