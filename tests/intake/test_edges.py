"""A frame around a mask is cut off before its edge is looked at; a mask that is drawn is not."""

import numpy as np
import pytest

from unet_lib.intake import edges

PLACES = np.arange(2)


def edge_of(mask):
    codes, framed = edges.along(mask.astype(np.uint8), PLACES, (0, 1))
    return codes.mean(), framed


def test_a_shape_amid_the_picture_has_an_edge_of_0():
    mask = np.zeros((64, 64), bool)
    mask[20:40, 20:40] = True
    codes, framed = edges.along(mask.astype(np.uint8), PLACES, (0, 1))
    assert codes.shape == (1, 4 * 63) and not codes.any() and not framed


@pytest.mark.parametrize("width", [1, 3, 7])
def test_a_narrow_frame_around_an_inverted_mask_is_cut_off(width):
    mask = np.ones((64, 64), bool)
    mask[20:40, 20:40] = False
    mask[:width] = mask[-width:] = False
    mask[:, :width] = mask[:, -width:] = False
    assert edge_of(mask) == (1, True)


def test_a_shape_with_large_holes_in_a_broad_field_shows_its_rim():
    mask = np.zeros((64, 64), bool)
    mask[14:50, 14:50] = True
    assert edge_of(mask) == (0, False)
    mask[22:42, 22:42] = False
    assert edge_of(mask) == (1, True)
