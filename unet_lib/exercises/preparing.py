"""Checks of what a reader writes before the first training: notebooks 01 to 03."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from unet_lib.exercises.teacher import Case, answer


def check_pairs(my_pairs: Callable) -> None:
    """Try a function that pairs image files with mask files (notebook 01), and print the answer.

    Args:
        my_pairs: takes two lists of `Path`, images and masks, each in any order. Returns a list of
            pairs (image, mask) of the same id, the name without its ending, sorted by id; a file
            without a partner is left out.
    """
    cases = [
        _pairs_case("both lists have one order", "a.png b.png", "a.png b.png", "ab"),
        _pairs_case("the masks come in another order", "a.png b.png", "b.png a.png", "ab"),
        _pairs_case("an image has no mask", "a.png b.png c.png", "a.png c.png", "ac"),
        _pairs_case("a mask has no image", "a.png c.png", "a.png b.png c.png", "ac"),
        _pairs_case("no list is sorted", "c.png a.png b.png", "b.png c.png a.png", "abc"),
        _pairs_case("one image is a JPEG", "a.jpg b.png", "a.png b.png", "ab"),
    ]
    print(answer(my_pairs, cases, {
        "it pairs by position. A listing is no order: make a dictionary from id to file of "
        "each list, and look the mask up by the image's id.": [_zipped],
        "sorting both lists and pairing by position works only until one file is missing; from "
        "there on every mask is a neighbour's. Look the mask up by its id.": [
            lambda images, masks: _zipped(sorted(images), sorted(masks))],
        "not every file has a partner. Keep only the ids that are in both dictionaries: "
        "`images.keys() & masks.keys()`.": [
            lambda images, masks: _looked_up(images, masks, sorted(_by_id(images))),
            lambda images, masks: _looked_up(images, masks, sorted(_by_id(masks)))],
        "the pairs are right, their order is that of the listing, another one on each machine. "
        "Use `sorted`.": [
            lambda images, masks: _looked_up(
                images, masks, [p.stem for p in images if p.stem in _by_id(masks)])],
        "the id is the name without its ending: `path.stem`, not `path.name`.": [
            lambda images, masks: [
                (i, m) for i in sorted(images) for m in masks if m.name == i.name]],
        "these are the ids; return the files that belong to them, as pairs.": [
            lambda images, masks: sorted(_by_id(images).keys() & _by_id(masks).keys())],
    }))


def _pairs_case(name: str, images: str, masks: str, ids: str) -> Case:
    """Make a case from file names with blanks between them, and the ids that have both files."""
    given = tuple([Path(folder, file) for file in names.split()]
                  for folder, names in (("images", images), ("masks", masks)))
    return Case(name, given, _looked_up(*given, ids))


def _by_id(files: list[Path]) -> dict[str, Path]:
    return {path.stem: path for path in files}


def _looked_up(images: list[Path], masks: list[Path], ids: Iterable[str]) -> list[tuple]:
    return [(_by_id(images)[name], _by_id(masks)[name]) for name in ids]


def _zipped(images: list[Path], masks: list[Path]) -> list[tuple]:
    return list(zip(images, masks, strict=False))


def check_mean_mask(my_mean_mask: Callable) -> None:
    """Try a function that averages masks (notebook 02), and print the answer.

    Args:
        my_mean_mask: takes a list of masks, (H, W) uint8 of 0 and 1 each. Returns (H, W) float, for
            each place the share of the masks that have lung there, in [0, 1].
    """
    three = [[0, 1, 1], [0, 0, 1]], [[0, 1, 1], [0, 0, 1]], [[0, 1, 0], [0, 1, 1]]
    share = np.array([[0, 1, 2 / 3], [0, 1 / 3, 1]])
    half = np.array([[1, 0], [0.5, 0]])
    cases = [
        Case("two masks", (_masks([[1, 0], [1, 0]], [[1, 0], [0, 0]]),), half),
        Case("three masks of 2 × 3 pixels", (_masks(*three),), share),
        Case("one mask", (_masks([[1, 0, 0]]),), np.array([[1.0, 0, 0]])),
        Case("300 masks, all equal", (_masks(*[[[1, 0]]] * 300),), np.array([[1.0, 0]])),
    ]
    print(answer(my_mean_mask, cases, {
        "average over the masks only, place by place: the result is as high and as wide as one "
        "mask.": [np.mean, *(lambda masks, a=axis: np.mean(masks, axis=a)
                             for axis in (1, 2, (1, 2)))],
        "this is how many masks have lung there; divide by the number of masks.": [
            lambda masks: np.sum(masks, axis=0)],
        "return the share itself, also 1/3; the threshold at one half comes later.": [
            lambda masks: np.mean(masks, axis=0) >= 0.5,
            lambda masks: np.mean(masks, axis=0) > 0.5],
        "`//` drops the fraction; divide by `/`.": [
            lambda masks: np.sum(masks, axis=0) // len(masks)],
        "a mask is uint8, which counts to 255 and goes on at 0. Add up in floats: begin with "
        "`np.zeros(masks[0].shape)`.": [lambda masks: sum(masks) / len(masks)],
        "it adds up in the first mask, and that one is changed for good. Begin with "
        "`np.zeros(masks[0].shape)`.": [_summed_in_place],
    }))


def _masks(*rows: list) -> list[np.ndarray]:
    return [np.array(mask, np.uint8) for mask in rows]


def _summed_in_place(masks: list[np.ndarray]) -> np.ndarray:
    total = masks[0]
    for mask in masks[1:]:
        total += mask
    return total / len(masks)


def check_parameters(my_parameters: Callable) -> None:
    """Try a function that counts a convolution's parameters (notebook 03), and print the answer.

    Args:
        my_parameters: takes the side of the kernels, the number of input channels and the number of
            filters. Returns how many weights and biases the layer has.
    """
    cases = [
        Case("the first layer of the U-Net", (3, 1, 16), 160),
        Case("the second layer", (3, 16, 16), 2320),
        Case("the 2 × 2 convolution of the first step up", (2, 256, 128), 131_200),
        Case("the layer behind the first skip", (3, 256, 128), 295_040),
        Case("the last layer", (1, 2, 1), 3),
    ]
    print(answer(my_parameters, cases, {
        "the biases are missing: one for each filter.": [lambda k, c, f: k * k * c * f],
        "each filter has a bias of its own, so there are as many biases as filters.": [
            lambda k, c, f: k * k * c * f + 1],
        "a filter has one kernel for each input channel. (With one channel, as in the first "
        "layer, it does not show.)": [lambda k, c, f: k * k * f + f, lambda k, c, f: k * k * f],
        "a kernel is a square: k · k numbers, not k.": [
            lambda k, c, f: k * c * f + f, lambda k, c, f: 2 * k * c * f + f],
        "the biases belong to the filters, not to the input channels.": [
            lambda k, c, f: k * k * c * f + c, lambda k, c, f: k * k * c * f + c * f],
    }))
