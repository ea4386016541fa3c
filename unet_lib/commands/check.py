"""`check`: would these X-rays and masks do, and what would be trained on them? Nothing is made."""

import re
import sys
from collections import Counter
from pathlib import Path

from unet_lib import bootstrap, parameters, plotting, workspace
from unet_lib.intake import masks, prepare, sources
from unet_lib.intake.audit import Audited
from unet_lib.intake.tree import Tree

_STEPS = 510  # of a training that reaches its plateau: 6 epochs of 425 pairs, 5 a step
_RECIPE = {
    "head": "direct", "normalization": "batch", "standardize": True, "loss": "bce_dice",
    "learning_rate": 0.001, "schedule": "cosine", "batch_size": 5, "augment": True,
}
_SHEET = 12  # pairs on the contact sheet


def run(source: str, values: dict[str, object], *, out: Path | None = None) -> int:
    """Audit a source and print what notebook 01 would make of it.

    Args:
        source: a folder, a CSV list, or a word such as "phantom"; see `sources.resolve_source`.
        values: parameters of notebook 01 that are not at their default.
        out: folder for `check.yaml` and `contact_sheet.png`; None writes nothing.

    Returns:
        0 if a training could begin; 1 if not: the text says what to change.
    """
    phantoms = values.get("phantoms", 120)
    asked = {k: v for k, v in values.items() if k != "phantoms"}
    source = _from_here(source)
    try:
        folder = sources.resolve_source(source, phantoms=phantoms)
        with _bar() as progress:
            tree, audited = prepare.examine(folder, prepare.Options(**asked), progress)
        made = prepare.describe(tree, audited, prepare.Options(**asked), source=folder)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"This cannot be trained on: {error}", file=sys.stderr)
        return 1
    show_source(source, tree, audited)
    show_findings(made["findings"])
    plan = propose(source, audited, made["split"], asked)
    show_plan(plan, made["split"])
    if out:
        write(out, tree, audited, plan)
    return 0


def show_source(source: str, tree: Tree, audited: Audited) -> None:
    """Print what a source holds: layout, pairs, formats, sizes, depth, values of the masks."""
    looks = audited.looks.values()
    sizes = Counter(f"{look.shape[1]} x {look.shape[0]}" for look in looks)
    kinds = Counter(look.kind for look in looks)
    print(f"{source}: {tree.layout} layout in {workspace.shown(tree.root)}")
    print(f"pairs: {len(audited.pairs)}, test images: {len(looks) - len(audited.pairs)}")
    print(f"formats: {_most(kinds)}")
    print(f"sizes in px: {_most(sizes)}")
    print(f"depth: {audited.scales.rule or '8 bits'}")
    print(f"values of the masks:\n{masks.show_table(audited.meaning.rows)}")
    print(f"foreground: {', '.join(sorted(map(str, audited.meaning.foreground))) or 'none'}")


def show_findings(findings: list[dict]) -> None:
    """Print what was found, from worst to least, each with files, decision and remedy."""
    met = [found for found in findings if found["count"]]
    print(f"findings: {len(met) or 'none'}")
    for found in met:
        more = f" and {found['count'] - 3} more" if found["count"] > 3 else ""
        print(f"  {found['count']} x {found['fault']}: {found['decision']}")
        print(f"      {'; '.join(found['examples'][:3])}{more}")
        if found["remedy"]:
            print(f"      remedy: {found['remedy']}")


