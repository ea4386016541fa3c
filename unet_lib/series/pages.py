"""The page of a sweep: results.html, made from results.csv and the folders of its runs."""

import base64
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from unet_lib.series import report, study

_WHERE = r"(?P<notebook>\d\d_\w+), cell '?(?P<cell>[^':]*)'?: (?P<message>.*)"


def write(home: Path) -> None:
    """Write results.html beside results.csv: settings, figures, and what failed.

    Args:
        home: the sweep's folder; its results.csv is written.
    """
    rows = study.read(home / "results.csv")
    cells = [_prose(f"# Sweep {home.name}\n\n{_head(rows)}"), _settings(rows)]
    for title, alt, figure in (
        ("Parameter against Dice", "Validation Dice of each run over the values of each parameter"
         " that varies, with mean and range of each value; the table above has the numbers.",
         study.parameter_figure(rows)),
        ("Training curves", "Validation Dice of each run over the epochs; the best settings have a"
         " line of their own, the others are grey.", study.curves_figure(home, rows)),
    ):
        if figure:
            cells += [_prose(f"## {title}"), _figure(figure, alt)]
    if failed := [row for row in rows if row["status"] != "done"]:
        cells += [_prose(f"## Runs that are not done: {len(failed)}"), _failures(failed)]
    report.write_page(cells, home / "results.html", title=f"Sweep {home.name}", code=False)


def where(reason: str) -> tuple[str, str, str]:
    """Return notebook, cell and message of a failure; "" for what it does not name."""
    told = re.match(_WHERE, reason, re.S)
    return (told["notebook"], told["cell"], told["message"]) if told else ("", "", reason)


def _head(rows: list[dict]) -> str:
    """Say how much there is, and how far the best setting may owe its place to chance."""
    table, best = study.summarize(rows), study.best(study.summarize(rows))
    done = sum(line["done"] for line in table)
    text = f"{done} of {len(rows)} runs are done, {len(table)} settings."
    if best is None:
        return text
    text += f" The highest mean Dice, {best['mean']:.4f}, has the setting **{best['setting']}**."
    count = sum(line["done"] > 0 for line in table)
    deviation = study.deviation(rows)
    if count < 2:
        return text
    if deviation is None:
        return text + (" Each setting ran once, so nothing here tells a better setting from a lucky"
                       " one: give the sweep seeds.")
    luck = study.expected_maximum(count, deviation / best["done"] ** 0.5)
    return text + (f" One run deviates by {deviation:.4f} from the mean of its setting. If all"
                   f" {count} settings were equal, the best of them would on average look"
                   f" {luck:.4f} better than they are; and the same validation images chose each"
                   " model's epoch."
                   " A setting is better only if it is ahead by clearly more.")


def _settings(rows: list[dict]) -> dict:
    table = study.summarize(rows)
    best = study.best(table)

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.4f}"

    lines = [(f"{line['setting']}{' (highest)' if line is best else ''}", number(line["mean"]),
              f"{number(line['low'])} to {number(line['high'])}" if line["done"] else "",
              f"{line['done']} of {line['asked']}") for line in table]  # fmt: skip
    return _table(("setting", "mean Dice", "lowest to highest run", "runs done"), lines)


def _failures(failed: list[dict]) -> dict:
    lines = [(row["point"], row["status"], *where(f"{row['reason']}")) for row in failed]
    return _table(("run", "status", "notebook", "cell", "message"), lines)


def _prose(text: str) -> dict:
    import nbformat

    return nbformat.v4.new_markdown_cell(text)


def _output(kind: str, content: str, metadata: dict | None = None) -> dict:
    import nbformat

    shown = nbformat.v4.new_output("display_data", {kind: content})
    return nbformat.v4.new_code_cell("", outputs=[shown], metadata=metadata or {})


def _table(columns: Sequence[str], lines: list[Sequence[str]]) -> dict:
    """Return a table as a cell; whatever stands in it is text and no markup."""

    def row(kind: str, texts: Sequence[str]) -> str:
        shown = (html.escape(text).replace("\n", "<br>") for text in texts)
        return "<tr>" + "".join(f"<{kind}>{text}</{kind}>" for text in shown) + "</tr>"

    body = "".join(row("td", line) for line in lines)
    return _output("text/html", f"<table><thead>{row('th', columns)}</thead>"
                   f"<tbody>{body}</tbody></table>")  # fmt: skip


def _figure(figure: Figure, alt: str) -> dict:
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    plt.close(figure)
    return _output("image/png", base64.b64encode(picture.getvalue()).decode(), {"alt": alt})
