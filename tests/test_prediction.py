"""Prediction: the size of the picture, the same as notebook 05's, and few pictures in memory."""

import ast
import weakref

import cv2
import keras
import nbformat
import numpy as np
import pytest

from unet_lib import architecture, metrics, prediction, workspace


@pytest.fixture(scope="module")
def unet():
    keras.utils.set_random_seed(5)
    return architecture.build_unet(32, width=2, head="direct", normalization="batch")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_prediction_has_the_images_own_size(threshold_model):
    images, halves = [], []
    for height, width, columns in ((48, 32, 16), (32, 64, 32)):
        image, half = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
        image[:, :columns], half[:, : width // 2] = 255, 1
        images.append(image)
        halves.append(half)
    found = list(prediction.predict_all(threshold_model, images))
    assert [(p.shape, p.dtype) for p in found] == [((48, 32), np.float32), ((32, 64), np.float32)]
    assert np.array_equal(found[1] >= 0.5, halves[1])
    assert metrics.dice(halves[0], found[0] >= 0.5) == 1


@pytest.fixture(scope="module")
def inline():
    """The function `predict` that notebook 05 defines."""
    notebook = nbformat.read(workspace.PROJECT / "notebooks" / "05_evaluate.ipynb", as_version=4)
    (source,) = (cell.source for cell in notebook.cells if cell.id == "one-image")
    nodes = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    space = {"keras": keras, "np": np, "cv2": cv2}
    exec(compile(ast.Module(nodes, []), "05_evaluate", "exec"), space)
    return space["predict"]


@pytest.mark.parametrize(
    "shape", [(32, 32), (64, 64), (33, 47), (200, 90), (20, 24), (31, 64), (64, 31), (1, 1)]
)
def test_the_notebook_predicts_what_the_library_predicts(inline, unet, shape):
    image = noise(*shape)
    ours, imported = inline(unet, image), prediction.predict(unet, image)
    assert ours.shape == imported.shape == shape and ours.dtype == imported.dtype == np.float32
    assert np.array_equal(ours, imported)
    assert 0 <= imported.min() <= imported.max() <= 1
    assert np.ptp(imported) > 0.01 or shape == (1, 1)


def test_many_images_are_predicted_in_order_as_one_by_one(unet):
    images = [noise(20 + 7 * k, 50 - 3 * k, seed=k) for k in range(7)]
    wanted = [prediction.predict(unet, image) for image in images]
    for batch_size in (1, 3, 7, 8):
        found = list(prediction.predict_all(unet, iter(images), batch_size=batch_size))
        for one, other in zip(found, wanted, strict=True):
            assert one.shape == other.shape and np.allclose(one, other, atol=1e-6)
    assert list(prediction.predict_all(unet, [])) == []


@pytest.mark.parametrize(("options", "batch_size"), [({"batch_size": 1}, 1), ({}, 8)])
def test_no_more_than_a_batch_of_pictures_is_in_memory(threshold_model, options, batch_size):
    living, most = weakref.WeakSet(), []
    asked = 0

    class Picture(np.ndarray):  # a plain array cannot be a key
        __hash__ = object.__hash__

        def __eq__(self, other):
            return self is other

    def pictures():
        nonlocal asked
        for k in range(10):
            asked += 1
            picture = noise(20, 20 + k).view(Picture)
            living.add(picture)
            most.append(len(living))
            yield picture
            del picture

    found = prediction.predict_all(threshold_model, pictures(), **options)
    assert asked == 0  # nothing before it is needed
    for given, probability in enumerate(found, 1):
        assert probability.shape == (20, 19 + given)
        assert asked - given < batch_size
    assert asked == 10 and max(most) == batch_size


def test_squares_are_predicted_like_images_of_that_size(unet):
    squares = noise(5, 32, 32)
    found = prediction.predict_squares(unet, squares, batch_size=2)
    assert found.shape == (5, 32, 32) and found.dtype == np.float32 and np.ptp(found) > 0.01
    for one, square in zip(found, squares, strict=True):
        assert np.allclose(one, prediction.predict(unet, square), atol=1e-6)
    assert prediction.predict_squares(unet, squares[:0]).shape == (0, 32, 32)


@pytest.mark.parametrize(("options", "sizes"), [({"batch_size": 4}, [4, 4, 3]), ({}, [8, 3])])
def test_squares_go_through_the_model_a_batch_at_a_time(options, sizes):
    class Model:
        def __init__(self):
            self.seen = []

        def predict_on_batch(self, batch):
            self.seen.append(len(batch))
            return batch

    model, squares = Model(), noise(11, 16, 16)
    found = prediction.predict_squares(model, squares, **options)
    assert model.seen == sizes and np.array_equal(found, np.float32(squares) / 255)


def test_a_model_is_loaded_or_it_is_said_why_not(unet, tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    path = tmp_path / "runs" / "a" / "best.keras"
    with pytest.raises(FileNotFoundError, match=r"^runs/a/best.keras .*notebooks/04_train.ipynb"):
        prediction.load(path)
    path.parent.mkdir(parents=True)
    unet.save(path)
    image = noise(40, 30)
    again = prediction.predict(prediction.load(path), image)
    assert np.array_equal(again, prediction.predict(unet, image))


def test_a_model_with_our_losses_is_loaded(unet, tmp_path):
    from unet_lib import experiments  # the losses' names must be known without it

    copy = keras.models.clone_model(unet)
    options = {"learning_rate": 0.1, "schedule": "cosine", "total_steps": 3}
    experiments.compile_unet(copy, loss="bce_dice", **options)
    copy.optimizer.build(copy.trainable_variables)  # as a first step does
    copy.save(tmp_path / "compiled.keras")
    assert prediction.load(tmp_path / "compiled.keras").input_shape == (None, 32, 32, 1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data[:200] + bytes(2000) + data[2200:],
        lambda data: b"no model",
    ],
)
def test_a_damaged_model_is_refused_by_name(unet, tmp_path, monkeypatch, damage):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    path = tmp_path / "best.keras"
    unet.save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"^best.keras cannot be read as a Keras .*04_train"):
        prediction.load(path)


def test_cleaning_up_keeps_the_two_largest_parts_and_fills_holes():
    found = np.zeros((12, 20), np.uint8)
    found[1:9, 1:7] = 1
    found[4:6, 3:5] = 0  # a hole
    found[2:8, 10:14] = 1
    found[8, 14] = 1  # touches at a corner: same part
    found[10:12, 17:19] = 1  # a third, smaller part
    cleaned = prediction.clean_up(found)
    wanted = found.astype(bool)
    wanted[4:6, 3:5] = True
    wanted[10:12, 17:19] = False
    assert cleaned.dtype == bool and (cleaned == wanted).all()
    areas = [prediction.clean_up(found, parts=parts).sum() for parts in (1, 9)]
    assert areas == [48, 48 + 25 + 4]
    assert not prediction.clean_up(np.zeros((3, 3), bool)).any()
