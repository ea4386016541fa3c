"""Figures are tested as numbers: which pixels, outlines, titles and curves they hold."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure

from unet_lib import plotting

matplotlib.use("agg")
SETTINGS = dict(matplotlib.rcParams)
HISTORY = {
    "loss": [0.7, 0.5, 0.4],
    "val_loss": [0.8, 0.6, 0.65],
    "accuracy": [0.76, 0.8, 0.9],
    "val_accuracy": [0.75, 0.79, 0.85],
    "dice": [0.1, 0.5, 0.8],
    "val_dice": [0.1, 0.4, 0.7],
}


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def pairs():
    """Three images of three sizes, each with a rectangle of its own as mask."""
    generator = np.random.default_rng(0)
    shapes = [(20, 24), (30, 24), (16, 40)]
    images = [generator.integers(60, 180, shape, dtype=np.uint8) for shape in shapes]
    masks = [np.zeros(shape, np.uint8) for shape in shapes]
    for k, mask in enumerate(masks):
        mask[4 + k : 12, 3 : 10 + k] = 1
    return images, masks


def contours(ax):
    return [artist for artist in ax.collections if isinstance(artist, ContourSet)]


def span(contour):
    """Left, right, top and bottom of a contour, in pixels."""
    x, y = np.concatenate([path.vertices for path in contour.get_paths()]).T
    return [x.min(), x.max(), y.min(), y.max()]


def grid_of(figure, rows):
    return np.array(figure.axes, dtype=object).reshape(rows, -1)


def test_pair_grid_shows_the_pixels_unchanged_and_in_true_grey(pairs):
    images, masks = pairs
    figure = plotting.pair_grid(images, masks)
    assert isinstance(figure, Figure)
    axes = grid_of(figure, rows=3)
    assert axes.shape == (3, 3)
    for k in range(3):
        for row, pixels, white in ((0, images[k], 255), (1, masks[k], 1), (2, images[k], 255)):
            (shown,) = axes[row, k].images
            np.testing.assert_array_equal(shown.get_array(), pixels)
            assert (shown.cmap.name, shown.get_clim()) == ("gray", (0, white))


def test_pair_grid_outlines_the_mask_on_the_third_row_only(pairs):
    axes = grid_of(plotting.pair_grid(*pairs), rows=3)
    assert [len(contours(ax)) for ax in axes.flat] == [0] * 6 + [1] * 3
    assert span(contours(axes[2, 1])[0]) == [2.5, 10.5, 4.5, 11.5]


def test_pair_grid_names_rows_and_columns(pairs):
    axes = grid_of(plotting.pair_grid(*pairs, ["a", "b", "c"]), rows=3)
    assert [ax.get_title() for ax in axes.flat] == ["a", "b", "c"] + [""] * 6
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["image", "mask", "mask's outline"]


def test_prediction_grid_outlines_truth_and_prediction(pairs):
    images, masks = pairs
    moved = [np.roll(mask, 2, axis=1) for mask in masks]
    empty = [np.zeros_like(mask) for mask in masks]
    predictions = {"last": moved, "best": empty}
    figure = plotting.prediction_grid(images, masks, predictions, ["a", "b", "c"])
    axes = grid_of(figure, rows=3)
    assert [ax.get_title() for ax in axes[0]] == ["a", "last", "best"]
    assert [ax.get_title() for ax in axes[:, 0]] == ["a", "b", "c"]
    truth, prediction = contours(axes[0, 1])
    assert [line.get_linestyle()[0][1] is None for line in (truth, prediction)] == [True, False]
    assert span(truth) == [2.5, 9.5, 3.5, 11.5]
    assert span(prediction) == [4.5, 11.5, 3.5, 11.5]
    colors = [to_hex(contour.get_edgecolor()[0]).upper() for contour in (truth, prediction)]
    assert colors == [plotting.TRUTH, plotting.PREDICTION]
    assert len(contours(axes[0, 2])) == 1, "an empty prediction has no outline"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["truth", "prediction"]


def test_dot_rows_show_each_value_mean_and_interval():
    rows = {"a": [0.1, 0.3], "b": [0.5]}
    intervals = {"a": {"low": 0.15, "high": 0.25}, "b": {"low": 0.5, "high": 0.5}}
    ax = plotting.dot_rows(rows, xlabel="Dice", intervals=intervals).axes[0]
    dots, bar, mean = (line.get_xdata() for line in ax.lines[:3])
    assert list(dots) == [0.1, 0.3] and list(bar) == [0.15, 0.25] and np.allclose(mean, 0.2)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert ax.yaxis_inverted() and ax.get_xlabel() == "Dice"
    assert len(plotting.dot_rows(rows, xlabel="Dice").axes[0].lines) == 4


def test_panels_are_in_true_grey():
    ax, other = plotting.panels({"a": np.eye(3), "b": np.zeros((2, 5))}).axes
    assert (ax.get_title(), other.get_title()) == ("a", "b")
    assert ax.images[0].get_clim() == (0, 1) and ax.images[0].get_cmap().name == "gray"


def test_outline_closes_at_the_edge_and_keeps_the_view():
    figure, ax = plt.subplots()
    mask = np.zeros((6, 9), bool)
    mask[:3, 5:] = True
    plotting.outline(ax, mask, color="black")
    (contour,) = contours(ax)
    (path,) = contour.get_paths()
    np.testing.assert_array_equal(path.vertices[0], path.vertices[-1])
    assert span(contour) == [4.5, 8.5, -0.5, 2.5]
    assert (ax.get_xlim(), ax.get_ylim()) == ((-0.5, 8.5), (5.5, -0.5))


@pytest.mark.filterwarnings("error")
def test_an_empty_mask_has_no_outline_and_warns_nobody():
    figure, ax = plt.subplots()
    plotting.outline(ax, np.zeros((6, 9), np.uint8), color="black")
    assert not contours(ax)


def test_training_curves_draw_every_value():
    figure = plotting.training_curves({**HISTORY, "learning_rate": [1e-3] * 3}, best_epoch=2)
    assert [ax.get_title() for ax in figure.axes] == ["Loss", "Accuracy (share of pixels)", "Dice"]
    for ax, name in zip(figure.axes, ("loss", "accuracy", "dice"), strict=True):
        training, validation, best = ax.lines
        np.testing.assert_array_equal(training.get_xydata(), list(enumerate(HISTORY[name], 1)))
        np.testing.assert_array_equal(validation.get_ydata(), HISTORY[f"val_{name}"])
        colors = (training.get_color(), validation.get_color())
        assert colors == (plotting.TRAIN, plotting.VALIDATION)
        assert list(best.get_xdata()) == [2, 2]
        assert ax.get_xlabel() == "epoch"
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["training", "validation", "best epoch (2)"]


def test_what_differs_in_colour_differs_in_grey(pairs):
    """Dashes or markers: two colours of one brightness are one line in a grey print."""
    predictions = plotting.prediction_grid(*pairs, {"last": pairs[1]}).axes
    truth, prediction = contours(predictions[1])
    assert truth.get_linestyle() != prediction.get_linestyle()
    training, validation, _ = plotting.training_curves(HISTORY, best_epoch=2).axes[0].lines
    assert training.get_linestyle() != validation.get_linestyle()
    assert training.get_marker() != validation.get_marker()


def test_panels_are_large_enough_to_see_an_outline(pairs):
    """220 px on the screen for each picture, at most 4 of them in the width of a page."""
    images, masks = ([np.zeros((40, 40), np.uint8)] * 4 for _ in range(2))
    for figure in (plotting.pair_grid(images, masks),
                   plotting.contact_sheet(images, masks, ["a", "b", "c", "d"]),
                   plotting.prediction_grid(images, masks, {"last": masks, "best": masks})):
        figure.canvas.draw()
        assert min(ax.get_window_extent().width for ax in figure.axes) >= 220


def test_training_curves_leave_out_what_was_not_measured():
    figure = plotting.training_curves({"loss": [0.7], "val_loss": [0.8]})
    assert [ax.get_title() for ax in figure.axes] == ["Loss"]
    assert len(figure.axes[0].lines) == 2


def test_nothing_leaks_into_other_figures(pairs):
    other, ax = plt.subplots()
    plotting.pair_grid(*pairs)
    plotting.prediction_grid(*pairs, {"last": pairs[1]})
    plotting.training_curves(HISTORY)
    assert dict(matplotlib.rcParams) == SETTINGS
    assert other.axes == [ax] and not ax.has_data()


def test_figures_have_the_agreed_resolution(pairs):
    figures = [plotting.pair_grid(*pairs), plotting.training_curves(HISTORY)]
    assert [figure.dpi for figure in figures] == [110, 110]


def broken(images, masks, fault):
    if fault == "shape":
        masks = [masks[0], masks[1].T, masks[2]]
    elif fault == "float":
        images = [images[0] / 255, *images[1:]]
    elif fault == "channel":
        images = [images[0][..., None], *images[1:]]
    elif fault == "length":
        masks = masks[:2]
    elif fault == "none":
        images = masks = []
    return images, masks


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("length", r"equally many .* got \{'images': 3, 'masks': 2\}"),
        ("none", r"at least one, got \{'images': 0, 'masks': 0\}"),
        ("shape", r"masks\[1\] has shape \(24, 30\), images\[1\] has \(30, 24\); resize"),
        ("float", r"images\[0\] must be grey, \(H, W\) uint8 .* got \(20, 24\) float64"),
        ("channel", r"got \(20, 24, 1\) uint8; drop a channel axis with image\[\.\.\., 0\]"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(pairs, fault, message):
    images, masks = broken(*pairs, fault)
    with pytest.raises(ValueError, match=message):
        plotting.pair_grid(images, masks)
    with pytest.raises(ValueError, match=message):
        plotting.prediction_grid(images, masks, {})


def test_titles_and_predictions_must_fit_too(pairs):
    images, masks = pairs
    with pytest.raises(ValueError, match=r"got \{'images': 3, 'masks': 3, 'titles': 1\}"):
        plotting.pair_grid(images, masks, ["a"])
    with pytest.raises(ValueError, match=r"\"predictions\['best'\]\": 1"):
        plotting.prediction_grid(images, masks, {"best": masks[:1]})
    with pytest.raises(ValueError, match=r"predictions\['best'\]\[0\] has shape \(30, 24\)"):
        plotting.prediction_grid(images, masks, {"best": [masks[1]] * 3})


@pytest.mark.parametrize(
    ("history", "best_epoch", "message"),
    [
        ({}, None, r"history needs 'loss' .* got \{\}"),
        ({"loss": []}, None, r"history needs 'loss' .* got \{'loss': 0\}"),
        ({"dice": [0.5]}, None, r"history needs 'loss' .* got \{'dice': 1\}"),
        ({"loss": [1, 2], "val_loss": [1]}, None, r"got \{'loss': 2, 'val_loss': 1\}"),
        (HISTORY, 0, r"best_epoch must lie in 1\.\.3 \(1 is the first\), got 0"),
        (HISTORY, 4, r"best_epoch must lie in 1\.\.3 \(1 is the first\), got 4"),
    ],
)
def test_histories_that_do_not_fit_are_refused(history, best_epoch, message):
    with pytest.raises(ValueError, match=message):
        plotting.training_curves(history, best_epoch=best_epoch)


@pytest.mark.parametrize(("side", "shown"), [(800, 800), (801, 401), (3000, 750)])
def test_a_grid_draws_no_more_pixels_than_a_panel_can_show(side, shown):
    image = np.arange(side, dtype=np.uint16).astype(np.uint8)[:, None].repeat(40, axis=1)
    mask = np.zeros((side, 40), np.uint8)
    mask[side // 4 : side // 2, 8:32] = 1
    figure = plotting.prediction_grid([image], [mask], {"best": [mask]})
    drawn = figure.axes[0].images[0].get_array()
    step = -(-side // 800)
    assert len(drawn) == shown and np.array_equal(drawn, image[::step, ::step])
    top, bottom = span(contours(figure.axes[1])[0])[2:]
    assert abs(top * step - side / 4) <= step and abs(bottom * step - side / 2) <= step
    assert figure.axes[1].get_ylim() == (shown - 0.5, -0.5)
    grid = plotting.pair_grid([image], [mask])
    assert [len(ax.images[0].get_array()) for ax in grid.axes] == [shown] * 3


def test_classes_have_a_line_each_and_a_name_below(pairs):
    images, masks = pairs
    for mask in masks:
        mask[14:16, 3:9] = 2
    names = ["right lung", "left lung"]
    grids = [
        plotting.pair_grid(images, masks, classes=names),
        plotting.contact_sheet(images, masks, list("abc"), classes=names),
        plotting.prediction_grid(images, masks, {"m": masks}, classes=names),
    ]
    for figure in grids:
        drawn = [c for ax in figure.axes for c in contours(ax)]
        styles = {to_hex(c.get_edgecolor()[0]): c.get_linestyle()[0][1] for c in drawn}
        own = {color.lower() for color in plotting.CLASSES[:2]}
        assert own <= set(styles) <= own | {plotting.TRUTH.lower()}
        first, second = (styles[color.lower()] for color in plotting.CLASSES[:2])
        assert first is None and second is not None  # solid and dashed: apart in grey as well
        (legend,) = figure.legends
        said = [text.get_text() for text in legend.get_texts()]
        assert said == (["truth"] * (figure is grids[2]) + names)
    shown = grids[0].axes[3].images[0]
    assert shown.get_clim() == (0, 2)


def test_a_picture_without_one_of_the_classes_keeps_the_others_line(pairs):
    images, masks = pairs
    figure = plotting.contact_sheet(images, [2 * m for m in masks], list("abc"), classes=["a", "b"])
    (line,) = contours(figure.axes[0])
    assert to_hex(line.get_edgecolor()[0]) == plotting.CLASSES[1].lower()
