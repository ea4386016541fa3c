import io

import cv2
import numpy as np
import pytest
from PIL import Image

from unet_lib.intake import values
from unet_lib.intake.formats import Raster

RIGHT, LEFT = np.zeros((2, 96, 96), bool)
cv2.ellipse(right := np.zeros((96, 96), np.uint8), (28, 48), (16, 34), 0, 0, 360, 1, -1)
RIGHT, LEFT = right > 0, right[:, ::-1] > 0
BOTH = (RIGHT | LEFT).astype(np.uint8)


def raster(pixels, alpha=None):
    return Raster(np.asarray(pixels), alpha, "PNG", {})


def jpeg(pixels, quality=75):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return raster(np.asarray(Image.open(buffer)))


def counted(pixels, alpha=None):
    given = pixels if isinstance(pixels, Raster) else raster(pixels, alpha)
    return values.count(values.read_values(given))


def held(count):
    return {key for key, number in count.pixels.items() if number}


@pytest.mark.parametrize("foreground", [1, 2, 128, 200, 255])
def test_two_values_are_two_labels(foreground):
    count = counted(BOTH * np.uint8(foreground))
    assert count.pixels == {0: int((BOTH == 0).sum()), foreground: int(BOTH.sum())}
    assert (count.soft, count.broad, count.faint, count.form) == (0, False, False, "")
    assert count.border == {0: 4 * 95, foreground: 0} and count.shape == (96, 96)


@pytest.mark.parametrize("quality", [10, 20, 35, 50, 75, 95])
def test_jpeg_has_the_labels_0_and_255(quality):
    count = counted(jpeg(BOTH * np.uint8(255), quality))
    assert held(count) == {0, 255} and count.soft > 0 and not count.broad
    assert count.pixels[255] == pytest.approx(int(BOTH.sum()), rel=0.02)


@pytest.mark.parametrize("quality", [20, 50, 75, 95])
def test_three_labels_stay_three_in_a_jpeg(quality):
    count = counted(jpeg(np.uint8(127) * RIGHT + np.uint8(255) * LEFT, quality))
    assert len(held(count)) == 3
    assert sorted(held(count))[1] == pytest.approx(127, abs=4)


@pytest.mark.parametrize("scale", [0.5, 1.3, 2, 4])
@pytest.mark.parametrize("way", [cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA])
def test_resizing_makes_a_soft_border(scale, way):
    resized = cv2.resize(BOTH * np.uint8(255), None, fx=scale, fy=scale, interpolation=way)
    count = counted(resized)
    assert held(count) == {0, 255} and not count.broad
    assert count.pixels[255] == pytest.approx(int(BOTH.sum()) * scale**2, rel=0.05)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_a_line_amid_one_label_is_a_label_and_no_border(width):
    """A tube of two pixels: it fills no area, and has the ground on both sides."""
    line = cv2.line(np.zeros((96, 96), np.uint8), (46, 2), (52, 94), 128, width)
    mask = np.maximum(BOTH * np.uint8(255), line)
    assert held(counted(mask)) == {0, 128, 255}
    assert held(counted(255 - mask)) == {0, 127, 255}
    assert held(counted(np.full((96, 96, 3), 255, np.uint8), mask)) == {0, 128, 255}


@pytest.mark.parametrize("drawn", [255, 0])
@pytest.mark.parametrize("ends", [((46, 2), (52, 94)), ((48, 2), (48, 94)), ((2, 40), (94, 43))])
@pytest.mark.parametrize("soften", [
    lambda mask: cv2.GaussianBlur(mask, (0, 0), 1),
    lambda mask: cv2.resize(mask, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_LINEAR),
    lambda mask: cv2.resize(mask, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)])
def test_a_soft_line_is_none(drawn, ends, soften):
    """A tube of the lungs' own value, or a fissure between them: its greys are peaks as well."""
    mask = cv2.line(BOTH * np.uint8(255), *ends, drawn, 2)
    assert held(counted(soften(mask))) == {0, 255}


