"""Who trains and who validates: a function of the ids and a seed, and of nothing else."""

import hashlib
import re
from collections.abc import Iterable


def split_ids(
    ids: Iterable[str],
    *,
    val_fraction: float = 0.15,
    split_seed: int = 0,
    split: str = "stratified",
) -> dict[str, list[str]]:
    """Divide ids into training and validation; the order in which they come does not matter.

    Args:
        ids: if each ends in `_0` or `_1`, that is its class.
        val_fraction: share of the validation set, in (0, 1); 0.15 of 500 pairs are 75.
        split_seed: ids are ranked by the SHA-256 of "split_seed:id".
        split: "stratified" keeps the share of each class; "last" takes the last sorted ids.

    Returns:
        {"train": ids, "validation": ids}, both sorted.

    Raises:
        ValueError: an unknown rule, a fraction out of range, or one that leaves a side empty.

    Source: the original takes the last 15 % in the order of `os.listdir`; "last" sorts them first.
    """
    ids = sorted(ids)
    check_split(val_fraction, split)
    count = round(val_fraction * len(ids))
    if not 0 < count < len(ids):
        raise ValueError(
            f"val_fraction {val_fraction} of {len(ids)} pairs gives {count} for validation and"
            f" {len(ids) - count} for training; each side needs one: change val_fraction"
        )
    chosen = set(ids[-count:] if split == "last" else _stratified(ids, count, split_seed))
    return {"train": [i for i in ids if i not in chosen], "validation": sorted(chosen)}


def check_split(val_fraction: float, split: str) -> None:
    """Raise ValueError if no set of ids could be split so."""
    if split not in ("stratified", "last"):
        raise ValueError(f"split must be 'stratified' or 'last', got {split!r}")
    if not 0 < val_fraction < 1:
        raise ValueError(
            f"val_fraction must lie between 0 and 1 (0.15 keeps 15 % for validation),"
            f" got {val_fraction}"
        )


def _stratified(ids: list[str], count: int, seed: int) -> list[str]:
    """Return `count` ids, from each class in proportion (largest remainder first)."""
    classed = all(re.search("_[01]$", i) for i in ids)
    groups = [[i for i in ids if i[-1] == c] for c in "01"] if classed else [ids]
    exact = [count * len(group) / len(ids) for group in groups]
    sizes = [int(share) for share in exact]
    for index in sorted(range(len(sizes)), key=lambda k: sizes[k] - exact[k]):
        sizes[index] += sum(sizes) < count
    rank = {i: hashlib.sha256(f"{seed}:{i}".encode()).digest() for i in ids}
    parts = zip(groups, sizes, strict=True)
    return [i for group, size in parts for i in sorted(group, key=rank.get)[:size]]
