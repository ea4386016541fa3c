"""What a shape covers: pixel centres, run lengths and patches, against independent references."""

import base64
import math

import cv2
import numpy as np
import pytest
from matplotlib.path import Path as Outline

from unet_lib.intake import outlines

SHAPE = (40, 50)
CENTRES = np.stack(np.meshgrid(np.arange(50) + 0.5, np.arange(40) + 0.5), -1).reshape(-1, 2)


def drawn(corners, shape=SHAPE):
    plane = np.zeros(shape, bool)
    top, left, pixels = outlines.fill(np.array(corners, float), shape)
    plane[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return plane


def star(seed):
    """Return a polygon that does not cross itself: angles rise, radii vary."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 30)))
    radii = rng.uniform(3, 30, len(angles))
    middle = rng.uniform(5, 35, 2)
    return middle + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], -1)


@pytest.mark.parametrize("seed", range(20))
def test_a_pixel_belongs_to_a_polygon_if_its_centre_lies_inside(seed):
    corners = star(seed)
    inside = Outline([*corners, corners[0]], closed=True).contains_points(CENTRES).reshape(SHAPE)
    np.testing.assert_array_equal(drawn(corners), inside)
    np.testing.assert_array_equal(drawn(corners[::-1]), inside)


@pytest.mark.parametrize("seed", range(20))
def test_the_area_is_that_of_the_polygon(seed):
    corners = star(seed) * 10 + 300  # all of it in the picture
    x, y = corners.T
    area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    perimeter = np.hypot(*(corners - np.roll(corners, -1, 0)).T).sum()
    assert abs(drawn(corners, (1000, 1000)).sum() - area) < 0.25 * perimeter


def test_a_box_between_pixels_covers_exactly_its_area():
    plane = drawn([(2, 3), (6, 3), (6, 8), (2, 8)])
    assert plane[3:8, 2:6].all() and plane.sum() == 20
    half = drawn([(2.5, 3.5), (6.5, 3.5), (6.5, 8.5), (2.5, 8.5)])  # upper left edge is inside
    assert half[3:8, 2:6].all() and half.sum() == 20
    grown = np.zeros(SHAPE, np.uint8)
    cv2.fillPoly(grown, [np.array([(2, 3), (6, 3), (6, 8), (2, 8)])], 1)
    assert grown.sum() == 30  # what the rule avoids


def test_neighbours_share_no_pixel_and_leave_no_gap():
    left = [(0, 0), (31.3, 0), (11.7, 40), (0, 40)]
    right = [(31.3, 0), (50, 0), (50, 40), (11.7, 40)]
    planes = drawn(left).astype(int) + drawn(right)
    assert (planes == 1).all()
    diagonal = drawn([(0, 0), (40, 40), (0, 40)]).astype(int) + drawn([(0, 0), (40, 0), (40, 40)])
    assert (diagonal[:, :40] == 1).all() and (diagonal[:, 40:] == 0).all()


def test_what_crosses_itself_is_filled_by_the_even_odd_rule():
    bow = drawn([(10, 10), (30, 30), (30, 10), (10, 30)])
    assert bow[20, 12] and bow[20, 27] and not bow[12, 20] and not bow[27, 20]
    twice = [(10, 10), (30, 10), (30, 30), (10, 30)] * 2
    assert not drawn(twice).any()


@pytest.mark.parametrize("far", [60, 1000, 1e6])
def test_a_polygon_is_clipped_to_the_picture(far):
    assert drawn([(-far, -far), (far, -far), (far, far), (-far, far)]).all()
    assert drawn([(-far, 10), (5, 10), (5, far), (-far, far)]).sum() == 30 * 5
    assert not drawn([(-far, 10), (-1, 10), (-1, far)]).any()
    assert not drawn([(51, 10), (far, 10), (far, far)]).any()
    assert not drawn([(10, 41), (20, 41), (20, far + 50)]).any()


def test_a_circle_has_its_area():
    drawing = outlines.Drawing(SHAPE)
    drawing.circle("lung", "shape 0", np.array([20.0, 18.0]), np.array([29.0, 30.0]))
    plane = drawing.planes().masks["lung"]
    assert plane[18, 20 + 14] and not plane[18, 20 + 15] and plane[18, 20 - 15]
    assert abs(plane.sum() - math.pi * 15**2) < 2 * math.pi * 15 * 0.1
    assert drawing.planes().notes == {}


def encode(mask):
    """Return run lengths down the columns, the first of background."""
    flat, counts, value = mask.T.ravel(), [0], False
    for pixel in flat:
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


def pack(counts):
    """Return COCO's string, written from its description: five bits a character, 48 added."""
    text = ""
    for number, count in enumerate(counts):
        value = int(count) - (int(counts[number - 2]) if number > 2 else 0)
        while True:
            bits, value = value & 31, value >> 5
            done = value == (-1 if bits & 16 else 0)
            text += chr(48 + bits + (0 if done else 32))
            if done:
                break
    return text


def runs(encoded, shape):
    drawing = outlines.Drawing(shape)
    drawing.runs("lung", "annotation 7", encoded)
    return drawing.planes().masks["lung"]


def test_run_lengths_go_down_the_columns():
    mask = runs({"size": [3, 4], "counts": [2, 3, 7]}, (3, 4))
    np.testing.assert_array_equal(mask, [[0, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]])
    first = runs({"size": [3, 4], "counts": [0, 1, 11]}, (3, 4))
    assert first[0, 0] and first.sum() == 1
    assert runs({"size": [3, 4], "counts": [0, 12]}, (3, 4)).all()
    assert not runs({"size": [3, 4], "counts": [12]}, (3, 4)).any()


def test_a_known_string_is_read_like_its_list():
    counts = [6, 1, 40, 4, 5, 4, 5, 4, 21]
    by_list = runs({"size": [9, 10], "counts": counts}, (9, 10))
    by_string = runs({"size": [9, 10], "counts": "61X13mN000`0"}, (9, 10))
    np.testing.assert_array_equal(by_string, by_list)
    assert by_list.sum() == 13


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.999])
def test_run_lengths_come_back_in_both_forms(share):
    mask = np.random.default_rng(5).random((97, 61)) < share
    counts = encode(mask)
    for form in (counts, pack(counts)):
        np.testing.assert_array_equal(runs({"size": [97, 61], "counts": form}, mask.shape), mask)


