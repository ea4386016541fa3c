"""The model against its published table, against arithmetic by hand, and against notebook 03."""

import ast
import contextlib
import io
import re
import subprocess
import sys

import keras
import nbformat
import numpy as np
import pytest

from unet_lib import architecture, workspace

# Layer; type; output shape; parameters; where the input comes from.
TABLE = """
input_1          InputLayer    512x512x1       0
conv2d           Conv2D        512x512x16    160   input_1
conv2d_1         Conv2D        512x512x16   2320   conv2d
max_pooling2d    MaxPooling2D  256x256x16      0   conv2d_1
conv2d_2         Conv2D        256x256x32   4640   max_pooling2d
conv2d_3         Conv2D        256x256x32   9248   conv2d_2
max_pooling2d_1  MaxPooling2D  128x128x32      0   conv2d_3
conv2d_4         Conv2D        128x128x64  18496   max_pooling2d_1
conv2d_5         Conv2D        128x128x64  36928   conv2d_4
max_pooling2d_2  MaxPooling2D  64x64x64        0   conv2d_5
conv2d_6         Conv2D        64x64x128   73856   max_pooling2d_2
conv2d_7         Conv2D        64x64x128  147584   conv2d_6
dropout          Dropout       64x64x128       0   conv2d_7
max_pooling2d_3  MaxPooling2D  32x32x128       0   dropout
conv2d_8         Conv2D        32x32x256  295168   max_pooling2d_3
conv2d_9         Conv2D        32x32x256  590080   conv2d_8
dropout_1        Dropout       32x32x256       0   conv2d_9
up_sampling2d    UpSampling2D  64x64x256       0   dropout_1
conv2d_10        Conv2D        64x64x128  131200   up_sampling2d
concatenate      Concatenate   64x64x256       0   dropout conv2d_10
conv2d_11        Conv2D        64x64x128  295040   concatenate
conv2d_12        Conv2D        64x64x128  147584   conv2d_11
up_sampling2d_1  UpSampling2D  128x128x128     0   conv2d_12
conv2d_13        Conv2D        128x128x64  32832   up_sampling2d_1
concatenate_1    Concatenate   128x128x128     0   conv2d_5 conv2d_13
conv2d_14        Conv2D        128x128x64  73792   concatenate_1
conv2d_15        Conv2D        128x128x64  36928   conv2d_14
up_sampling2d_2  UpSampling2D  256x256x64      0   conv2d_15
conv2d_16        Conv2D        256x256x32   8224   up_sampling2d_2
concatenate_2    Concatenate   256x256x64      0   conv2d_3 conv2d_16
conv2d_17        Conv2D        256x256x32  18464   concatenate_2
conv2d_18        Conv2D        256x256x32   9248   conv2d_17
up_sampling2d_3  UpSampling2D  512x512x32      0   conv2d_18
conv2d_19        Conv2D        512x512x16   2064   up_sampling2d_3
concatenate_3    Concatenate   512x512x32      0   conv2d_1 conv2d_19
conv2d_20        Conv2D        512x512x16   4624   concatenate_3
conv2d_21        Conv2D        512x512x16   2320   conv2d_20
conv2d_22        Conv2D        512x512x2     290   conv2d_21
conv2d_23        Conv2D        512x512x1       3   conv2d_22
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]
SMALL = {"image_size": 32, "width": 2}
NOISE = np.random.default_rng(0).random((3, 32, 32, 1), dtype="float32")


def rows(unet):
    """Describe each layer of `unet` as TABLE does; the inputs come from the saved configuration."""
    for layer, config in zip(unet.layers, unet.get_config()["layers"], strict=True):
        shape = "x".join(map(str, layer.output.shape[1:]))
        inputs = re.findall(r"keras_history': \['([^']+)'", str(config["inbound_nodes"]))
        yield [layer.name, type(layer).__name__, shape, str(layer.count_params()), *inputs]


def parameters(width):
    """Count by hand: 3*3*in*out + out for each convolution, summed over the network.

    Level 0: 9w + w and 9w^2 + w. Level k, f = w*2^k, k = 1..4: 9*f/2*f + f and 9f^2 + f.
    Step up to level k = 3..0: 4*2f*f + f, 9*2f*f + f and 9f^2 + f. Head: 9*w*2 + 2 and 2 + 1.
    """
    return 7574 * width**2 + 134 * width + 5


def test_every_row_of_the_published_table():
    unet = architecture.build_unet()
    for built, published in zip(rows(unet), ROWS, strict=True):
        assert built == published
    assert sum(int(row[3]) for row in ROWS) == unet.count_params() == 1_941_093


def test_convolutions_are_same_padded_he_normal_relu():
    """What the table does not show, but the original says."""
    layers = architecture.build_unet().layers
    convolutions = [layer for layer in layers if isinstance(layer, keras.layers.Conv2D)]
    up = ["conv2d_10", "conv2d_13", "conv2d_16", "conv2d_19"]
    for layer in convolutions[:-1]:
        config = layer.get_config()
        assert config["kernel_size"] == ((2, 2) if layer.name in up else (3, 3))
        assert (config["padding"], config["activation"]) == ("same", "relu")
        assert config["kernel_initializer"]["class_name"] == "HeNormal"
    last = convolutions[-1].get_config()
    assert (last["kernel_size"], last["activation"]) == ((1, 1), "sigmoid")


@pytest.mark.parametrize("dropout", [0.5, 0.1])
def test_dropout_reaches_both_layers(dropout):
    unet = architecture.build_unet(**SMALL, dropout=dropout)
    assert [unet.get_layer(name).rate for name in ("dropout", "dropout_1")] == [dropout] * 2


@pytest.mark.parametrize("options", [{}, {"head": "direct"}, {"normalization": "batch"}])
def test_names_do_not_depend_on_what_was_built_before(options):
    first = architecture.build_unet(**SMALL, **options)
    keras.layers.Conv2D(1, 1)  # takes a name from Keras' own count
    again = architecture.build_unet(**SMALL, **options)
    assert [layer.name for layer in again.layers] == [layer.name for layer in first.layers]


@pytest.mark.parametrize("change", [lambda x: 0.3 * x, lambda x: 0.4 * x + 0.5])
def test_a_standardized_model_does_not_see_brightness_and_contrast(change):
    given = NOISE * np.array([1, 0.8, 0.6])[:, None, None, None]  # each image by itself
    for standardize in (True, False):
        keras.utils.set_random_seed(0)
        unet = architecture.build_unet(**SMALL, standardize=standardize)
        seen, changed = (np.array(unet(x)) for x in (given, change(given)))
        assert np.allclose(seen, changed, atol=1e-3) == standardize
        assert np.ptp(seen) > 0.05
        assert unet.count_params() == architecture.build_unet(**SMALL).count_params()


def test_a_standardized_model_gets_mean_zero_and_deviation_one_from_each_image():
    unet = architecture.build_unet(**SMALL, standardize=True)
    first = keras.Model(unet.input, unet.get_layer("group_normalization").output)
    found = np.array(first(np.concatenate([NOISE, np.full_like(NOISE[:1], 0.7)])))
    assert np.allclose(found[:3].mean(axis=(1, 2, 3)), 0, atol=1e-4)
    assert np.allclose(found[:3].std(axis=(1, 2, 3)), 1, atol=1e-2)
    assert np.allclose(found[3], 0, atol=1e-3)  # a constant image, not NaN


@pytest.mark.parametrize("width", [1, 16, 64])
def test_parameters_by_width(width):
    known = {16: 1_941_093, 64: 31_031_685}
    assert architecture.build_unet(64, width=width).count_params() == parameters(width)
    assert parameters(width) == known.get(width, parameters(width))


@pytest.mark.parametrize("width", [2, 16])
def test_direct_head_leaves_out_one_layer(width):
    """Gone: 3*3*w*2 + 2 and 1*1*2*1 + 1. Come: 1*1*w*1 + 1."""
    unet = architecture.build_unet(64, width=width, head="direct")
    assert unet.count_params() == parameters(width) - (18 * width + 2) - 3 + (width + 1)
    names = [row[0] for row in ROWS]
    assert [layer.name for layer in unet.layers] == [n for n in names if n != "conv2d_23"]
    assert unet.layers[-1].get_config()["kernel_size"] == (1, 1)
    assert unet.layers[-1].input is unet.get_layer("conv2d_21").output


@pytest.mark.parametrize("width", [2, 16])
def test_batch_normalization_stands_before_each_relu(width):
    """22 convolutions lose f biases and gain 4f numbers, 2f of them trained; all f sum to 107w."""
    unet = architecture.build_unet(64, width=width, normalization="batch")
    assert unet.count_params() == parameters(width) + 3 * 107 * width
    trainable = sum(int(np.prod(w.shape)) for w in unet.trainable_weights)
    assert trainable == parameters(width) + 107 * width
    kinds = [type(layer).__name__ for layer in unet.layers]
    assert len(kinds) == len(ROWS) + 2 * 22
    triples = list(zip(kinds, kinds[1:], kinds[2:], strict=False))
    assert triples.count(("Conv2D", "BatchNormalization", "ReLU")) == 22
    convolutions = [x for x in unet.layers if isinstance(x, keras.layers.Conv2D)]
    assert [x.use_bias for x in convolutions] == [False] * 22 + [True] * 2
    assert {x.get_config()["activation"] for x in convolutions[:22]} == {"linear"}
    assert [x.name for x in convolutions] == [r[0] for r in ROWS if r[1] == "Conv2D"]


# What else is refused: tests/test_parameters.py
def test_a_size_that_cannot_be_halved_four_times_is_refused():
    with pytest.raises(ValueError, match="multiple of 16"):
        architecture.build_unet(500)


def test_numpy_integers_are_whole_numbers():
    assert architecture.build_unet(np.int64(32), width=np.int32(2)).count_params() == parameters(2)


@pytest.fixture(params=["float32", "mixed_bfloat16"])
def policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("options", [{}, {"head": "direct", "normalization": "batch"}])
def test_output_is_a_probability_in_float32(policy, options):
    unet = architecture.build_unet(**SMALL, **options)
    inner = {"float32": "float32", "mixed_bfloat16": "bfloat16"}[policy]
    assert unet.get_layer("conv2d_9").compute_dtype == inner
    probability = unet(100 * NOISE)
    assert keras.backend.standardize_dtype(probability.dtype) == "float32"
    assert probability.shape == (3, 32, 32, 1)
    assert 0 <= np.min(probability) < np.max(probability) <= 1


@pytest.mark.parametrize(
    "options", [{}, {"head": "direct", "normalization": "batch"}, {"standardize": True}]
)
def test_saved_and_loaded_it_answers_the_same(tmp_path, options):
    unet = architecture.build_unet(**SMALL, **options)
    unet.save(tmp_path / "unet.keras")
    loaded = keras.saving.load_model(tmp_path / "unet.keras")
    assert np.array_equal(unet(NOISE), loaded(NOISE))
    assert list(rows(unet)) == list(rows(loaded))


def test_one_seed_gives_one_model_and_another_seed_another():
    def kernels(seed):
        keras.utils.set_random_seed(seed)
        return [w for w in architecture.build_unet(**SMALL).get_weights() if w.ndim == 4]

    for first, again, other in zip(kernels(1), kernels(1), kernels(2), strict=True):
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "module",
    ["architecture", "losses", "metrics", "calibration", "runs", "training", "prediction"],
)
def test_runs_on_any_backend_of_keras(module):
    """These modules name no backend: they must run under KERAS_BACKEND=jax too."""
    tree = ast.parse((workspace.PROJECT / "unet_lib" / f"{module}.py").read_text("utf-8"))
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            named.add((node.module or "").partition(".")[0])
    assert not named & {"tf", "tensorflow", "jax", "torch"}


def test_importing_the_package_is_quiet_and_light():
    code = "import sys, unet_lib; sys.exit(str({'tensorflow', 'keras', 'cv2'} & {*sys.modules}))"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=workspace.PROJECT, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("", "set()\n")


@pytest.fixture(scope="module")
def notebook():
    path = workspace.PROJECT / "notebooks" / "03_build_unet.ipynb"
    return {cell.id: cell.source for cell in nbformat.read(path, as_version=4).cells}


@pytest.fixture(scope="module")
def inline(notebook):
    """Everything that notebook 03 defines for its model, on an image of 32 px."""
    space = {"keras": keras, "np": np, "architecture": architecture}
    space |= {"image": NOISE[0, ..., 0], "width": 2}
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in ("block", "encoder", "decoder"):
            exec(notebook[cell], space)
    return space


@pytest.mark.parametrize("head", ["original", "direct"])
def test_notebook_builds_the_same_model(inline, head):
    keras.utils.clear_session()
    keras.utils.set_random_seed(7)
    ours = inline["assemble"](32, width=3, head=head)
    keras.utils.set_random_seed(7)
    imported = architecture.build_unet(32, width=3, head=head)
    assert list(rows(ours)) == list(rows(imported))
    for one, other in zip(ours.get_weights(), imported.get_weights(), strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(ours(NOISE), imported(NOISE))
    assert [layer.rate for layer in ours.layers if "dropout" in layer.name] == [0.5, 0.5]


@pytest.fixture(scope="module")
def lifted(notebook):
    """The five functions of notebook 03 alone, without what its cells do around them."""
    names = ("convolve", "block", "encode", "step_up", "assemble")
    nodes = [node for source in notebook.values() for node in functions(source)]
    space, found = {"keras": keras}, [node for node in nodes if node.name in names]
    assert [node.name for node in found] == list(names)
    exec(compile(ast.Module(found, []), "03_build_unet", "exec"), space)
    return space


def functions(source):
    try:
        return [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)]
    except SyntaxError:  # a text cell
        return []


def seeded(build, *arguments, **options):
    keras.utils.clear_session()  # the notebook's layers get their names from Keras' own count
    keras.utils.set_random_seed(11)
    return build(*arguments, **options)


@pytest.mark.parametrize("size", [16, 48])
@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("head", ["original", "direct"])
def test_functions_of_the_notebook_build_what_the_library_builds(lifted, head, width, size):
    ours = seeded(lifted["assemble"], size, width=width, head=head)
    for build in (architecture.assemble, architecture.build_unet):
        imported = seeded(build, size, width=width, head=head)
        assert list(rows(ours)) == list(rows(imported))
        for one, other in zip(ours.get_weights(), imported.get_weights(), strict=True):
            assert np.array_equal(one, other)
        image = np.random.default_rng(1).random((2, size, size, 1), dtype="float32")
        assert np.array_equal(ours(image), imported(image))
        configs = [[layer.get_config() for layer in unet.layers] for unet in (ours, imported)]
        for one, other in zip(*configs, strict=True):  # rates, initializers, padding; not policies
            assert {k: v for k, v in one.items() if k != "dtype"} == {
                k: v for k, v in other.items() if k != "dtype"
            }


def test_dropout_is_a_half_where_nothing_is_said():
    image = keras.Input((16, 16, 1))
    bottom, _ = architecture.encode(image, 1)
    built = [keras.Model(image, bottom), architecture.assemble(16, width=1, head="direct"),
             architecture.build_unet(16, width=1)]
    for unet in built:
        rates = [la.rate for la in unet.layers if isinstance(la, keras.layers.Dropout)]
        assert rates == [0.5, 0.5]


def test_each_function_of_the_notebook_is_the_librarys(lifted):
    features, skip = np.ones((1, 16, 16, 3), "float32"), np.ones((1, 32, 32, 2), "float32")
    cases = {
        "convolve": (features, 4),
        "block": (features, 4),
        "encode": (features, 2),
        "step_up": (features, skip, 4),
    }
    for name, arguments in cases.items():
        made = [seeded(place[name], *arguments) for place in (lifted, vars(architecture))]
        first, second = ([one, *many] if many else [one] for one, many in map(flat, made))
        for one, other in zip(first, second, strict=True):
            assert np.array_equal(one, other) and np.ptp(one) > 0


def flat(result):
    """Return the tensor, or the bottom and the skips of an encoder."""
    return (result[0], result[1]) if isinstance(result, tuple) else (result, [])


def test_notebook_builds_every_row_of_the_published_table(inline):
    assert list(rows(inline["unet"])) == ROWS


def test_a_swapped_skip_is_found(notebook, inline):
    """Equal names, shapes and parameters, the inputs of one concatenation turned round."""
    bad = dict(inline)
    swapped = notebook["decoder"].replace("[skip, features]", "[features, skip]")
    assert swapped != notebook["decoder"]
    with contextlib.redirect_stdout(io.StringIO()):
        exec(swapped, bad)
    different = [one for one, other in zip(rows(bad["unet"]), ROWS, strict=True) if one != other]
    assert [row[0] for row in different] == [row[0] for row in ROWS if "Concatenate" in row]
    assert bad["unet"].count_params() == 1_941_093


def test_solutions_of_notebook_03_do_what_they_say(notebook, inline):
    space = {**inline, "image_size": 32, "batch": NOISE}
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(notebook["dead-head"], space)
        for solution in re.findall(r"```python\n(.*?)```", notebook["answers"], re.DOTALL):
            exec(solution, space)
    assert output.getvalue().splitlines()[1:] == ["conv2d_23 ['bias']", "1940817"]
    assert "1,940,817" in notebook["answers"]


@pytest.mark.parametrize("head", ["original", "direct"])
def test_several_classes_share_each_pixel_with_background(head):
    unet = architecture.build_unet(32, width=4, head=head, classes=3)
    image = np.random.default_rng(0).random((2, 32, 32, 1)).astype(np.float32)
    probability = unet.predict_on_batch(image)
    assert probability.shape == (2, 32, 32, 4) and probability.dtype == np.float32
    assert probability.sum(-1) == pytest.approx(np.ones((2, 32, 32)), abs=1e-5)
    assert unet.layers[-1].input.shape[-1] == 4  # the original's two are too few


def test_one_class_is_built_as_ever():
    keras.utils.set_random_seed(0)
    asked = architecture.build_unet(32, width=2, classes=1)
    keras.utils.set_random_seed(0)
    usual = architecture.build_unet(32, width=2)
    assert asked.get_config() == usual.get_config()
    assert all(map(np.array_equal, asked.get_weights(), usual.get_weights()))


@pytest.mark.parametrize("classes", [0, 101, 1.5])
def test_a_number_of_classes_that_cannot_be_is_refused(classes):
    with pytest.raises(ValueError, match=f"classes must be .* 1 to 100, got {classes}; use 1"):
        architecture.build_unet(32, classes=classes)
