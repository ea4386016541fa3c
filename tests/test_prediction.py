"""Prediction: the size of the picture, the same as notebook 05's, and few pictures in memory."""

import ast
import weakref

import cv2
import keras
import nbformat
import numpy as np
import pytest
from scipy import ndimage

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
        output_shape = (None, 16, 16, 1)

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


def sized(size, **options):
    keras.utils.set_random_seed(size)
    return architecture.build_unet(size, width=2, head="direct", **options)


def test_several_models_are_averaged_at_the_images_own_size(unet):
    other, images = sized(48), [noise(40, 30), noise(25, 70, seed=1), noise(9, 9, seed=2)]
    found = list(prediction.predict_all([unet, other], images, batch_size=2))
    for image, mean in zip(images, found, strict=True):
        one, two = prediction.predict(unet, image), prediction.predict(other, image)
        assert mean.shape == image.shape and mean.dtype == np.float32
        assert np.abs(one - two).max() > 0.01 and np.allclose(mean, (one + two) / 2, atol=1e-6)
    single = prediction.predict(unet, images[0])
    for alone in ([unet], (unet,)):  # to the bit
        assert np.array_equal(prediction.predict(alone, images[0]), single)


@pytest.mark.parametrize("options", [{}, {"standardize": True, "normalization": "batch"}])
def test_a_resized_model_is_the_one_that_would_have_been_built_so(options):
    small, big = sized(32, **options), sized(64, **options)
    image, before = noise(50, 70), prediction.predict(small, noise(32, 32))
    big.set_weights(small.get_weights())
    found = prediction.resized(small, 64)
    assert found.input_shape == found.output_shape == (None, 64, 64, 1)
    assert np.array_equal(prediction.predict(found, image), prediction.predict(big, image))
    assert all(a is b for a, b in zip(found.weights, small.weights, strict=True))
    assert np.array_equal(prediction.predict(small, noise(32, 32)), before)


def test_a_model_whose_one_input_stands_in_a_list_is_resized():
    """Keras 3.10 makes such a list of every model that it loads."""
    plain = sized(32)
    listed = keras.Model([plain.inputs[0]], plain.outputs[0])
    assert isinstance(listed.input, list)
    found, image = prediction.resized(listed, 64), noise(50, 70)
    wanted = prediction.predict(prediction.resized(plain, 64), image)
    assert np.array_equal(prediction.predict(found, image), wanted)


def test_a_model_that_fits_one_size_only_is_not_resized():
    image = keras.Input((16, 16, 1))
    dense = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(image)))
    with pytest.raises(ValueError, match=r"cannot look at 32 x 32 px .* own size, 16 px"):
        prediction.resized(dense, 32)


def test_cleaning_up_says_what_scipy_says():
    random, compared = np.random.default_rng(0), 0
    for _ in range(300):
        rough = random.random(random.integers(2, 9, 2), np.float32)
        found = cv2.resize(rough, tuple(random.integers(5, 60, 2).tolist())) > random.random()
        labels, _ = ndimage.label(found, structure=np.ones((3, 3)))
        areas = np.bincount(labels.ravel())[1:]
        largest = np.argsort(-areas)[:2]
        if len(areas) < 3 or areas[largest[1]] == np.sort(areas)[-3]:  # else which is second?
            continue
        wanted = ndimage.binary_fill_holes(np.isin(labels, largest + 1))
        assert np.array_equal(prediction.clean_up(found), wanted)
        compared += 1
    assert compared > 50


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


@pytest.fixture(scope="module")
def threefold():
    """A model of two classes and background."""
    keras.utils.set_random_seed(5)
    return architecture.build_unet(32, width=2, head="direct", normalization="batch", classes=2)


def test_several_classes_come_at_the_images_own_size_background_first(threefold):
    image, square = noise(40, 56), noise(3, 32, 32)
    found = prediction.predict(threefold, image)
    assert found.shape == (40, 56, 3) and found.sum(2) == pytest.approx(np.ones((40, 56)), abs=1e-4)
    squares = prediction.predict_squares(threefold, square)
    assert squares.shape == (3, 32, 32, 3)
    assert squares[1] == pytest.approx(prediction.predict(threefold, square[1]), abs=1e-5)


def test_a_mask_is_a_threshold_of_one_class_and_the_largest_of_several():
    one = np.array([[0.2, 0.5, 0.7]], np.float32)
    assert prediction.to_mask(one).tolist() == [[False, True, True]]
    assert prediction.to_mask(one, threshold=0.6).tolist() == [[False, False, True]]
    several = np.array([[[0.4, 0.3, 0.3], [0.3, 0.4, 0.3], [0.1, 0.2, 0.7]]])
    found = prediction.to_mask(several, threshold=0.6)
    assert found.tolist() == [[0, 1, 2]] and found.dtype == np.uint8


def test_all_foreground_together(threefold, unet):
    image = noise(40, 56)
    together = prediction.foreground(threefold)
    each = prediction.predict(threefold, image)
    found = prediction.predict(together, image)
    assert found.shape == image.shape
    assert found == pytest.approx(each[..., 1:].sum(2), abs=1e-5)
    assert prediction.foreground(unet) is unet
    assert together.get_layer("dropout") is threefold.get_layer("dropout")


def test_each_class_is_cleaned_up_by_itself():
    raw = np.zeros((20, 30), np.uint8)
    raw[2:12, 2:12], raw[2:12, 16:28] = 1, 2
    wanted = raw.copy()
    raw[5, 5] = 0  # a hole
    raw[6:8, 6:8] = 2  # an island in the other class
    raw[15, 2], raw[15, 20] = 2, 1  # islands outside
    found = prediction.clean_up(raw, parts=1)
    assert np.array_equal(found, wanted) and found.dtype == np.uint8
    assert np.count_nonzero(prediction.clean_up(raw, parts=2) == 2) > np.count_nonzero(wanted == 2)
