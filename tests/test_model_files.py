"""Model files: what is none, holds code or fits no picture is refused in one sentence, unopened."""

import json
import zipfile

import keras
import pytest

from unet_lib import architecture, model_files, prediction, workspace


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))


@pytest.fixture
def unopened(monkeypatch):
    """Keras must not be asked to open the file."""

    def opened(*arguments, **options):
        raise AssertionError("Keras was asked to open it")

    monkeypatch.setattr(keras.models, "load_model", opened)


def refused(path, text):
    """Check that a file is refused in one sentence that begins with its name."""
    with pytest.raises(ValueError, match=text) as caught:
        prediction.load(path)
    told = str(caught.value)
    assert told.startswith(path.name + " ") and "\n" not in told and ". " not in told
    return told


def config_of(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def with_config(path, config):
    """Write the same model with another configuration."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (parts | {"config.json": json.dumps(config)}).items():
            archive.writestr(name, data)


@pytest.fixture
def saved(tmp_path):
    """A small model's file."""
    path = tmp_path / "best.keras"
    architecture.build_unet(16, width=1, head="direct", standardize=True).save(path)
    return path


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("notes.keras", b"a text", "damaged or something else, not a .keras file; name a run"),
        ("empty.keras", b"", "damaged or something else"),
        ("old.h5", b"\x89HDF\r\n\x1a\n" + bytes(99), "it is an HDF5 file, not a .keras file"),
        ("old.keras", b"\x89HDF\r\n\x1a\n" + bytes(99), "it is an HDF5 file"),
    ],
)
def test_what_is_no_model_is_named(tmp_path, unopened, name, data, text):
    (tmp_path / name).write_bytes(data)
    refused(tmp_path / name, text)


def test_archives_folders_and_other_names_are_no_models(saved, tmp_path, unopened):
    with zipfile.ZipFile(tmp_path / "pictures.keras", "w") as archive:
        archive.writestr("a.png", b"")
    refused(tmp_path / "pictures.keras", "it is a ZIP archive without a model in it")
    (tmp_path / "run.keras").mkdir()
    refused(tmp_path / "run.keras", "it is a folder")
    refused(saved.rename(tmp_path / "best.zip"), "it is named .zip, not a .keras file")
    with pytest.raises(FileNotFoundError, match=r"^absent.keras is not there"):
        prediction.load(tmp_path / "absent.keras")


@pytest.mark.parametrize("share", [0.2, 0.9, 0.999])
def test_a_cut_model_is_no_model(saved, share):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(share * len(data))])
    refused(saved, "damaged.*name ")


def test_a_lambda_layer_never_runs(tmp_path):
    path, marker = tmp_path / "odd.keras", tmp_path / "it-ran"
    image = keras.Input((16, 16, 1))
    mark = eval(f"lambda x: [__import__('os').makedirs({str(marker)!r}, exist_ok=True), x][1]")
    keras.Model(image, keras.layers.Lambda(mark)(image)).save(path)
    marker.rmdir()  # building it ran the code
    told = refused(path, "is not opened: it needs keras.layers.Lambda, ")
    assert "use a model that is made of Keras' own layers alone" in told and not marker.exists()
    keras.models.load_model(path, safe_mode=False)
    assert marker.exists()  # that file does hold code


class Strange(keras.layers.Layer):
    """A layer that a stranger wrote."""

    def call(self, features):
        return features


def test_a_layer_of_ones_own_is_named(tmp_path, unopened):
    image = keras.Input((16, 16, 1))
    keras.Model(image, Strange()(image)).save(tmp_path / "odd.keras")
    refused(tmp_path / "odd.keras", r"it needs .*test_model_files\.Strange, which is no part of K")


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"module": "os", "class_name": "function", "config": "system"}, r"os\.function"),
        ({"module": "keras.config", "class_name": "function",
          "config": "enable_unsafe_deserialization"}, r"keras\.config\.function"),
        ({"module": "keras.utils", "class_name": "get_file", "config": {}}, r"keras\.utils\.get_"),
        ({"module": "keras.layers", "class_name": "TFSMLayer", "config": {}}, "TFSMLayer"),
        ({"module": "keras_evil.layers", "class_name": "Dense", "config": {}}, "keras_evil"),
        ({"class_name": "__lambda__", "config": {"value": "x"}}, "__lambda__"),
        ({"class_name": "Dense", "config": {}}, "it needs Dense"),
        ({"module": ["os"], "class_name": "Dense", "config": {}}, "Dense"),
    ],
)  # fmt: skip
def test_code_is_found_wherever_it_hides(saved, unopened, entry, named):
    config = config_of(saved)
    config["config"]["layers"][3]["config"]["extra"] = [{"deep": entry}]
    with_config(saved, config)
    refused(saved, named)


def own_loss(mask, probability):
    return probability - mask


def test_what_keras_brings_is_let_through(tmp_path):
    """Models of others: a Sequential one, arithmetic on tensors, names and losses of their own."""
    image = keras.Input((16, 16, 1))
    features = keras.layers.Conv2D(2, 3, padding="same", kernel_regularizer="l2")(image * 2 - 1)
    features = keras.layers.Conv2DTranspose(3, 3, padding="same")(features)
    features = keras.layers.LeakyReLU()(features)
    strange = keras.Model(image, keras.layers.Softmax()(keras.ops.relu(features)))
    strange.compile(loss=own_loss)
    strange.save(tmp_path / "a.keras")
    assert prediction.load(tmp_path / "a.keras").output_shape == (None, 16, 16, 3)
    layers = [keras.Input((16, 16, 1)), keras.layers.Conv2D(1, 3, padding="same")]
    keras.Sequential(layers).save(tmp_path / "b.keras")
    assert prediction.load(tmp_path / "b.keras").input_shape == (None, 16, 16, 1)


def test_a_newer_models_unknown_layer_is_told(saved):
    config = config_of(saved)
    config["config"]["layers"][3]["class_name"] = "OfNextYear"
    with_config(saved, config)
    told = refused(saved, "cannot be read as a Keras model .*04_train.ipynb again")
    assert f"newer than Keras {keras.__version__}" in told


@pytest.mark.parametrize(
    ("inputs", "end"),
    [
        ((16, 16, 3), "same"), ((16, 24, 1), "same"), ((None, None, 1), "same"),
        ((16, 16, 1), "valid"), ((16, 16, 1), "flat"), ((16,), "dense"),
    ],
)  # fmt: skip
def test_a_model_of_other_shapes_does_not_fit(tmp_path, inputs, end):
    image = keras.Input(inputs)
    if end == "dense":
        found = keras.layers.Dense(3)(image)
    else:
        padding = end if end != "flat" else "same"
        found = keras.layers.Conv2D(1, 3, padding=padding)(image)
        found = keras.layers.Flatten()(found) if end == "flat" else found
    keras.Model(image, found).save(tmp_path / "other.keras")
    told = refused(tmp_path / "other.keras", "does not fit: its input is ")
    assert str((None, *inputs)) in told and "(None, S, S, 1)" in told and "name a model" in told


def test_a_model_of_two_inputs_does_not_fit(tmp_path):
    pair = [keras.Input((16, 16, 1)), keras.Input((16, 16, 1))]
    keras.Model(pair, keras.layers.Add()(pair)).save(tmp_path / "two.keras")
    refused(tmp_path / "two.keras", "does not fit: its input is ")


def test_the_shipped_model_passes():
    model_files.check(workspace.PROJECT / "unet_lib" / "weights" / "lungs.keras")
