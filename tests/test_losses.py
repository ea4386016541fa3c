"""The Keras versions against NumPy: losses by their formula, the batch's Dice by `metrics`."""

import keras
import numpy as np
import pytest

from unet_lib import losses, metrics


def test_keras_dice_equals_the_numpy_dice_of_each_image():
    rng = np.random.default_rng(0)
    masks = (rng.random((5, 16, 16, 1)) < 0.3).astype(np.float32)
    probability = rng.random((5, 16, 16, 1)).astype(np.float32)
    masks[0], probability[0], probability[1] = 0, 0.1, 0.1  # both empty; one empty
    expected = [
        metrics.dice(m[..., 0], p[..., 0] >= 0.5) for m, p in zip(masks, probability, strict=True)
    ]
    assert np.asarray(losses.batch_dice(masks, probability)) == pytest.approx(expected)
    assert expected[:2] == [1.0, 0.0]


def test_bce_dice_equals_its_formula():
    rng = np.random.default_rng(1)
    masks = (rng.random((3, 8, 8, 1)) < 0.4).astype(np.float32)
    p = rng.uniform(0.01, 0.99, (3, 8, 8, 1)).astype(np.float32)
    for k in range(3):
        entropy = -np.mean(masks[k] * np.log(p[k]) + (1 - masks[k]) * np.log(1 - p[k]))
        soft = 1 - 2 * np.sum(masks[k] * p[k]) / (np.sum(masks[k]) + np.sum(p[k]))
        got = float(losses.bce_dice(masks, p)[k])
        assert got == pytest.approx(entropy + soft, abs=1e-5)


def test_a_model_with_our_loss_and_metric_can_be_saved_and_loaded(tmp_path):
    model = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Conv2D(1, 1, activation="sigmoid")]
    )
    dice = keras.metrics.MeanMetricWrapper(losses.batch_dice, name="dice")
    model.compile(loss=losses.LOSSES["bce_dice"], metrics=[dice])
    image, mask = np.random.default_rng(0).random((2, 2, 4, 4, 1)).astype(np.float32)
    mask = np.round(mask)
    model.train_on_batch(image, mask)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    before = model.evaluate(image, mask, return_dict=True, verbose=0)
    after = loaded.evaluate(image, mask, return_dict=True, verbose=0)
    assert set(before) == {"loss", "dice"} and after == pytest.approx(before)


def test_a_probability_of_exactly_a_half_is_lung():
    mask = np.ones((2, 2, 2, 1), np.float32)
    below = np.nextafter(np.float32(0.5), np.float32(0))
    probability = np.stack([np.full((2, 2, 1), value, np.float32) for value in (0.5, below)])
    assert np.asarray(losses.batch_dice(mask, probability)).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("truth", "guess", "wanted"), [(0, 0, 1.0), (1, 0, 0.0), (0, 1, 0.0), (1, 1, 1.0)]
)
def test_one_pixel_is_not_yet_an_empty_mask(truth, guess, wanted):
    mask, probability = np.zeros((2, 1, 3, 3, 1), np.float32)
    mask[0, 1, 1], probability[0, 1, 1] = truth, guess
    assert np.asarray(losses.batch_dice(mask, probability)).tolist() == [wanted]


@pytest.mark.parametrize("name", list(losses.LOSSES))
def test_each_loss_prefers_the_truth_and_has_a_slope_everywhere(name):
    loss = keras.losses.get(losses.LOSSES[name])
    mask = np.zeros((1, 4, 4, 1), np.float32)
    mask[0, 1:3, 1:3] = 1
    right, unsure, wrong = (
        float(np.mean(loss(mask, np.abs(mask - miss, dtype=np.float32))))
        for miss in (0.1, 0.5, 0.9)
    )
    assert 0 <= right < unsure < wrong


@pytest.fixture
def three():
    """Masks of two classes and background, and probabilities; the first image lacks class 2."""
    rng = np.random.default_rng(2)
    masks = rng.integers(0, 3, (4, 8, 8, 1)).astype(np.float32)
    masks[0] = masks[0] == 1
    p = rng.uniform(0.01, 1, (4, 8, 8, 3)).astype(np.float32)
    return masks, p / p.sum(-1, keepdims=True)


def test_dice_of_several_classes_is_the_mean_of_each(three):
    masks, p = three
    p[0, ..., 2] = 0  # which is right: no pixel of that class is there
    expected = [
        np.mean([metrics.dice(m[..., 0] == k, q.argmax(-1) == k) for k in (1, 2)])
        for m, q in zip(masks, p, strict=True)
    ]
    assert np.asarray(losses.batch_dice(masks, p)) == pytest.approx(expected)
    assert expected[0] > 0.5


def test_losses_of_several_classes_equal_their_formulas(three):
    masks, p = three
    for k in range(4):
        given = np.take_along_axis(p[k], masks[k].astype(int), -1)  # to the true class
        soft = [1 - 2 * p[k][masks[k][..., 0] == c, c].sum()
                / ((masks[k] == c).sum() + p[k][..., c].sum()) for c in (1, 2)]
        wanted = {"bce": -np.log(given), "dice": np.mean(soft),
                  "bce_dice": -np.log(given).mean() + np.mean(soft),
                  "focal": -((1 - given) ** 2) * np.log(given)}
        for name, value in wanted.items():
            loss = keras.losses.get(losses.choose(name, classes=("a", "b")))(masks, p)
            assert np.asarray(loss)[k] == pytest.approx(np.squeeze(value), abs=1e-5), name


def test_one_class_keeps_its_losses():
    for name, loss in losses.LOSSES.items():
        assert losses.choose(name) is losses.choose(name, classes=[]) is loss
    assert set(losses.CLASSES_LOSSES) == set(losses.LOSSES)