def test_a_few_greys_amid_the_ground_are_no_label():
    mask = BOTH * np.uint8(255)
    mask[2:90:6, 2] = 128
    count = counted(mask)
    assert held(count) == {0, 255} and count.soft == 15


def test_a_border_of_one_grey_stays_a_border():
    for share in (0.3, 0.5, 0.7):
        soft = cv2.resize(BOTH * np.uint8(255), (48, 48), interpolation=cv2.INTER_AREA)
        soft[(soft > 0) & (soft < 255)] = round(255 * share)
        assert held(counted(soft)) == {0, 255}


def test_a_soft_border_is_cut_in_its_middle():
    levels = np.array([0, 0, 0, 100, 127, 128, 180, 255, 255, 255], np.uint8)
    soft = np.tile(np.repeat(levels, 4), (40, 1))
    soft[:, 12:28:4] += np.arange(40, dtype=np.uint8)[:, None] % 2  # no value fills an area
    found = values.read_values(raster(soft))
    places, labels, _ = values.find_labels(found)
    bright = np.array(labels)[places][found.codes] == 255
    assert (bright == (soft > 127)).all()


def test_16_bits():
    assert held(counted(BOTH.astype(np.uint16) * 65535)) == {0, 65535}
    soft = cv2.GaussianBlur(BOTH.astype(np.float32) * 65535, (5, 5), 1.5).astype(np.uint16)
    assert held(counted(soft)) == {0, 255}
    colours = np.dstack([RIGHT, LEFT, BOTH * 0]).astype(np.uint16)
    assert held(counted(colours)) == {0, "#010000", "#000100"}  # as those of 8 bits
    assert held(counted(colours * 65535)) == {0, "#ff0000", "#00ff00"}
    many = np.arange(400, dtype=np.uint16).reshape(20, 20).repeat(8, 0).repeat(8, 1)  # instances
    assert held(counted(many)) == set(range(400))


def test_colours_are_named_and_greys_are_numbers():
    pixels = np.dstack([np.uint8(255) * LEFT, 0 * LEFT, np.uint8(128) * RIGHT]).astype(np.uint8)
    assert held(counted(pixels)) == {0, "#ff0000", "#000080"}
    assert counted(pixels).form == "colour"
    grey = counted(np.dstack([BOTH * np.uint8(255)] * 3))
    assert held(grey) == {0, 255} and grey.form == ""


@pytest.mark.parametrize("quality", [40, 75, 95])
def test_a_coloured_jpeg(quality):
    red = np.dstack([BOTH * np.uint8(255), BOTH * 0, BOTH * 0])
    count = counted(jpeg(red, quality))
    assert held(count) == {0, "#ff0000"}
    assert count.pixels["#ff0000"] == pytest.approx(int(BOTH.sum()), rel=0.1)


def test_alpha_over_one_colour_is_the_mask():
    white = np.full((96, 96, 3), 255, np.uint8)
    count = counted(white, BOTH * np.uint8(255))
    assert held(count) == {0, 255} and count.form == "alpha"
    assert count.pixels[255] == BOTH.sum()


def test_constant_alpha_is_dropped():
    for alpha in (0, 255):
        count = counted(BOTH, np.full((96, 96), alpha, np.uint8))
        assert held(count) == {0, 1} and count.form == ""


def test_colours_under_transparency_are_not_read():
    pixels = np.full((96, 96, 3), 255, np.uint8)
    pixels[RIGHT] = 255, 0, 0
    pixels[0, 0] = 9, 9, 9  # hidden
    count = counted(pixels, BOTH * np.uint8(200) * (RIGHT > 0))
    assert held(count) == {"#ff0000", values.TRANSPARENT} and count.form == "transparent"


