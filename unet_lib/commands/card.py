"""The card of a model that is handed on: what it is, what it learned from, how good it is."""

import contextlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unet_lib import datasets, runs, workspace
from unet_lib.commands import models, runtimes

_SHIPPED = models.SHIPPED.with_name("README.md")
_ASIDE = "**Not for clinical use.** For teaching, and for outlines that a person looks over."
_METRICS = "metrics.json"
FILE = "model_card.md"
"""Its name in a run's folder."""


@dataclass(frozen=True)
class Score:
    """A mean Dice that was measured, as a table and the Hub show it.

    Attributes:
        pictures: on which ones, in words.
        dataset: their data set, in words.
        number: how many they are.
        dice: the mean, in [0, 1].
        interval: 95 % of the mean; None where none was computed.
    """

    pictures: str
    dataset: str
    number: int
    dice: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Card:
    """What is known of a model.

    Attributes:
        text: Markdown, from the heading to the limits.
        licence: SPDX id under which it may be handed on; None: its user has to find out.
        scores: what was measured.
        ours: whether it is the model that the project ships.
    """

    text: str
    licence: str | None
    scores: tuple[Score, ...]
    ours: bool = False


def write(path: Path, unet, classes: Sequence[str] = ()) -> None:
    """Write model_card.md beside a run's model. Arguments as those of `of`."""
    found = of(path, unet, classes, name=f"{path.parent.name}, {path.name}")
    with workspace.replacing_file(path.with_name(FILE)) as partial:
        partial.write_text(found.text, "utf-8")


def of(path: Path, unet, classes: Sequence[str] = (), *, name: str) -> Card:
    """Return the card of a model; a number in it was measured, or it is not there.

    Args:
        path: its file; what is known of it stands in the run's files beside it.
        unet: the model itself (keras.Model).
        classes: names of the classes that it tells apart; none for one.
        name: what it is called.
    """
    if runtimes.digest(path) == runtimes.digest(models.SHIPPED):
        return Card(_SHIPPED.read_text("utf-8"), "MIT", (_shipped_score(),), ours=True)
    record = _record(path)
    manifest = _manifest(record)
    source = _source(record, manifest)
    scores = _scores(path, source[0]) if record else ()
    parts = [f"# {name}: a model card", _ASIDE, "## What it is", _what(unet, classes),
             "## What it was trained on", _training(record, manifest, source[0]),
             "## How good it is", _told(scores), "## What limits it", _limits(source[0]),
             "## May it be handed on?", _sharing(source[1])]
    return Card("\n\n".join(parts) + "\n", source[1], scores)


def _shipped_score() -> Score:
    """Return the Dice of the bare file on the X-rays that nobody looked at, from its card."""
    row = re.search(r"^\| the others \| (\d+) \| (0\.\d+) \|", _SHIPPED.read_text("utf-8"), re.M)
    return Score("those that were not looked at while it was made", "Shenzhen Hospital set",
                 int(row[1]), float(row[2]))


def _record(path: Path) -> dict | None:
    """Return the record of the run that a file belongs to."""
    if path.stem not in ("best", "last") or not (path.parent / "run.json").is_file():
        return None
    with contextlib.suppress(ValueError):
        return runs.read_record(path.parent)


def _manifest(record: dict | None) -> dict | None:
    """Return what is told of a run's data set, if it is there as it was then."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        found = datasets.load_manifest(workspace.data_dir(record["parameters"]["dataset"]))
        runs.require_same_data(record, found["data_sha256"])
        return found


def _source(record: dict | None, manifest: dict | None) -> tuple[str, str | None]:
    """Return where the pictures come from, without a path of one's own, and the licence."""
    source = (manifest or {}).get("source", "")
    if source.startswith("phantom ("):
        return "phantoms, synthetic chest X-rays that the project draws", "MIT"
    if source.startswith("kaggle:"):
        return source, None
    if source == "kaggle":
        return "the chest X-rays of the project's `source: kaggle`", None
    return f"a data set called {record['parameters']['dataset']!r}" if record else "", None


