"""What a manifest says of a source: its findings, its split, and how it was asked for."""

from dataclasses import asdict, dataclass
from pathlib import Path

from unet_lib import workspace
from unet_lib.intake import splits
from unet_lib.intake import tree as trees
from unet_lib.intake.audit import Audited
from unet_lib.intake.faults import FAULTS
from unet_lib.intake.tree import Tree


@dataclass(frozen=True)
class Options:
    """How a data set is to be made; `parameters.TABLE` holds what each may be.

    Attributes:
        val_fraction: see `split_ids`.
        split_seed: see `split_ids`.
        split: see `split_ids`.
        group_by: regular expression; ids in which it captures the same stay on one side.
        mask_values: see `masks.decide`.
        intensity: see `intensity.choose`.
        invert: see `audit.audit`.
        empty_masks: see `audit.audit`.
        follow_links: whether links that lead out of the source are followed.
    """

    val_fraction: float = 0.15
    split_seed: int = 0
    split: str = "stratified"
    group_by: str = ""
    mask_values: str = "auto"
    intensity: str = "auto"
    invert: str = "no"
    empty_masks: str = "exclude"
    follow_links: bool = False


def describe(tree: Tree, audited: Audited, options: Options, *, source: Path) -> dict:
    """Return what a manifest says of a source; refuse one without a usable pair."""
    if not audited.pairs:
        raise ValueError(_no_pair(tree, source))
    groups = _groups(tree, audited.pairs, options.group_by)
    split = _split(tree, audited.pairs, options, groups)
    classes = list(audited.meaning.classes)
    return {
        "layout": tree.layout,
        "test_layout": tree.test_forms,
        "split": split,
        "groups": {name: groups[name] for name in audited.pairs if name in groups},
        "test": [name for name in audited.looks if name in tree.test],
        "mask_table": [asdict(row) for row in audited.meaning.rows],
        "foreground": sorted(map(str, audited.meaning.foreground)),
        **({"classes": classes} if classes else {}),
        "intensity_rule": audited.scales.rule or "8 bits",
        "findings": describe_findings(tree),
    }


def describe_findings(tree: Tree) -> list[dict]:
    """Return every fault that the audit looks for: how often, where, and the decision on it."""
    return [
        {"fault": fault, "count": len(cases), "examples": sorted(cases)[:5], "cases": sorted(cases),
         **FAULTS[fault]._asdict()}
        for fault, cases in tree.notes.items()
    ]


def _no_pair(tree: Tree, source: Path) -> str:
    met = {fault: cases for fault, cases in tree.notes.items() if cases}
    faults = "\n".join(f"    {f}: {len(cases)}, such as {min(cases)}" for f, cases in met.items())
    return (
        f"source {workspace.shown(source)} holds no readable pair of image and mask.\n"
        f"{trees.EXPECTED}\nFound: {trees.describe(source)}; of these could not be used:\n"
        f"{faults or '    none'}"
    )


def _groups(tree: Tree, pairs: list[str], group_by: str) -> dict[str, str]:
    """Return which ids stay together: as the source's list says, else by `group_by`."""
    if not group_by:
        return {name: tree.group[name] for name in pairs if name in tree.group}
    groups, alone = splits.group_of(pairs, group_by)
    for name in alone:
        tree.note("id without group", name)
    return groups


def _split(tree: Tree, pairs: list[str], options: Options, groups: dict[str, str]) -> dict:
    """Divide the pairs: as the source says if it does, else by `split_ids`."""
    if own := sorted(name for name in pairs if name in tree.validation):
        train = sorted(name for name in pairs if name not in tree.validation)
        tree.note("val_fraction unused", f"{len(own)} pairs")
        if not train:
            raise ValueError("all usable pairs are validation pairs; training needs one at least")
        return {"train": train, "validation": own}
    return splits.split_ids(
        pairs, val_fraction=options.val_fraction, split_seed=options.split_seed,
        split=options.split, groups=groups,
    )
