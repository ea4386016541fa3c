"""Every parameter of the series once: what it may be, and what to do if it is something else."""

import difflib
import itertools
import math
import re
from collections.abc import Iterable

from unet_lib import rules


def check(**values: object) -> None:
    """Refuse a value that the series cannot use.

    Args:
        **values: parameters of the series, by name.

    Raises:
        ValueError: a name is unknown or a value is not allowed; the message holds what was
            expected, what was received and a value that is near and good.
    """
    for name, value in values.items():
        if name not in TABLE:
            raise ValueError(f"the series has no parameter {name!r}; {nearest(name, TABLE)}")
        rule = TABLE[name]
        if not (rules.is_a(rule.kind, value) and rule.fits(value)):
            remedy = rule.remedy(rules.meant(rule.kind, value))
            raise ValueError(f"{name} must be {rule.allowed}, got {value!r}; {remedy}")


def check_all(names: dict[str, object]) -> None:
    """Check every parameter of the series among some names, such as a notebook's `globals()`.

    Of a name that the series does not know papermill (`-p epoch 7`) only warns: it writes all into
    a cell of its own behind that of the defaults, which IPython's history `In` holds, and the
    defaults would win in silence. What a notebook's own defaults name is its own affair, and the
    last such cell counts: who ran a corrected one has settled it.

    Args:
        names: name to value; what is no parameter is passed over, unless papermill set it.

    Raises:
        ValueError: as `check`.
    """
    check(**{name: value for name, value in names.items() if name in TABLE})
    for defaults, cell in [*itertools.pairwise(names.get("In", ()))][::-1]:
        if cell.startswith("# Parameters\n"):
            own = {*TABLE, *re.findall(r"^(\w+) *[:=]", defaults, re.MULTILINE)}
            given = re.findall(r"^(\w+) = ", cell, re.MULTILINE)
            check(**{name: names.get(name) for name in given if name not in own})
            break


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "did you mean 'epochs'?", or what there is if nothing is near."""
    known = sorted(set(known))
    near = difflib.get_close_matches(name, known, 1)
    if rules.RENAMED.get(name) in known:
        near = [rules.RENAMED[name]]
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"


# In the order in which the notebooks declare them.
TABLE: dict[str, rules.Rule] = {
    "source": rules.source(),
    "phantoms": rules.whole(1, 9000, example=120),
    "phantom_masks": rules.choice("both", "sides"),
    "dataset": rules.name("dataset"),
    "run_name": rules.name("run_name", run=True),
    "val_fraction": rules.real(0, 1, ends="()", remedy="use for example 0.15"),
    "split_seed": rules.whole(0, 2**31 - 1, example=0),
    "split": rules.split(),
    "group_by": rules.pattern(),
    "mask_values": rules.entries(
        r"[^,=]+(=[^,=]+)?", example="1,2",
        allowed="'auto', or what is foreground: grey values or ranges, colours or labels' names",
    ),
    "intensity": rules.interval(),
    "invert": rules.choice("no", "auto", "yes"),
    "empty_masks": rules.choice("exclude", "keep"),
    "follow_links": rules.flag(),
    "seed": rules.whole(0, 2**31 - 1, example=0),
    "image_size": rules.side(128),
    "batch_size": rules.whole(1, example=4),
    "learning_rate": rules.real(0, 1, ends="()", remedy="use for example 0.001"),
    "epochs": rules.whole(1, example=10),
    "training_pairs": rules.whole(0, example=0, what="a whole number (0 for all)"),
    "width": rules.whole(1, example=16, what="a whole number of filters"),
    "head": rules.choice("original", "direct"),
    "normalization": rules.choice("none", "batch"),
    "standardize": rules.flag(),
    "dropout": rules.real(0, 1, ends="[)", remedy="use for example 0.5"),
    "loss": rules.choice("bce", "bce_dice", "dice", "focal"),
    "schedule": rules.choice("constant", "cosine"),
    "augment": rules.flag(),
    "flip": rules.flag(),
    "augmentation_strength": rules.real(
        0, 4, ends="()", remedy="use for example 1.0; none at all is augment=False"
    ),
    "precision": rules.choice("float32", "mixed_bfloat16", "mixed_float16"),
    "tensorboard": rules.flag(),
    "required_dice": rules.real(0, 1, ends="[]", remedy="use for example 0.85"),
    "judged_epoch": rules.choice("best", "last"),
    "external_dataset": rules.name("external_dataset", optional=True),
    "other_run": rules.name("other_run", optional=True, run=True),
    "parts": rules.whole(1, example=2),
    "tolerance_width": rules.real(0, 1, ends="[)", remedy="use for example 0.01"),
    "draws": rules.whole(2, example=10, what="a whole number (one has no deviation)"),
    "suspects": rules.some_of(
        "ladder", "pairs", "head", "normalization", "dropout", "rate", "loss", "augmentation",
        "standardization", "size", "masks", "death", example="dropout, loss",
    ),
    "situations": rules.some_of("original", "ours", "few", "few+", example="ours"),
    "widths": rules.entries(r"0*[1-9]\d*", allowed="whole numbers above 0", example="4, 8"),
    "experiment_size": rules.side(32),
    "experiment_epochs": rules.whole(1, example=2),
    "experiment_seeds": rules.whole(1, example=1),
    "experiment_pairs": rules.whole(0, example=24, what="a whole number (0 for all)"),
    "experiment_minutes": rules.real(0, math.inf, ends="[)", remedy="use 0 for no limit"),
    "own_table": rules.flag(),
    "sizes": rules.entries(
        r"0*[1-9]\d*", allowed="multiples of 16 px", example="128, 256", step=16),
    "repeats": rules.whole(1, example=7),
    "retrain": rules.flag(),
    "labelled_pairs": rules.whole(1, example=20),
    "tuning_updates": rules.whole(1, example=60),
    "sweep_file": rules.file(".yaml"),
    "sweep_epochs": rules.whole(1, example=8),
    "sweep_seeds": rules.whole(1, example=2),
    "scale_epochs": rules.whole(1, example=4),
    "sweep_cores": rules.whole(0, example=2, what="a whole number (0 for all)"),
}