def _scores(path: Path, source: str) -> tuple[Score, ...]:
    """Return what notebooks 05 and 07 have measured of this very file."""
    try:
        found = json.loads((path.parent / _METRICS).read_text("utf-8"))
        if found.get("judged_epoch", "best") != path.stem:
            return ()
        other = found.get("external", {}).get("dataset")
        parts = {"validation": source, "test": source}
        parts |= {"external": f"all pairs of a data set called {other!r}"} if other else {}
        rows = [(part, of, found[part]["dice"]) for part, of in parts.items() if part in found]
        return tuple(Score(part, of, row["n"], row["mean"], (row["low"], row["high"]))
                     for part, of, row in rows)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return ()


def _what(unet, classes: Sequence[str]) -> str:
    given = (
        f"the probabilities of background, {', '.join(classes)}; the most probable one counts"
        if classes else "the probability that it belongs to the foreground; from 0.5 on it counts"
    )
    side = unet.input_shape[1]
    return (
        f"A U-Net of {unet.count_params():,} parameters, trained with U-Net Lowered. It takes a"
        f" grey picture of {side} × {side} px with values from 0 to 1, and gives for each pixel"
        f" {given}."
    )


def _training(record: dict | None, manifest: dict | None, source: str) -> str:
    if record is None:
        return ("The file came without a run: nothing is known of its training. Say here what you"
                " know.")
    asked = record["parameters"]
    rows = {"pictures": source} | _split(manifest) | {
        "random seed of the training": asked.get("seed"),
        "epochs": f"{record.get('epochs')}; the lowest validation loss in {record['best_epoch']}"
        if "best_epoch" in record else None,
        "loss, learning rate": f"{asked.get('loss')}, {asked.get('learning_rate')}"
        f" ({asked.get('schedule')})",
        "pairs a step": asked.get("batch_size"),
        "augmentation": "yes" if asked.get("augment") else "no",
        "Keras": (record.get("versions") or {}).get("keras"), "commit": record.get("commit"),
        "SHA-256 of the data": record["data_sha256"],
    }
    told = {name: value for name, value in rows.items() if value is not None}
    return _table(("", ""), told.items())


def _split(manifest: dict | None) -> dict:
    """Return what is known of a run's pairs."""
    if manifest is None:
        return {"split": "not known: the data set is not there as it was in the training"}
    parts = manifest["split"]
    return {
        "training pairs, validation pairs": f"{len(parts['train'])}, {len(parts['validation'])}",
        "split": f"{manifest.get('split_rule')}, random seed {manifest.get('split_seed')}"
        + ", groups stay together" * bool(manifest.get("groups")),
    }


def _told(scores: tuple[Score, ...]) -> str:
    if not scores:
        return "It was not scored, or the score is that of another epoch: notebook 05 scores it."
    table = _table(
        ("pictures", "number", "mean Dice", "95 % interval"),
        [(s.pictures, s.number, f"{s.dice:.3f}", " to ".join(f"{end:.3f}" for end in s.interval))
         for s in scores],
    )
    return (f"{table}\n\nAt the masks' own size, nothing cleaned up; the interval is a bootstrap"
            " over pictures. Where the file is that of the best epoch, the validation pictures"
            " chose it, which flatters their score.")


def _table(head: tuple, rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _limits(source: str) -> str:
    trained = source or "what it was trained on"
    return (
        f"- It learned from {trained}. How it does on pictures that no table above names was not"
        " tried: other devices, other views and other diseases get a mask too.\n"
        "- Where it is sure and wrong, nothing tells. Look at every outline that a decision hangs"
        " on."
    )


def _sharing(licence: str | None) -> str:
    if licence:
        return f"Yes: no patient's picture is in it. Licence: {licence}, as of the project."
    return (
        "**Not settled.** A model holds something of the pictures that it learned from, and the"
        " JSON file beside it their mean, 16 × 16 px. Before you publish, find out whether their"
        " licence, and the patients' consent, allow it, and write the answer here; until then its"
        " licence is unknown."
    )
