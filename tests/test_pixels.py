"""From a picture to the model's size and back."""

import cv2
import numpy as np
import pytest

from unet_lib import pixels


def test_resized_masks_stay_binary_and_keep_their_area():
    mask = np.zeros((301, 257), np.uint8)
    mask[50:250, 40:170] = 1
    for size in (64, 128, 512):
        small = pixels.resize_mask(mask, size)
        assert small.shape == (size, size) and set(np.unique(small)) == {0, 1}
        assert small.mean() == pytest.approx(mask.mean(), abs=0.02)


def test_a_mask_pixel_is_lung_where_half_of_what_it_covers_is():
    mask = np.zeros((4, 4), np.uint8)
    mask[0, :2] = 1  # half of the first of four blocks
    mask[0, 2] = 1  # a quarter of the second
    assert pixels.resize_mask(mask, 2).tolist() == [[1, 0], [0, 0]]


def test_shrinking_averages_areas():
    checker = np.kron([[0, 200], [200, 0]], np.ones((8, 8))).astype(np.uint8)
    assert pixels.resize_image(checker, 2).tolist() == [[0, 200], [200, 0]]
    fine = np.tile(np.array([[0, 200], [200, 0]], np.uint8), (8, 8))
    assert (pixels.resize_image(fine, 4) == 100).all()  # nearest neighbour would give 0 or 200


def test_a_probability_comes_back_at_the_images_own_size():
    probability = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4, 1)
    large = pixels.resize_probability(probability, (20, 30))
    assert large.shape == (20, 30) and large.dtype == np.float32
    assert 0 <= large.min() < large.max() <= 1
    back = pixels.resize_probability(pixels.resize_probability(probability, (64, 64)), (4, 4))
    assert back == pytest.approx(probability[..., 0], abs=0.02)


def test_grey_levels_become_shares_of_white():
    found = pixels.to_float(np.array([[[0, 51], [204, 255]]], np.uint8))
    assert found.shape == (1, 2, 2, 1) and found.dtype == np.float32
    assert found.ravel() == pytest.approx([0, 0.2, 0.8, 1])


def test_enlarging_is_bilinear():
    """Between two pixels lie the values in between; areas would give blocks."""
    small = np.array([[0, 200], [0, 200]], np.uint8)
    assert pixels.resize_image(small, 8)[0].tolist() == [0, 0, 25, 75, 125, 175, 200, 200]


@pytest.mark.parametrize("shape", [(16, 40), (40, 16)])
def test_an_image_of_which_one_side_is_smaller_is_enlarged_bilinearly(shape):
    """Areas are averaged only where both sides shrink."""
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    expected = cv2.resize(image, (24, 24), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(pixels.resize_image(image, 24), expected)


def test_a_probability_with_and_without_channel_axis_is_the_same():
    probability = np.random.default_rng(0).random((4, 6), np.float32)
    flat = pixels.resize_probability(probability, (9, 11))
    assert np.array_equal(flat, pixels.resize_probability(probability[..., None], (9, 11)))


def test_of_several_classes_a_pixel_gets_the_one_that_covers_most_of_it():
    mask = np.array([[1, 1, 3, 0], [3, 1, 3, 0], [0, 0, 2, 2], [0, 3, 2, 3]], np.uint8)
    small = pixels.resize_mask(mask, 2)
    assert small.tolist() == [[1, 0], [0, 2]] and small.dtype == np.uint8  # a draw: the lower one
    random = np.random.default_rng(0).choice(np.array([0, 2, 7], np.uint8), (9, 13))
    for size in (5, 32):
        assert set(np.unique(pixels.resize_mask(random, size))) <= {0, 2, 7}


def test_probabilities_of_several_classes_come_back_together():
    both = np.random.default_rng(0).random((4, 4, 2), np.float32)
    large = pixels.resize_probability(both, (9, 7))
    assert large.shape == (9, 7, 2)
    for k in (0, 1):
        assert large[..., k] == pytest.approx(pixels.resize_probability(both[..., k], (9, 7)))
