"""What is wrong with a source, and what can be used: findings, decided for the whole set.

First each pair is reduced to a few figures (`looks`). What they mean is decided afterwards, from
all of them, and only then is it known which pairs can be used.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unet_lib.intake import intensity, layouts, masks, splits
from unet_lib.intake.intensity import Scales
from unet_lib.intake.looks import TURNED, Look, Progress, look_at_all
from unet_lib.intake.masks import Meaning
from unet_lib.intake.tree import Tree

_FEW_LEVELS = 32  # grey levels below which a picture is all but flat
_NEGATIVE = 0.1  # standard deviations by which foreground is brighter than what surrounds it
_FITS = 0.4  # contrast of a mask that lies where it belongs; by half of it others are worse
_COPY = 0.99  # correlation of two pictures at 16 x 16 px that show the same


@dataclass(frozen=True)
class Audited:
    """A source as the audit leaves it; `tree.notes` holds the findings.

    Attributes:
        looks: the usable images by id, pairs and test images.
        pairs: ids of the usable pairs.
        meaning: what the values of the masks mean.
        scales: how 16-bit images become 8 bits deep.
        turned: ids of images whose black and white change places.
    """

    looks: dict[str, Look]
    pairs: list[str]
    meaning: Meaning
    scales: Scales
    turned: frozenset[str]


def audit(
    tree: Tree,
    progress: Progress | None = None,
    *,
    mask_values: str = "auto",
    intensity_range: str = "auto",
    invert: str = "no",
    empty_masks: str = "exclude",
    grouped: bool = False,
) -> Audited:
    """Read every file once, note its faults in `tree`, and decide what the set means.

    Args:
        tree: from `tree.find_tree`.
        progress: called with (files examined, files in all).
        mask_values: see `masks.decide`.
        intensity_range: see `intensity.choose`.
        invert: "no", "auto" (negatives among positives are turned round) or "yes" (all are).
        empty_masks: "exclude", or "keep" where an empty mask is a fact.
        grouped: whether the caller keeps groups on one side of the split by itself.

    Raises:
        ValueError: what the masks mean is not plain; see `masks.decide`.
    """
    looks = look_at_all(tree, progress)
    for look in looks.values():
        for fault, path, detail in look.notes:
            tree.note(fault, path, detail)
    looks = {name: look for name, look in looks.items() if look.usable}
    counts = {
        _called(tree, name, path, label): count
        for name, look in looks.items() for (path, label), count in look.counts.items()
    }
    _note_second_readers(tree, looks)
    meaning = masks.decide(counts, mask_values)
    for fault, file, detail in meaning.notes:
        tree.note(fault, file, detail)
    _note_overlaps(tree, looks, meaning)
    scales = intensity.choose({n: x.depth for n, x in looks.items() if x.depth}, intensity_range)
    for fault, name, detail in scales.notes:
        tree.note(fault, _path(tree, name), detail)
    _drop_without_meaning(tree, looks, meaning, keep_empty=empty_masks == "keep")
    _drop_halves(tree, looks, meaning)
    _drop_copies(tree, looks)
    _note_flat(tree, looks, scales)
    if not grouped:
        _note_near_copies(tree, looks)
    _note_turned(tree, looks)
    turned = _find_negatives(tree, looks, invert)
    usable = [name for name in looks if name not in tree.test]
    return Audited(looks, usable, meaning, scales, turned)


def _called(tree: Tree, name: str, path: Path, label: str) -> str:
    """Return what a mask is called in findings: its path; of an annotation also image and label."""
    return f"{tree.name(path)} ({name}, {label})" if label else tree.name(path)


def _note_second_readers(tree: Tree, looks: dict[str, Look]) -> None:
    """Note labels that two annotation files draw otherwise on one picture: they are joined."""
    for name, look in looks.items():
        owners: dict[str, Path] = {}
        drawn: dict[str, Path] = {}
        for (path, label), outline in look.outlines.items():
            if not label:
                if drawn.setdefault(outline, path) is not path:
                    tree.note("two masks of an image are the same", path, f" ({name})")
                continue
            first = owners.setdefault(label, path)
            if outline != look.outlines[first, label]:
                told = f" ({name}, {label}): {tree.name(first)} too"
                tree.note("label in two annotation files", path, told)


def _note_overlaps(tree: Tree, looks: dict[str, Look], meaning: Meaning) -> None:
    """Note images most of whose mask files overlap with another of the same class.

    Those of two readers do; of cells a few may, and copies are told elsewhere.
    """
    for name, look in looks.items():
        found = []
        for one, key, other, second in look.overlaps:
            keys = [meaning.same.get(label, label) for label in (key, second)]
            alike = len({meaning.numbers.get(label) for label in keys}) == 1
            same = look.outlines.get((one, "")) == look.outlines.get((other, ""), "")
            if meaning.foreground >= set(keys) and alike and not same:
                found.append((one, other))
        if found and 2 * len(set().union(*found)) >= len({path for path, _ in look.counts}):
            one, other = found[0]
            tree.note("masks of an image overlap", other, f" ({name}): {tree.name(one)} too")


def _drop_without_meaning(
    tree: Tree, looks: dict[str, Look], meaning: Meaning, *, keep_empty: bool
) -> None:
    """Note masks that show nothing or everything, and leave their pairs out."""
    for name, look in list(looks.items()):
        if name in tree.test:
            continue
        kinds = {masks.covers(counts, meaning) for counts in look.counts.values()}
        if kinds == {"", "empty"}:
            for (path, label), counts in look.counts.items():
                if not label and masks.covers(counts, meaning) == "empty":
                    tree.note("one mask of several is empty", path)
        fault = "full mask" if "full" in kinds else "empty mask" if kinds == {"empty"} else ""
        if not fault:
            continue
        kept = keep_empty and fault == "empty mask"
        faint = fault == "empty mask" and any(counts.faint for counts in look.counts.values())
        detail = ": what is not 0 is scattered and faint" if faint else ""
        file = tree.masks[name][0]
        of = f" ({name})" if file.suffix.lower() == ".json" else ""  # which may speak of others too
        tree.note("empty mask, kept" if kept else fault, file, of + detail)
        if not kept:
            del looks[name]


def _drop_halves(tree: Tree, looks: dict[str, Look], meaning: Meaning) -> None:
    """Leave out pairs in whose annotation one lung lacks, where others name a left and a right."""
    lungs = {str(key) for key in meaning.foreground if masks.is_lung(key)}
    sides = {side: {n for n in lungs if side in n.lower()} for side in ("left", "right")}
    if not all(sides.values()):
        return
    for name, look in list(looks.items()):
        drawn = {label for (_, label), c in look.counts.items() if c.pixels.get(label)}
        missing = [side for side, labels in sides.items() if not drawn & labels]
        if len(missing) == 1 and drawn & lungs <= set.union(*sides.values()):
            file = next(path for path, label in look.counts if label)
            tree.note("only one lung's mask", file, f" ({name}): no {missing[0]} one")
            del looks[name]


def _drop_copies(tree: Tree, looks: dict[str, Look]) -> None:
    """Note pictures that occur twice; a test image stays, of training images the first."""
    tests, train = {}, {}
    for name, look in list(looks.items()):
        if name in tree.test:
            tests.setdefault(look.digest, name)
        elif look.digest in tests:
            tree.note("same image in train and test", f"{name} = {tests[look.digest]}")
            del looks[name]
        elif train.setdefault(look.digest, name) != name:
            tree.note("same image twice in train", f"{name} = {train[look.digest]}")
            del looks[name]


def _note_flat(tree: Tree, looks: dict[str, Look], scales: Scales) -> None:
    for name, look in looks.items():
        levels = look.levels
        if look.depth:
            tree.note("16-bit image", _path(tree, name), f" ({look.depth.bits} bits used)")
            low, high = scales.ranges[name]
            width = look.depth.high - look.depth.low
            levels = min(256, round(255 * width / max(high - low, 1)) + 1)
        if levels < _FEW_LEVELS:
            tree.note("few grey levels", _path(tree, name), f" ({levels} of 256)")


def _note_near_copies(tree: Tree, looks: dict[str, Look]) -> None:
    """Note pictures that are near copies and share a prefix, as films of one patient do, or a name.

    One name is that of another size or form of a picture, in another folder; a name that more
    pictures bear than there are names, such as "image" in the folder of each patient, tells
    nothing, nor does a prefix of all pairs. Test images among themselves may be as they are.
    """
    named: dict[str, list[str]] = {}
    for name in looks:
        named.setdefault(_path(tree, name).stem, []).append(name)
    named = {stem: names for stem, names in named.items()
             if layouts.image_core(stem) and len(names) <= len(named)}
    prefixes, pairs = splits.shared_prefixes(looks), looks.keys() - tree.test.keys()
    prefixes = {prefix: names for prefix, names in prefixes.items() if pairs - set(names)}
    for fault, word, groups in (("near copies that share a prefix", "prefix", prefixes),
                                ("near copies that share a name", "name", named)):
        for text, names in groups.items():
            names = sorted(names, key=lambda name: name in tree.test)
            for one, other in _near_copies(looks, names):
                test = ", a test image" * (other in tree.test)
                if one not in tree.test:
                    tree.note(fault, f"{one} and {other}{test}", f" ({word} {text})")


def _near_copies(looks: dict[str, Look], names: list[str]) -> Iterator[tuple[str, str]]:
    """Give pictures and, for each, one of those behind it in the list that is a near copy."""
    if len(names) < 2:
        return
    small = np.stack([looks[name].small for name in names])
    for start in range(0, len(names), 1000):
        alike = np.triu(small[start : start + 1000] @ small.T >= _COPY, start + 1)
        for row in np.flatnonzero(alike.any(1)):  # once a picture, however many are alike
            yield names[start + row], names[alike[row].argmax()]


def _note_turned(tree: Tree, looks: dict[str, Look]) -> None:
    """Note masks that would fit their pictures better mirrored, upside down or on their side.

    That is so where one of both was turned by its orientation flag, or pixels were read by columns.
    Told are nearly all, or a few or most of them the same way where the others fit: the place of
    a small structure says little. Where masks lie on one side, nearly all must tell of it: the
    mask of a lung that is white fits the other one better.
    """
    shown = {name: look for name, look in looks.items() if look.turned}
    strongest = [max((x.contrast, *x.turned), key=abs) for x in shown.values()]
    sign, found = np.sign(sum(strongest)), {}
    for name, look in shown.items():
        contrasts = sign * np.array(look.turned)
        if contrasts.max() > max(_FITS, sign * look.contrast + _FITS / 2):
            found[name] = TURNED[contrasts.argmax()]
    alike = 10 * max(Counter(found.values()).values(), default=0) >= 7 * len(found)
    few, nearly_all = 4 * len(found) <= len(shown), 4 * len(found) >= 3 * len(shown)
    if not (alike and nearly_all):
        rest = [sign * look.contrast for name, look in shown.items() if name not in found]
        fit = rest and (few or alike) and np.median(rest) > _FITS
        one_sided = 2 * sum(look.one_sided for look in shown.values()) > len(shown)
        found = found if fit and not one_sided else {}
    for name, way in found.items():
        tree.note("mask may be turned", tree.masks[name][0], f" ({name}: {way} it fits better)")


def _find_negatives(tree: Tree, looks: dict[str, Look], invert: str) -> frozenset[str]:
    """Note pictures whose foreground is the brighter part where that of most is the darker one.

    Half against half is told as well. Of a set whose foreground is mostly the brighter part nothing
    is said: it may be no lung.
    """
    shown = {n: look.contrast for n, look in looks.items() if look.contrast is not None}
    own = {name for name, look in looks.items() if not look.settled}
    if invert == "yes":
        return frozenset(own)
    dark = [name for name, contrast in shown.items() if contrast > _NEGATIVE]
    bright = [name for name, contrast in shown.items() if contrast < -_NEGATIVE]
    if len(dark) < len(bright):
        return frozenset()
    turned = frozenset(name for name in bright if name in own and invert == "auto")
    for name in bright:
        fault = "may be a negative" if name in own else "DICOM may be a negative"
        tree.note("negative, turned round" if name in turned else fault, _path(tree, name))
    return turned


def _path(tree: Tree, name: str) -> Path:
    return tree.test[name] if name in tree.test else tree.images[name]