def propose(source: str, audited: Audited, split: dict, asked: dict[str, object]) -> dict:
    """Return the parameters of a training on this source.

    A learner's recipe (`shenzhen_quick.yaml`) with as many epochs as make about 510 steps, and
    images no larger than half of them are.

    Args:
        source: as it was typed.
        audited: what `prepare.examine` found.
        split: ids of "train" and "validation".
        asked: parameters that were given.
    """
    sides = sorted(min(audited.looks[name].shape) for name in audited.pairs)
    side = sides[len(sides) // 2]
    steps = -(-len(split["train"]) // _RECIPE["batch_size"])
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(source).stem).lstrip("._-") or "own"
    return {
        "source": source,
        "dataset": name, "run_name": name, **asked,
        "image_size": max(32, min(192, side // 16 * 16)),
        "epochs": min(60, max(6, round(_STEPS / steps))),
        **_RECIPE, "required_dice": 0.0,
    }


def show_plan(plan: dict, split: dict) -> None:
    """Print what would be trained and how long it would take here; trains ten steps for that."""
    bootstrap.quiet_tensorflow()
    from unet_lib.series import probe

    model = {k: plan[k] for k in ("head", "normalization", "standardize")}
    seconds, memory = probe.measure(
        image_size=plan["image_size"], batch_size=plan["batch_size"], loss=plan["loss"], **model
    )
    steps = -(-len(split["train"]) // plan["batch_size"])
    checks = -(-len(split["validation"]) // plan["batch_size"]) / 3  # no gradients
    total = plan["epochs"] * (steps + checks) * seconds
    arrays = sum(map(len, split.values())) * plan["image_size"] ** 2 * 2 / 2**20
    print(
        f"would be trained: {len(split['train'])} pairs for training,"
        f" {len(split['validation'])} for validation,\n"
        f"  {plan['image_size']} px, {plan['epochs']} epochs of {steps} steps:\n"
        f"  about {total:.0f} s on this machine ({seconds * 1000:.0f} ms a step, ten steps timed),"
        f" {memory:.0f} MB of memory, {arrays:.0f} MB on disk"
    )


def write(out: Path, tree: Tree, audited: Audited, plan: dict) -> None:
    """Write `check.yaml` and `contact_sheet.png` into a folder."""
    import yaml

    out.mkdir(parents=True, exist_ok=True)
    head = "# Proposed by: python -m unet_lib check. To train: make run PARAMS=check.yaml\n"
    with workspace.replacing_file(out / "check.yaml") as partial:
        text = yaml.safe_dump(plan, sort_keys=False, allow_unicode=True)
        partial.write_text(head + text, "utf-8")
    with workspace.replacing_file(out / "contact_sheet.png") as partial:
        contact_sheet(tree, audited).savefig(partial, format="png")
    print(f"written: {out / 'check.yaml'}, {out / 'contact_sheet.png'}")
    print(f"next: make run PARAMS={(out / 'check.yaml').absolute()}")


def contact_sheet(tree: Tree, audited: Audited):
    """Return a figure of up to 12 images, evenly drawn from the pairs, with outlined masks."""
    step = max(1, len(audited.pairs) // _SHEET)
    names = audited.pairs[::step][:_SHEET]
    images = [prepare.read_image(tree, audited, name) for name in names]
    outlines = [prepare.read_mask(tree, audited, name) for name in names]
    return plotting.contact_sheet(images, outlines, names)


def convert(given: list[tuple[str, str]]) -> dict[str, object]:
    """Return parameters of notebook 01 from the command line, checked.

    Raises:
        ValueError: unknown, of another type, or not allowed.
    """
    known = {"phantoms": 120} | prepare.Options().__dict__
    values = {}
    for name, text in given:
        if name not in known:
            raise ValueError(f"check has no parameter {name!r}; {parameters.nearest(name, known)}")
        kind = type(known[name])
        words = {"true": True, "false": False}
        try:
            values[name] = words.get(text.lower(), text) if kind is bool else kind(text)
        except ValueError:
            values[name] = text  # refused below, by name
    parameters.check(**values)
    return values


def _from_here(source: str) -> str:
    """Return a typed path as an absolute one; it starts at the current folder. Words stay."""
    word = source == "phantom" or source.partition(":")[0] == "kaggle"
    return source if word and not Path(source).exists() else str(Path(source).absolute())


def _most(counted: Counter, most: int = 4) -> str:
    shown = ", ".join(f"{name} ({number})" for name, number in counted.most_common(most))
    return shown + (f" and {len(counted) - most} more" if len(counted) > most else "")


def _bar():
    """Return a progress bar on the terminal that gives the function to call."""
    import contextlib

    from rich import progress as rich
    from rich.console import Console

    @contextlib.contextmanager
    def shown():
        columns = (rich.TextColumn("reading"), rich.BarColumn(30), rich.MofNCompleteColumn(),
                   rich.TimeRemainingColumn())
        with rich.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    return shown()
