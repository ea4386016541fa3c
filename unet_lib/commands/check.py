"""`check`: would these X-rays and masks do, and what would be trained on them? Nothing is made."""

import json
import os
import re
import shutil
import sys
import textwrap
from collections import Counter
from pathlib import Path

from unet_lib import bootstrap, console, datasets, parameters, workspace
from unet_lib.commands import outputs
from unet_lib.intake import manifest, masks, prepare, sources, writing
from unet_lib.intake.audit import Audited
from unet_lib.intake.tree import Tree

_STEPS = 510  # of a training that reaches its plateau: 6 epochs of 425 pairs, 5 a step
_RECIPE = {
    "head": "direct", "normalization": "batch", "standardize": True, "loss": "bce_dice",
    "learning_rate": 0.001, "schedule": "cosine", "batch_size": 5, "augment": True,
}
_PLAN, _DRAWING = "check.yaml", "contact_sheet.png"  # what is written
_HEAD = "# Proposed by: python -m unet_lib check"
_RECORD = {"made by": "check"}  # in the sheet
_SHEET = 12  # pairs on the contact sheet
_DRAWN = {"phantoms": 120, "phantom_masks": "both"}  # what phantoms depend on


def run(source: str, values: dict[str, object], *, out: Path | None = None) -> int:
    """Audit a source and print what notebook 01 would make of it.

    Args:
        source: a folder, a CSV list, or a word such as "phantom"; see `sources.resolve_source`.
        values: parameters of notebook 01 that are not at their default.
        out: folder for `check.yaml` and `contact_sheet.png`; None writes nothing.

    Returns:
        0 if a training could begin; 1 if not: the text says what to change.
    """
    drawn = {name: values[name] for name in _DRAWN if name in values}
    chosen = {name: value for name, value in values.items() if name not in _DRAWN}
    options = prepare.Options(**chosen | _settle(source, drawn, chosen))
    source, tree = from_here(source), None
    try:
        folder = sources.resolve_source(source, **drawn)
        tree = prepare.find_tree(folder, options)
        _say(f"source: {source}")
        _say(f"layout: {tree.layout}, in {workspace.shown(tree.root)}")
        with console.progress("reading") as (_, bar, task):
            audited = prepare.audit_tree(
                tree, options, lambda done, total: bar.update(task, completed=done, total=total))
        made = prepare.describe(tree, audited, options, source=folder)
        show_audited(audited)
        show_findings(made["findings"])
        plan = propose(source, audited, made["split"], values)
        show_plan(plan, made["split"])
        if out:
            write(out, tree, audited, plan)
        else:
            _say("--out DIR also writes this plan, ready to run, and a sheet of outlined images")
    except (OSError, ValueError, RuntimeError) as error:
        if tree:
            show_findings(manifest.describe_findings(tree), refused=True)
        _say(f"This cannot be trained on: {error}", sys.stderr)
        return 1
    return 0


def _settle(source: str, drawn: dict, chosen: dict) -> dict[str, str]:
    """Return what the masks of phantoms mean that tell sides apart; nothing for other sources."""
    asked = datasets.record({"source": source, "mask_values": "auto"} | drawn | chosen)
    return {"mask_values": asked["mask_values"]} if source == "phantom" else {}


def show_audited(audited: Audited) -> None:
    """Print what a source holds: pairs, formats, sizes, depth, values of the masks."""
    looks = audited.looks.values()
    sizes = Counter(look.shape[::-1] for look in looks)
    kinds = Counter(look.kind for look in looks)
    _say(f"pairs: {len(audited.pairs)}, test images: {len(looks) - len(audited.pairs)}")
    _say(f"formats: {_most(kinds)}")
    _say(f"sizes in px (width x height): {_sizes(sizes)}")
    _say(f"depth: {audited.scales.rule or '8 bits'}")
    _say(f"values of the masks:\n{masks.show_table(audited.meaning.rows)}")
    _say(f"foreground: {', '.join(sorted(map(str, audited.meaning.foreground))) or 'none'}")
    if audited.meaning.classes:
        _say(f"classes told apart: {', '.join(audited.meaning.classes)}")


