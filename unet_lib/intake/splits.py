"""Who trains and who validates: a function of the ids, their groups and a seed, of nothing else."""

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping

_FOLD = re.compile(r"(\d{1,4})/(\d{1,4})")
_LAST_PART = re.compile(r"(.+)[_-][^_-]+")


def split_ids(
    ids: Iterable[str],
    *,
    val_fraction: float = 0.15,
    split_seed: int = 0,
    split: str = "stratified",
    groups: Mapping[str, str] | None = None,
) -> dict[str, list[str]]:
    """Divide ids into training and validation; the order in which they come does not matter.

    Args:
        ids: if each ends in `_0` or `_1`, that is its class.
        val_fraction: share of the validation set, in (0, 1); 0.15 of 500 pairs are 75. With
            groups, the validation set comes as near to it as whole groups allow.
        split_seed: groups are ranked by the SHA-256 of "split_seed:id" of their first id.
        split: "stratified" keeps the share of each class; "last" takes the last sorted ids; "2/5"
            the second of five equal stratified parts, which together hold each id once, whatever
            `val_fraction` is: one fold of a cross-validation.
        groups: the group (a patient) of an id; a group stays on one side. An id that is not in it
            is a group of its own.

    Returns:
        {"train": ids, "validation": ids}, both sorted.

    Raises:
        ValueError: an unknown rule, a fraction out of range, or one that leaves a side empty.

    Source: the original takes the last 15 % in the order of `os.listdir`; "last" sorts them first.
    """
    ids = sorted(ids)
    check_split(val_fraction, split)
    if fold := _FOLD.fullmatch(split):
        return _fold(ids, int(fold[1]), int(fold[2]), split_seed=split_seed, groups=groups)
    units = _units(ids, groups or {})
    count = round(val_fraction * len(ids))
    if not 0 < count < len(ids):
        raise ValueError(
            f"val_fraction {val_fraction} of {len(ids)} pairs gives {count} for validation and"
            f" {len(ids) - count} for training; each side needs one: change val_fraction"
        )
    chosen = _last(units, count) if split == "last" else _stratified(units, count, split_seed)
    validation = {i for unit in chosen for i in unit}
    return {"train": [i for i in ids if i not in validation], "validation": sorted(validation)}


def _fold(ids: list[str], part: int, parts: int, **options) -> dict[str, list[str]]:
    """Deal the ids into parts, one after another, and let one of them validate."""
    rest, validation = ids, []
    for left in range(parts, parts - part, -1):
        if left == 1:
            validation = rest
            break
        split = split_ids(rest, val_fraction=1 / left, **options)
        validation, rest = split["validation"], split["train"]
    return {"train": sorted(set(ids) - set(validation)), "validation": validation}


def check_split(val_fraction: float, split: str) -> None:
    """Raise ValueError if no set of ids could be split so."""
    fold = _FOLD.fullmatch(split)
    if split not in ("stratified", "last") and not fold:
        raise ValueError(f"split must be 'stratified', 'last' or a fold, '2/5', got {split!r}")
    if fold and not 1 <= int(fold[1]) <= int(fold[2]) >= 2:
        raise ValueError(f"split {split!r} is no fold: '1/5' to '5/5' are the folds of five")
    if not 0 < val_fraction < 1:
        raise ValueError(
            f"val_fraction must lie between 0 and 1 (0.15 keeps 15 % for validation),"
            f" got {val_fraction}"
        )


def group_of(ids: Iterable[str], pattern: str) -> tuple[dict[str, str], list[str]]:
    r"""Return the group of each id by `group_by`, and the ids that the pattern does not match.

    Args:
        ids: names of pairs.
        pattern: a regular expression, searched in each id; the group is its first capture that
            took part, without captures the whole match: `^(\d+)_` makes 0042 of 0042_001.

    Returns:
        {id: group}, where an id without a match (or with an empty one) is its own group, and the
        sorted ids without a match.

    Raises:
        ValueError: no regular expression, one that matches no id, or one group for all.
    """
    ids = sorted(ids)
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f"group_by must be a regular expression, got {pattern!r}: {error};"
            r" '^(\d+)_' takes the number before the first '_' of each id"
        ) from None
    found = {i: _captured(expression.search(i)) for i in ids}
    groups = {i: group or i for i, group in found.items()}
    if ids and not any(found.values()):
        raise ValueError(
            f"group_by {pattern!r} matches none of {len(ids)} ids, such as {', '.join(ids[:3])};"
            " change it, or leave it empty"
        )
    _check_several(groups, f"group_by {pattern!r}")
    return groups, [i for i in ids if not found[i]]