@pytest.mark.parametrize(
    "counts, came",
    [
        ([5, 6], "a sum of 11"), ([5, 8], "a sum of 13"), ([], "a sum of 0"),
        ([10**18], "a sum of 1000000000000000000"), ([13, -1], r"\[13, -1\]"),
        ([6.0, 6], r"\[6.0, 6\]"), (["6", 6], r"\['6', 6\]"), ([True, 11], r"\[True, 11\]"),
        (None, "None"), (12, "12"), ("6 ", "'6 '"), ("6X", "'6X'"), ("o" * 9000, "'ooo"),
        ("o" * 20 + "0", "'ooo"), ("", "a sum of 0"), ("\u3042", r"'\\u3042'"),
    ],
)  # fmt: skip
def test_wrong_run_lengths_are_refused(counts, came):
    text = f"annotation 7 needs run lengths that sum up to the picture's 12 pixels, got {came}"
    with pytest.raises(ValueError, match=text) as error:
        runs({"size": [3, 4], "counts": counts}, (3, 4))
    assert "export the annotations again" in str(error.value) and len(str(error.value)) < 250


@pytest.mark.parametrize("size", [[4, 3], [3, 5], None, "3x4", [3, 4, 1]])
def test_run_lengths_of_another_size_are_refused_with_both_sizes(size):
    with pytest.raises(ValueError, match=r"annotation 7 has run lengths for .* has \[3, 4\]") as e:
        runs({"size": size, "counts": [12]}, (3, 4))
    assert ascii(size) in str(e.value)


def test_a_size_that_is_written_as_text_is_a_size():
    assert runs({"size": ["3", " 4"], "counts": [0, 12]}, (3, 4)).all()
    outlines.Drawing((3, 4)).check_size("3", "4")
    with pytest.raises(ValueError, match=r"picture of 4 x 3 px .* exactly transposed"):
        outlines.Drawing((3, 4)).check_size("4", "3")


def png(mask):
    return base64.b64encode(cv2.imencode(".png", mask)[1].tobytes()).decode()


