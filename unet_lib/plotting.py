"""Figures of the notebooks: pairs and overlays of X-rays, training curves, rows of dots.

A function that makes a figure returns it and shows nothing: call `plt.show()`. X-rays are in true
grey, 0 black and 255 white. The colours, from Okabe and Ito, are safe for colour-blind readers, and
one colour means one thing: sky blue the truth, orange a prediction, blue training, vermilion
validation. Dashes and markers tell them apart in grey as well.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

TRUTH, PREDICTION = "#56B4E9", "#E69F00"  # sky blue, orange: outlines on grey
TRAIN, VALIDATION = "#0072B2", "#D55E00"  # blue, vermilion: lines and bars on white
CLASSES = ("#E69F00", "#009E73", "#CC79A7", "#D55E00")  # outlines of the first, second ... class
DASHES = ("-", "--", ":", "-.")  # of the same: they can be told apart in grey as well
DPI = 110
LARGEST = 800  # px of a side that a panel of a grid is drawn from
_MEASURES = {"loss": "Loss", "accuracy": "Accuracy (share of pixels)", "dice": "Dice"}


def pair_grid(
    images: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    titles: Sequence[str] | None = None,
    *,
    classes: Sequence[str] = (),
) -> Figure:
    """Show each image above its mask and above itself with the mask's outline, pairs side by side.

    Args:
        images: (H, W) uint8 in [0, 255]; sizes may differ from image to image.
        masks: (H, W) in {0, 1} or bool, or numbers of classes, each of its image's size.
        titles: one line above each image, such as its id.
        classes: names of the classes where masks tell several apart; each has its own line.

    Raises:
        ValueError: lengths or shapes differ, or an image is not grey uint8.
    """
    _check(images, titles, masks=masks)
    images, masks = _thin(images), _thin(masks)
    figure, axes = _panels(3, len(images), side=2.6)
    for k, (image, mask) in enumerate(zip(images, masks, strict=True)):
        _show(axes[0, k], image, titles[k] if titles is not None else "")
        _show(axes[1, k], mask, "", top_value=max(1, len(classes)))
        _show(axes[2, k], image, "")
        _outlines(axes[2, k], mask, TRUTH, classes)
    _name_classes(figure, classes)
    for ax, label in zip(axes[:, 0], ("image", "mask", "mask's outline"), strict=True):
        ax.set_ylabel(label, fontsize=9)
    return figure


def contact_sheet(
    images: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    titles: Sequence[str],
    *,
    columns: int = 4,
    classes: Sequence[str] = (),
) -> Figure:
    """Show many images, each with its mask's outline, to look through at once.

    Args:
        images: (H, W) uint8 in [0, 255]; sizes may differ from image to image.
        masks: (H, W) in {0, 1} or bool, or numbers of classes, each of its image's size.
        titles: one line above each image, such as its id.
        columns: images side by side.
        classes: names of the classes where masks tell several apart; each has its own line.

    Raises:
        ValueError: lengths or shapes differ, or an image is not grey uint8.
    """
    _check(images, titles, masks=masks)
    columns = min(columns, len(images))
    figure, axes = _panels(-(-len(images) // columns), columns, side=2.9)
    for ax, image, mask, title in zip(
        axes.flat, _thin(images), _thin(masks), titles, strict=False
    ):
        _show(ax, image, title)
        _outlines(ax, mask, TRUTH, classes)
    _name_classes(figure, classes)
    for ax in axes.flat[len(images):]:
        ax.set_visible(False)
    return figure


def prediction_grid(
    images: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    predictions: dict[str, Sequence[np.ndarray]],
    titles: Sequence[str] | None = None,
    *,
    classes: Sequence[str] = (),
) -> Figure:
    """Show one case a row: the image, then on it the outlines of truth and of each prediction.

    Truth is a solid blue line, a prediction a dashed orange one, so that they differ in grey as
    well; both have a dark edge.

    Args:
        images: (H, W) uint8 in [0, 255]; sizes may differ from image to image.
        masks: true masks, (H, W) in {0, 1} or bool, or numbers of classes, of their images' sizes.
        predictions: name of a model -> its masks (not probabilities), in the order of `images`.
        titles: one text above each image, such as the id.
        classes: names of the classes where masks tell several apart; each prediction has its own
            line.

    Raises:
        ValueError: lengths or shapes differ, or an image is not grey uint8.
    """
    named = {f"predictions[{name!r}]": values for name, values in predictions.items()}
    _check(images, titles, masks=masks, **named)
    images, masks = _thin(images), _thin(masks)
    predictions = {name: _thin(values) for name, values in predictions.items()}
    columns = 1 + len(predictions)
    figure, axes = _panels(len(images), columns, side=min(3.2, 8.4 / columns))
    for k, (image, mask) in enumerate(zip(images, masks, strict=True)):
        _show(axes[k, 0], image, titles[k] if titles is not None else "image")
        for ax, (name, predicted) in zip(axes[k, 1:], predictions.items(), strict=True):
            _show(ax, image, name)
            for number in range(1, 1 + max(1, len(classes))):
                outline(ax, mask == number, color=TRUTH)
            _outlines(ax, predicted[k], PREDICTION, classes)
    if classes:
        _name_classes(figure, classes, truth=Line2D([], [], color=TRUTH))
        return figure
    lines = [Line2D([], [], color=color, linestyle=_dashes(color)) for color in (TRUTH, PREDICTION)]
    figure.legend(lines, ["truth", "prediction"], loc="outside lower center", ncols=2, fontsize=9)
    return figure


def training_curves(
    history: dict[str, Sequence[float]], *, best_epoch: int | None = None
) -> Figure:
    """Draw loss, accuracy and Dice over the epochs, for training and validation.

    Args:
        history: measure -> one value an epoch, as `fit` returns it: "loss", "val_loss" and so on.
            Other keys are ignored; a measure that is absent gets no panel.
        best_epoch: marked by a vertical line; the first epoch is 1.

    Raises:
        ValueError: no loss, lists of different length, or `best_epoch` outside the history.
    """
    shown = {k: v for k, v in history.items() if k.removeprefix("val_") in _MEASURES}
    epochs = len(shown.get("loss", ()))
    lengths = {key: len(values) for key, values in shown.items()}
    if not epochs or set(lengths.values()) != {epochs}:
        raise ValueError(f"history needs 'loss' and one value an epoch for each key, got {lengths}")
    if best_epoch is not None and not 1 <= best_epoch <= epochs:
        raise ValueError(f"best_epoch must lie in 1..{epochs} (1 is the first), got {best_epoch}")
    names = [name for name in _MEASURES if name in shown]
    figure, axes = plt.subplots(
        1, len(names), figsize=(2.7 * len(names), 2.8), dpi=DPI, layout="constrained", squeeze=False
    )
    for ax, name in zip(axes[0], names, strict=True):
        _curve(ax, shown.get(name), ".-", "training", TRAIN)
        _curve(ax, shown.get(f"val_{name}"), "s--", "validation", VALIDATION)
        if best_epoch is not None:
            ax.axvline(best_epoch, color="black", linestyle=":", label=f"best epoch ({best_epoch})")
        ax.set(title=_MEASURES[name], xlabel="epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
    axes[0, 0].legend(fontsize=8)
    return figure


def dot_rows(
    rows: dict[str, Sequence[float]], *, xlabel: str, intervals: dict[str, dict] | None = None
) -> Figure:
    """Show a row of dots for each name, one dot an image, and their mean as a diamond.

    Args:
        rows: name -> its values; the first is the top row.
        xlabel: what they are.
        intervals: name -> "low" and "high" of the mean, drawn as a bar.
    """
    size = (7.5, 0.55 * len(rows) + 1)
    figure, ax = plt.subplots(figsize=size, dpi=DPI, layout="constrained")
    for place, (name, values) in enumerate(rows.items()):
        ax.plot(values, np.full(len(values), place - 0.15), "o", color="0.6", markersize=4)
        if intervals:
            ends = [intervals[name]["low"], intervals[name]["high"]]
            ax.plot(ends, [place + 0.15] * 2, color=VALIDATION, linewidth=3)
        ax.plot(np.mean(values), place + 0.15, "D", color=VALIDATION)
    ax.set_yticks(range(len(rows)), rows)
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlabel=xlabel)
    return figure


def panels(shown: dict[str, np.ndarray]) -> Figure:
    """Show arrays side by side in grey.

    Args:
        shown: title -> (H, W), 0 black and 1 white.
    """
    figure, axes = _panels(1, len(shown), side=2.1)
    for ax, (name, values) in zip(axes[0], shown.items(), strict=True):
        _show(ax, values, name, top_value=1)
    return figure


def outline(ax: Axes, mask: np.ndarray, *, color: str, style: str | None = None) -> None:
    """Draw the border of a mask on axes that show pixels; an empty mask draws nothing.

    A prediction's border is dashed, any other solid, each with a dark edge that sets it off.

    Args:
        ax: its limits are set to the mask's pixels, row 0 at the top.
        mask: (H, W) in {0, 1} or bool. A mask that meets the image's edge is closed there.
        color: a Matplotlib colour.
        style: a Matplotlib line style, such as "--", instead.
    """
    height, width = mask.shape
    style = style or _dashes(color)
    if np.any(mask):
        x, y, padded = np.arange(-1, width + 1), np.arange(-1, height + 1), np.pad(mask, 1)
        line = {"colors": [color], "linewidths": 1.5, "linestyles": style}
        border = ax.contour(x, y, padded.astype(float), levels=[0.5], **line)
        border.set_path_effects([withStroke(linewidth=2.5, foreground="black", alpha=0.5)])
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _outlines(ax: Axes, mask: np.ndarray, color: str, classes: Sequence[str]) -> None:
    """Draw the outline of a mask: in `color`, or of several classes each in a line of its own."""
    lines = [_class_line(k) for k in range(len(classes))] or [{"color": color, "linestyle": None}]
    for k, line in enumerate(lines, 1):
        outline(ax, mask == k, color=line["color"], style=line["linestyle"])


def _class_line(k: int) -> dict[str, str]:
    return {"color": CLASSES[k % len(CLASSES)], "linestyle": DASHES[k % len(DASHES)]}


def _name_classes(figure: Figure, classes: Sequence[str], **lines: Line2D) -> None:
    """Write below a figure which line is which class, after `lines`; nothing without classes."""
    lines |= {name: Line2D([], [], **_class_line(k)) for k, name in enumerate(classes)}
    if classes:
        place = {"loc": "outside lower center", "ncols": min(5, len(lines))}
        figure.legend(lines.values(), lines, fontsize=9, **place)


def _dashes(color: str) -> str:
    """Return the line style of an outline, so that truth and prediction differ in grey too."""
    return "dashed" if color == PREDICTION else "solid"


def _curve(ax: Axes, values: Sequence[float] | None, line: str, label: str, color: str) -> None:
    if values is not None:
        style = {"color": color, "label": label, "linewidth": 1.3, "markersize": 4}
        ax.plot(range(1, len(values) + 1), values, line, **style)


def _panels(rows: int, columns: int, *, side: float) -> tuple[Figure, np.ndarray]:
    size = (side * columns + 0.3, side * rows + 0.3)
    figure, axes = plt.subplots(
        rows, columns, figsize=size, dpi=DPI, layout="compressed", squeeze=False
    )
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    return figure, axes


def _thin(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Leave out rows and columns that no panel could show: they cost Matplotlib much memory."""
    steps = [-(-max(picture.shape) // LARGEST) for picture in pictures]
    return [p[::step, ::step] for p, step in zip(pictures, steps, strict=True)]


def _show(ax: Axes, pixels: np.ndarray, title: str, *, top_value: int = 255) -> None:
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=top_value)
    ax.set_title(title, fontsize=9)


def _check(images: Sequence[np.ndarray], titles: Sequence[str] | None, **masks) -> None:
    lengths = {"images": len(images)} | {name: len(values) for name, values in masks.items()}
    lengths |= {} if titles is None else {"titles": len(titles)}
    if not len(images) or len(set(lengths.values())) > 1:
        raise ValueError(f"needs equally many of each and at least one, got {lengths}")
    for k, image in enumerate(images):
        if image.ndim != 2 or image.dtype != np.uint8:
            raise ValueError(
                f"images[{k}] must be grey, (H, W) uint8 in [0, 255], got {image.shape}"
                f" {image.dtype}; drop a channel axis with image[..., 0]"
            )
        for name, values in masks.items():
            if values[k].shape != image.shape:
                raise ValueError(
                    f"{name}[{k}] has shape {values[k].shape}, images[{k}] has {image.shape};"
                    " resize one to the other"
                )