def test_half_transparent_is_the_limit():
    pixels = np.dstack([BOTH * np.uint8(255), BOTH * 0, BOTH * 0])
    alpha = np.full((96, 96), 255, np.uint8)
    alpha[:2] = 127
    alpha[2:4] = 128
    count = counted(pixels, alpha)
    assert count.pixels[values.TRANSPARENT] == 2 * 96


@pytest.mark.parametrize("deep", [1, 257])
def test_a_colour_that_is_drawn_half_transparent_is_no_ground(deep):
    """Annotation tools export an opacity of 40 %, of one label or of all."""
    kind = np.uint8 if deep == 1 else np.uint16
    pixels = np.dstack([255 * RIGHT, 0 * RIGHT, 255 * LEFT]).astype(kind) * kind(deep)
    for ofright in (255, 100, 40):
        drawn = (ofright * RIGHT + 100 * LEFT).astype(kind) * kind(deep)
        count = counted(pixels, drawn)
        assert {k: n for k, n in count.pixels.items() if n} == {
            values.TRANSPARENT: (BOTH == 0).sum(), "#ff0000": RIGHT.sum(), "#0000ff": LEFT.sum()}


def test_what_was_erased_but_for_a_trace_is_not_drawn():
    pixels = np.dstack([255 * RIGHT, 0 * RIGHT, 255 * LEFT]).astype(np.uint8)
    count = counted(pixels, (3 * RIGHT + 255 * LEFT).astype(np.uint8))
    assert {k for k, n in count.pixels.items() if n} == {values.TRANSPARENT, "#0000ff"}


@pytest.mark.parametrize("top", [255, 100])
@pytest.mark.parametrize("mixed", [False, True])
def test_an_antialiased_edge_is_cut_in_its_middle(top, mixed):
    """Whether its colour stays or is mixed with the black of the ground."""
    share = cv2.GaussianBlur(BOTH.astype(np.float32), (7, 7), 1.5)
    red = np.rint(255 * share) if mixed else 255 * (share > 0)
    pixels = np.dstack([red, 0 * red, 0 * red]).astype(np.uint8)
    count = counted(pixels, np.rint(top * share).astype(np.uint8))
    assert count.pixels[values.TRANSPARENT] == pytest.approx(int((BOTH == 0).sum()), rel=0.03)
    assert "#ff0000" in held(count) and (mixed or len(held(count)) == 2)


def test_a_photograph_is_broad():
    rng = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(rng.random((96, 96)).astype(np.float32), (0, 0), 8)
    photo = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    assert counted(photo).broad
    noise = rng.integers(0, 256, (96, 96), dtype=np.uint8)
    assert counted(noise).broad


def test_scattered_small_values_are_faint():
    line = np.zeros((96, 96), np.uint8)
    line[3] = 3
    assert counted(line).faint
    noise = np.random.default_rng(0).integers(0, 4, (96, 96)).astype(np.uint8)
    assert counted(noise).faint
    for drawn in (BOTH, BOTH * np.uint8(3), line * np.uint8(6), line // 3, line * 0):
        assert not counted(drawn).faint


def test_void_around_label_1_stays_a_value_of_its_own():
    ringed = BOTH.copy()
    ringed[(cv2.dilate(BOTH, np.ones((3, 3), np.uint8)) > 0) & (BOTH == 0)] = 255
    assert held(counted(ringed)) == {0, 1, 255}


def test_neighbouring_small_labels_are_never_joined():
    stripes = np.repeat(np.arange(12, dtype=np.uint8), 8)[None].repeat(96, 0)
    assert held(counted(stripes)) == set(range(12))
    stripes[40:56, 40:56] = 255
    assert held(counted(stripes)) == {*range(12), 255}


def test_plane_of_an_annotation():
    count = values.count(values.from_plane(RIGHT, "right lung"))
    assert count.pixels == {0: int((~RIGHT).sum()), "right lung": int(RIGHT.sum())}
    assert count.form == "label"