def shared_prefixes(ids: Iterable[str]) -> dict[str, list[str]]:
    """Return ids that may show one patient: those alike but for what follows the last `_` or `-`.

    Returns:
        {prefix: at least two sorted ids}; a prefix that all ids share tells nothing and is left
        out. A name alone proves nothing either: "COVID-1" and "COVID-2" are two patients.
    """
    ids, found = sorted(ids), {}
    for name in ids:
        if match := _LAST_PART.fullmatch(name):
            found.setdefault(match[1], []).append(name)
    return {prefix: names for prefix, names in found.items() if 1 < len(names) < len(ids)}


def _captured(match: re.Match | None) -> str:
    """Return the first capture that took part, or the whole match; "" without a match."""
    if not match:
        return ""
    if not match.re.groups:
        return match[0]
    return next((part for part in match.groups() if part is not None), "")


def _units(ids: list[str], groups: Mapping[str, str]) -> list[list[str]]:
    """Return the ids of each group, in the order of their first ids."""
    units = {}
    for name in ids:
        units.setdefault(groups.get(name, name), []).append(name)
    if groups:
        _check_several({i: group for group, unit in units.items() for i in unit}, "the grouping")
    return list(units.values())


def _check_several(groups: dict[str, str], what: str) -> None:
    if len(groups) > 1 and len(set(groups.values())) == 1:
        raise ValueError(
            f"{what} puts all {len(groups)} ids into one group, {next(iter(groups.values()))!r},"
            " which cannot be divided into training and validation; change it, or leave it empty"
        )


def _last(units: list[list[str]], count: int) -> list[list[str]]:
    """Return the last groups, as many as come nearest to `count` ids."""
    totals = itertools.accumulate(len(unit) for unit in reversed(units[1:]))
    number, _ = min(enumerate(totals, 1), key=lambda total: abs(total[1] - count))
    return units[-number:]


def _stratified(units: list[list[str]], count: int, seed: int) -> list[list[str]]:
    """Return groups of about `count` ids, from each class in proportion."""
    classed = all(re.search("_[01]$", i) for unit in units for i in unit)
    strata = [[], []] if classed else [[]]
    for unit in units:
        votes = Counter(i[-1] for i in unit)
        strata[classed and votes["1"] > votes["0"]].append(unit)
    rank = {unit[0]: hashlib.sha256(f"{seed}:{unit[0]}".encode()).digest() for unit in units}
    ranked = [sorted(stratum, key=lambda unit: rank[unit[0]]) for stratum in strata]
    chosen, owed = [], 0
    for stratum, size in zip(ranked, _shares(strata, count), strict=True):
        taken = _nearest(stratum, size + owed)
        owed += size - sum(map(len, taken))
        chosen += taken
    if 0 < len(chosen) < len(units):
        return chosen
    return _nearest(sorted(units, key=lambda unit: rank[unit[0]]), count, proper=True)


def _shares(strata: list[list[list[str]]], count: int) -> list[int]:
    """Divide `count` in proportion to the ids of each class, largest remainder first."""
    amounts = [sum(map(len, stratum)) for stratum in strata]
    exact = [count * amount / sum(amounts) for amount in amounts]
    sizes = [int(share) for share in exact]
    for index in sorted(range(len(sizes)), key=lambda k: sizes[k] - exact[k]):
        sizes[index] += sum(sizes) < count
    return sizes


def _nearest(units: list[list[str]], count: int, *, proper: bool = False) -> list[list[str]]:
    """Return the groups that together come nearest to `count` ids, earlier ones first.

    Every sum that some of the last groups can have is a bit of a whole number, so that the
    nearest one is found exactly. `proper` asks for at least one group and not all.
    """
    lengths = [len(unit) for unit in units]
    if set(lengths) <= {1} and not proper:
        return units[: max(count, 0)]
    mask = (1 << (max(count, 0) + max(lengths) + 1)) - 1
    reach = [1]  # what the last 0, 1, 2 ... groups can sum up to
    for length in reversed(lengths):
        reach.append((reach[-1] | reach[-1] << length) & mask)
    sums = [s for s in range(reach[-1].bit_length()) if reach[-1] >> s & 1]
    sums = [s for s in sums if not proper or 0 < s < sum(lengths)]
    left = min(sums, key=lambda s: abs(s - count))
    chosen = []
    for index, unit in enumerate(units):
        if len(unit) <= left and reach[len(units) - index - 1] >> (left - len(unit)) & 1:
            chosen.append(unit)
            left -= len(unit)
    return chosen
