"""How far a model is from Keras is measured on phantoms, from a picture to its mask."""

import numpy as np
import pytest

from unet_lib import phantom, pixels
from unet_lib.commands import parity


def test_parity_measures_what_was_put_in(threshold_model):
    """A model of one convolution, whose mask is where a picture is brighter than a half."""
    reference = parity.Reference(threshold_model, pictures=4)
    assert reference.images[0].shape == (64, 64) and reference.squares.shape == (4, 16, 16, 1)

    class Off:
        def __init__(self, change):
            self.change = change

        def predict_on_batch(self, squares):
            return self.change(threshold_model.predict_on_batch(squares))

    same = reference.compare(Off(lambda said: said))
    assert (same.difference, same.worst, same.mean) == (0, 0, 0)
    same.require(parity.FLOAT)
    found = reference.compare(Off(lambda said: said * np.float32(0)))
    assert found.dice == 0 and found.worst >= found.keras > 0.1
    assert found.difference == pytest.approx(max(said.max() for said in reference.said))
    batch = reference.compare(Off(lambda said: said if len(said) == 1 else said[::-1]))
    assert batch.difference > 0.1 and batch.worst == 0  # right alone, mixed up in a batch
    with pytest.raises(parity.Differs, match="a probability differs by"):
        batch.require(parity.FLOAT)
    broken = reference.compare(Off(lambda said: said + np.float32("nan")))
    with pytest.raises(parity.Differs, match="differs by nan"):
        broken.require(parity.FLOAT)


@pytest.mark.parametrize("limits, values, words", [
    (parity.FLOAT, (0, 0.9, 0.9, 0.002), "the Dice of a picture differs by 0.002, allowed is 0.0"),
    (parity.INT8, (0.1, 0.9, 0.905, 0.1), "the mean Dice differs by 0.005, allowed is 0.001"),
    (parity.INT8, (0.95, 0.9, 0.9, 0), "a probability differs by 0.95, allowed is 0.9"),
])
def test_every_measure_counts(limits, values, words):
    with pytest.raises(parity.Differs, match=words):
        parity.Parity(66, *values).require(limits)


def test_calibration_pictures_are_not_those_of_parity():
    one, other = parity.calibration_squares(16, count=2)
    assert one.shape == (1, 16, 16, 1) and one.dtype == np.float32
    assert not np.array_equal(one, other)
    assert 0 <= one.min() and 0.5 < one.max() <= 1


class Says:
    """A model of some size that says one number everywhere."""

    def __init__(self, number, *, side=64):
        self.number, self.input_shape = number, (None, side, side, 1)

    def predict_on_batch(self, squares):
        return np.full_like(squares, self.number)


def test_numbers_come_from_the_pictures_own_pixels():
    """A mask of everything: Dice 2 m / (m + 1) of lungs that take the share m."""
    reference = parity.Reference(Says(1.0), pictures=2)
    assert [image.shape for image in reference.images] == [(102, 83)] * 2  # 1.6 and 1.3 times 64
    shares = np.array([mask.mean() for mask in reference.masks])
    each = 2 * shares / (shares + 1)
    found = reference.compare(Says(0.4))
    assert (found.pictures, found.dice) == (2, 0) and found.difference == pytest.approx(0.6)
    assert found.keras == found.mean == pytest.approx(each.mean())
    assert found.worst == pytest.approx(each.max())
    same = reference.compare(Says(0.4), threshold=0.3)
    assert same.mean == same.worst == 0 and same.dice == pytest.approx(each.mean())


@pytest.mark.parametrize("side, shape", [(16, (64, 64)), (48, (77, 64)), (100, (160, 130))])
def test_pictures_are_higher_than_wide_and_64_px_at_least(side, shape):
    reference = parity.Reference(Says(1.0, side=side), pictures=1)
    assert reference.images[0].shape == reference.masks[0].shape == shape
    assert reference.squares.shape == (1, side, side, 1) and reference.squares.max() <= 1


def test_a_limit_itself_is_allowed_and_66_phantoms_are_asked():
    parity.Parity(66, 1e-4, 0, 0, 1e-3).require(parity.FLOAT)
    parity.Parity(66, 0.9, 0, 1e-3, 1).require(parity.INT8)
    assert parity.PICTURES == 66


@pytest.mark.parametrize("size", [16, 100])
def test_calibration_pictures_are_drawn_by_number(size):
    squares = [*parity.calibration_squares(size, count=3)]
    drawn = phantom.draw([12, 8, 2], size=max(64, size))[0]
    wanted = pixels.to_float([pixels.resize_image(drawn, size)])
    assert len(squares) == 3 and np.array_equal(squares[2], wanted)