def show_findings(findings: list[dict], *, refused: bool = False) -> None:
    """Print what was found, from worst to least, each with files, decision and remedy.

    Args:
        findings: from a manifest.
        refused: whether the source is; then its findings are not all that is wrong with it.
    """
    met = [found for found in findings if found["count"]]
    how = " (a remedy such as 'invert: auto' is tried with -p invert auto)" if met else ""
    _say(f"{'refused, see below; further ' * refused}findings: {len(met) or 'none'}{how}")
    for found in met:
        more = f"; and {found['count'] - 3} more" if found["count"] > 3 else ""
        _say(f"  {found['count']} x {found['fault']}: {found['decision']}")
        _say(f"      {'; '.join(found['examples'][:3])}{more}")
        if found["remedy"] != "none is needed":
            _say(f"      remedy: {found['remedy']}")


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
    name = _name(source)
    return {
        "source": source,
        "dataset": name, "run_name": name, **asked,
        "image_size": max(32, min(192, side // 16 * 16)),
        "epochs": min(60, max(6, round(_STEPS / steps))),
        **_RECIPE, "retrain": False, "required_dice": 0.0,
    }


def show_plan(plan: dict, split: dict) -> None:
    """Print what would be trained and how long it would take here; trains ten steps for that."""
    bootstrap.quieten()
    from unet_lib.series import probe

    model = {k: plan[k] for k in ("head", "normalization", "standardize")}
    sizes = {k: plan[k] for k in ("image_size", "batch_size", "loss")}
    with bootstrap.stderr_aside():  # that there is no GPU is no news here
        seconds, memory = probe.measure(**sizes, **model)
    steps = -(-len(split["train"]) // plan["batch_size"])
    checks = -(-len(split["validation"]) // plan["batch_size"]) / 3  # no gradients
    total = plan["epochs"] * (steps + checks) * seconds
    arrays = sum(map(len, split.values())) * plan["image_size"] ** 2 * 2 / 2**20
    needs = [f"{memory:.0f} MB of memory"] * (memory == memory) + [f"{arrays:.0f} MB on disk"]
    _say(
        f"would be trained: {plan['image_size']} px, {plan['epochs']} epochs of {steps} steps;"
        f" {len(split['train'])} pairs train, {len(split['validation'])} validate\n"
        f"  about {total:.0f} s on this machine ({seconds * 1000:.0f} ms a step, ten steps timed)\n"
        f"  {', '.join(needs)}"
    )


def write(out: Path, tree: Tree, audited: Audited, plan: dict) -> None:
    """Write `check.yaml` and `contact_sheet.png` into a folder."""
    import matplotlib.pyplot as plt
    import yaml

    out.mkdir(parents=True, exist_ok=True)
    head = f"{_HEAD}. To train: make run PARAMS={_PLAN}\n"
    with workspace.replacing_file(out / _PLAN) as partial:
        text = yaml.safe_dump(plan, sort_keys=False, allow_unicode=True)
        partial.write_text(head + text, "utf-8")
    with workspace.replacing_file(out / _DRAWING) as partial:
        figure = contact_sheet(tree, audited)
        record = {outputs.RECORD: json.dumps(_RECORD)}
        figure.savefig(partial, format="png", metadata=record)
        plt.close(figure)
    _say(f"written: {out / _PLAN}, {out / _DRAWING}")
    where = "" if workspace.CHECKOUT and Path.cwd() == workspace.PROJECT else ", in the project"
    _say(f"next{where}: {_command((out / _PLAN).absolute())}")


def _refuse_foreign(out: Path) -> None:
    """Raise FileExistsError if a file that `write` would replace is none that it wrote."""
    plan, sheet = out / _PLAN, out / _DRAWING
    ours = {plan: plan.is_file() and plan.read_bytes().startswith(_HEAD.encode()),
            sheet: sheet.is_file() and outputs.read_record(sheet) == _RECORD}
    for path, written in ours.items():
        if os.path.lexists(path) and not written:
            raise FileExistsError(f"{workspace.shown(path)} is there and was not written by check;"
                                  " it is left alone: choose another --out, or move it")


def _command(file: Path) -> str:
    """Return what trains as a file says; make would take a name with blanks for several."""
    plain, quoted = str(file), workspace.quoted(str(file))
    run = f"{workspace.quoted(sys.executable)} -m unet_lib run --params"
    return f"make run PARAMS={plain}" if plain == quoted else f"{run} {quoted}"


def contact_sheet(tree: Tree, audited: Audited):
    """Return a figure of up to 12 images, evenly drawn from the pairs, with outlined masks."""
    from unet_lib import plotting

    last = len(audited.pairs) - 1
    places = {round(last * k / (_SHEET - 1)) for k in range(_SHEET)}
    names = [audited.pairs[place] for place in sorted(places)]
    images = [writing.read_image(tree, audited, name) for name in names]
    outlines = [writing.read_mask(tree, audited, name) for name in names]
    titles = [name if len(name) <= 28 else f"{name[:13]}…{name[-14:]}" for name in names]
    classes = audited.meaning.classes
    figure = plotting.contact_sheet(images, outlines, titles, classes=classes)
    drawn = "Outlined" if classes else "Blue"
    figure.suptitle(f"{drawn}: the masks, as they are understood", fontsize=9)
    return figure


def convert(
    source: str, given: list[tuple[str, str]], *, out: Path | None = None
) -> dict[str, object]:
    """Return parameters of notebook 01 from the command line; all that was typed is checked.

    Raises:
        ValueError: unknown, of another type, or not allowed; no such source; a place for the
            results that is a file or in the source.
        OSError: files are there that `check` did not write and would replace.
    """
    source = from_here(source)
    parameters.check(source=source)
    if out and out.exists() and not out.is_dir():
        raise ValueError(f"--out must be a folder, got the file {out}; name another place")
    if out and sources.holds(Path(source), out):
        raise ValueError(
            f"--out {out} lies in the source, which is never written to; name another folder"
        )
    if out:
        _refuse_foreign(out)
    known = _DRAWN | prepare.Options().__dict__
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


def from_here(source: str) -> str:
    """Return a typed path as an absolute one; it starts at the current folder. Words stay."""
    word = source == "phantom" or source.partition(":")[0] == "kaggle"
    return source if word and not Path(source).exists() else str(Path(source).absolute())


def _name(source: str) -> str:
    """Return a name for the data set of a source, and never the source's own folder."""
    last = Path(source).stem if source.lower().endswith(".csv") else Path(source).name
    if source.startswith("kaggle"):
        last = source.partition("/versions/")[0].rpartition("/")[2].replace(":", "_")
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", last).strip("._-") or "own"
    folder = workspace.data_dir(name)
    mine = folder.exists() and not (folder / "manifest.json").exists()
    return f"{name}_set" if mine else name


def _say(text: str, stream=None) -> None:
    """Print text; on a terminal, lines are folded between words."""
    stream = stream or sys.stdout
    width = shutil.get_terminal_size().columns
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        long = stream.isatty() and len(line) > width
        print(textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False,
                            break_on_hyphens=False) if long else line, file=stream, flush=True)


def _sizes(counted: Counter) -> str:
    """Return the sizes of a set, of many the smallest and the largest."""
    if len(counted) > 4:
        least, most = (pick(counted, key=lambda s: s[0] * s[1]) for pick in (min, max))
        return "{} different ones, {} x {} to {} x {}".format(len(counted), *least, *most)
    return _most(Counter({f"{width} x {height}": n for (width, height), n in counted.items()}))


def _most(counted: Counter, most: int = 4) -> str:
    shown = ", ".join(f"{name} ({number})" for name, number in counted.most_common(most))
    return shown + (f" and {len(counted) - most} more" if len(counted) > most else "")
