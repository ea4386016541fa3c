"""The points of a sweep -> results.csv, one line a point; folds.csv; the page; what is missing."""

import csv
import hashlib
import json
import sys
from pathlib import Path

from unet_lib import metrics, workspace
from unet_lib.series import pages, plan, points, report, sweep

MEASURES = ("dice", "iou", "accuracy")


def write(home: Path, asked: sweep.Sweep) -> int:
    """Write results.csv and results.html, print what came out; return 0 if every point is done.

    Args:
        home: the sweep's folder.
        asked: the sweep.
    """
    varied = list(dict.fromkeys(name for point in asked.points for name in point.varied))
    rows = [_row(home, asked, point, varied) for point in asked.points]
    _write_csv(home / "results.csv", rows)
    pages.write(home)
    if pooled := _out_of_fold(home, asked):
        _write_csv(home / "folds.csv", pooled)
        report.show_table(tuple(pooled[0]), [tuple(map(str, row.values())) for row in pooled])
    _show(asked, rows)
    bad = [row for row in rows if row["status"] != "done"]
    for row in bad:
        print(f"{row['point']}: {row['status']}: {row['reason']}", file=sys.stderr)
    same = _same(home, asked)
    for first, second in same:
        print(f"{first} and {second} have the same results to the last digit although they differ:"
              " something that was asked for had no effect", file=sys.stderr)
    results, page = (workspace.shown(home / f"results.{kind}") for kind in ("csv", "html"))
    print(f"{len(rows) - len(bad)} of {len(rows)} points done: {results}, {page}")
    return int(bool(bad or same))


def _show(asked: sweep.Sweep, rows: list[dict]) -> None:
    """Print a line for each point; its setting in one column, whatever varies."""

    def number(row: dict, name: str, digits: int) -> str:
        return f"{row[name]:.{digits}f}" if isinstance(row.get(name), int | float) else ""

    report.show_table(("point", "status", "Dice", "seconds"), [
        (sweep.say(point.varied), row["status"], number(row, "dice", 4), number(row, "seconds", 0))
        for point, row in zip(asked.points, rows, strict=True)])


def _write_csv(path: Path, rows: list[dict]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with workspace.replacing_file(path) as partial:
        with partial.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, names, restval="")
            table.writeheader()
            table.writerows(rows)


def _out_of_fold(home: Path, asked: sweep.Sweep) -> list[dict]:
    """Return the Dice over all images, each from the fold that did not train on it.

    Only settings of which every fold is done: a mean over some folds is one over other images.
    """
    found = {}
    for point in asked.points:
        part, _, parts = str(point.varied.get("split", "")).partition("/")
        done = points.read_json(home / point.name / points.DONE)
        if parts and done.get("ok"):
            rest = tuple((k, sweep.text(v)) for k, v in point.varied.items() if k != "split")
            found.setdefault((rest, int(parts)), {})[part] = done["metrics"]["per_image"]["dice"]
    rows = []
    for (rest, parts), folds in found.items():
        if len(folds) == parts:
            values = metrics.summarize([value for fold in folds.values() for value in fold])
            rows.append({**dict(rest), "folds": parts, "images": values["n"], **{
                f"dice_{k}": round(values[k], 5) for k in ("mean", "low", "high", "median")}})
    return rows


def _row(home: Path, asked: sweep.Sweep, point: sweep.Point, varied: list[str]) -> dict:
    """Return the line of one point: what varies, what came out, or why nothing did.

    What varies elsewhere in the sweep stands there with the value that this point has of it.
    """
    done = points.read_json(home / point.name / points.DONE)
    given = asked.makers[point.dataset].data | {k: v for n, values in point.run.parameters.items()
                                                for k, v in {**plan.defaults(n), **values}.items()}
    row = {"point": point.name, **{k: sweep.text(given.get(k, "")) for k in varied}}
    if not done.get("ok"):
        failed = points.read_json(home / point.name / points.FAILED)
        data = points.read_json(home / "data" / f"{point.dataset}.{points.FAILED}")
        why = failed.get("reason") or data.get("reason")
        return row | {"status": "failed" if why else "missing", "reason": why or "it did not run"}
    row |= {"status": "done", "reason": ""} | _measured(done["metrics"])
    hardware = done.get("hardware") or {}
    row |= {name: done.get(name) for name in ("seconds", "memory_mb", "commit", "data_sha256")}
    row |= {"cpu": hardware.get("cpu"), "cores": hardware.get("cores")}
    used = {k: v for k, v in done["parameters"].items() if k not in varied}
    return row | {k: sweep.text(v) for k, v in used.items() if isinstance(v, str | int | float)}


def _measured(found: dict) -> dict:
    """Return the columns of what notebook 05 measured.

    Args:
        found: its metrics.json, or what there is of it.

    Returns:
        dice, iou and accuracy of the validation images, each with _low and _high; "dice:<name>" of
        each class, where there are several; external_dataset and external_dice, also with its ends,
        where there is one.
    """
    validation, external = (found.get(part) or {} for part in ("validation", "external"))
    row = {}
    for measure in MEASURES:
        row |= _with_ends(measure, validation.get(measure))
    for name, scores in validation.get("classes", {}).items():
        row[f"dice:{name}"] = scores["dice"]["mean"]
    if dice := _with_ends("external_dice", external.get("dice")):
        row |= {"external_dataset": external.get("dataset")} | dice
    return row


def _with_ends(name: str, summary: object) -> dict:
    """Return a mean and its interval as columns; none where nothing was measured."""
    if not isinstance(summary, dict):
        return {}
    ends = {f"{name}_{end}": summary[end] for end in ("low", "high") if end in summary}
    return {name: summary.get("mean")} | ends


def _same(home: Path, asked: sweep.Sweep) -> list[tuple[str, str]]:
    """Return pairs of finished points whose results are equal to the last digit."""
    seen, pairs = {}, []
    for point in asked.points:
        done = points.read_json(home / point.name / points.DONE)
        if done.get("ok"):
            results = {k: v for k, v in done["metrics"].items() if k != "run"}  # its own name
            digest = hashlib.sha256(json.dumps(results, sort_keys=True).encode()).hexdigest()
            if digest in seen:
                pairs.append((seen[digest], point.name))
            seen[digest] = point.name
    return pairs