PATCH = np.random.default_rng(0).random((5, 7)) < 0.5
GREY = PATCH.astype(np.uint8)


def patch(corners, text=None, pixels=GREY):
    drawing = outlines.Drawing(SHAPE)
    drawing.patch("lung", "shape 2", np.array(corners, float), text or png(pixels))
    return drawing.planes()


@pytest.mark.parametrize(
    "pixels",
    [GREY, PATCH * np.uint8(255), PATCH * np.uint16(300), PATCH * np.uint16(1),
     np.dstack([PATCH * np.uint8(200)] * 3),
     np.dstack([PATCH * np.uint8(255)] * 3 + [np.full((5, 7), 255, np.uint8)])],
    ids="0/1 0/255 16-bit 16-bit-1 colour alpha".split(),
)  # fmt: skip
def test_a_patch_lies_at_its_box(pixels):
    for corners in ([(10, 20), (16, 24)], [(16, 24), (10, 20)], [(16, 20), (10, 24)]):
        plane = patch(corners, pixels=pixels).masks["lung"]
        np.testing.assert_array_equal(plane[20:25, 10:17], PATCH)
        assert plane.sum() == PATCH.sum()


def test_a_box_without_its_last_pixel_and_one_between_pixels_are_understood():
    for corners in ([(10, 20), (17, 25)], [(10.4, 19.6), (16.2, 24.4)]):
        np.testing.assert_array_equal(patch(corners).masks["lung"][20:25, 10:17], PATCH)


@pytest.mark.parametrize(
    "x, y", [(-3, 10), (10, -2), (46, 10), (10, 38), (-3, 38), (-40, 5), (60, 90)]
)
def test_a_patch_is_clipped_to_the_picture(x, y):
    planes = patch([(x, y), (x + 6, y + 4)])
    wide = np.zeros((200, 200), bool)
    wide[100 + y : 105 + y, 100 + x : 107 + x] = PATCH
    np.testing.assert_array_equal(planes.masks["lung"], wide[100:140, 100:150])
    assert planes.notes == {"annotation clipped": ": shape 2 reaches out of the picture"}


@pytest.mark.parametrize(
    "corners, text, why",
    [
        ([(10, 20), (19, 24)], None, r"its PNG has 7 x 5 px \(width x height\), its box 10 x 5"),
        ([(10, 20), (14, 26)], None, "its PNG has 7 x 5 px .* its box 5 x 7"),
        ([(10, 20)], None, "its box needs two corners, got 1"),
        ([(10, 20), (16, 24)], "%%%", "cannot identify"),
        ([(10, 20), (16, 24)], "abcde", "(padding|base64)"),
        ([(10, 20), (16, 24)], "\u3042", "ASCII"),
        ([(10, 20), (16, 24)], 17, "bytes-like"),
        ([(10, 20), (16, 24)], png(GREY)[:64], ""),
    ],
)
def test_a_wrong_patch_is_refused(corners, text, why):
    with pytest.raises(ValueError, match=f"shape 2 cannot be read as a mask: .*{why}.*draw it"):
        patch(corners, text)


@pytest.mark.parametrize(
    "value, came",
    [(float("nan"), "nan"), (float("inf"), "inf"), ("3", "'3'"), (None, "None"), (True, "True"),
     (1e9, "1000000000.0"), (-1e9, "-1000000000.0"), (10**400, "1000"), ([1], r"\[1\]")],
)  # fmt: skip
def test_what_is_no_coordinate_is_refused(value, came):
    text = f"shape 1 needs finite numbers as coordinates, up to 1,000,000 px, got {came}.*; draw"
    with pytest.raises(ValueError, match=text) as error:
        outlines.points([1, 2, value, 3], "shape 1")
    assert len(str(error.value)) < 200


def test_points_come_in_pairs():
    np.testing.assert_array_equal(outlines.points([1, 2, 3.5, 4], "x"), [[1, 2], [3.5, 4]])
    with pytest.raises(ValueError, match="shape 1 needs pairs x, y, got 3 numbers"):
        outlines.points([1, 2, 3], "shape 1")
    with pytest.raises(ValueError, match="shape 1 needs a list of points, got 'abc'"):
        outlines.points("abc", "shape 1")
