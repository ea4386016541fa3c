"""What a run shows: one page of all executed notebooks, and tables of the results."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from unet_lib import workspace


def write_report(
    copies: list[Path], target: Path, *, needs: Mapping[str, tuple[str, ...]] | None = None
) -> None:
    """Write executed notebooks as one HTML page with a table of contents and all figures inside.

    The copies may come from several requests: the contents say when each was executed, and which
    is older than one that it needs. The page appears whole; until then the earlier one stays.

    Args:
        copies: executed notebooks, in the order of the page.
        target: the page, `runs/<run>/report.html`.
        needs: for each notebook's name those whose results it shows.
    """
    import nbformat

    notebooks = {path.stem: nbformat.read(path, 4) for path in copies}
    times = {stem: _executed(notebook) for stem, notebook in notebooks.items()}
    contents, cells = [], []
    for stem, notebook in notebooks.items():
        note = _age(stem, times, needs or {})
        contents.append(f"- [{_title(notebook) or stem}](#{stem}){note}")
        cells.append(nbformat.v4.new_markdown_cell(f'<a id="{stem}"></a>', id=stem[:64]))
        cells += [_for_report(cell, stem) for cell in notebook.cells]
    head = f"# Run {target.parent.name}\n\n" + "\n".join(contents)
    cells.insert(0, nbformat.v4.new_markdown_cell(head, id="contents"))
    if command := predict_command(target.parent):
        end = f"## Masks for pictures of your own\n\n    {command}\n\nNot for clinical use."
        cells.append(nbformat.v4.new_markdown_cell(end, id="predict"))
    write_page(cells, target, title=f"Run {target.parent.name}")


def write_page(cells: list, target: Path, *, title: str, code: bool = True) -> None:
    """Write cells of a notebook as one HTML page that holds all its figures; it appears whole.

    Args:
        cells: nbformat's cells with their outputs; a figure is described by its cell's "alt".
        target: the page.
        title: of the page.
        code: whether to show the code of cells.
    """
    import nbformat
    from nbconvert import HTMLExporter

    merged = nbformat.v4.new_notebook(cells=cells, metadata={"title": title})
    page = HTMLExporter(embed_images=True, exclude_anchor_links=True, raw_template=_TEMPLATE,
                        exclude_input=not code)  # fmt: skip
    with workspace.replacing_file(target) as partial:
        partial.write_text(page.from_notebook_node(merged)[0], "utf-8")


# The page of nbconvert without the scripts that it would fetch and that nothing here uses. Of the
# text that describes a figure, which stands in the metadata of its cell, nbconvert knows nothing.
_TEMPLATE = """{% extends 'lab/index.html.j2' %}
{% block data_png scoped %}<div class="jp-RenderedImage jp-OutputArea-output {{ extra_class }}">
<img src="data:image/png;base64,{{ output.data['image/png'] | escape_html }}"
alt="{{ cell.metadata.get('alt', 'figure without a description') | escape_html }}">
</div>{% endblock data_png %}
{% block html_head_js_requirejs %}{% endblock %}{% block html_head_js_mermaidjs %}{% endblock %}"""


def _title(notebook) -> str:
    source = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    title = re.search(r"^# (.+)", source, re.M)
    return title.group(1) if title else ""


def _executed(notebook) -> str:
    """Return when papermill finished a notebook, as "2026-11-25T17:02:03.5" in UTC, or ""."""
    return notebook.metadata.get("papermill", {}).get("end_time") or ""


def _age(stem: str, times: dict[str, str], needs: Mapping[str, tuple[str, ...]]) -> str:
    """Return when a notebook was executed and what it is older than, for the contents."""
    if not times[stem]:
        return ""
    newer = [need for need in needs.get(stem, ()) if times.get(need, "") > times[stem]]
    older = f"; **older than {', '.join(newer)}**, whose results it needs" if newer else ""
    return f", executed {times[stem][:16].replace('T', ' ')} UTC{older}"


def _for_report(cell, stem: str):
    """Make ids unique and links between notebooks local; drop the badge, a remote image."""
    cell.id = f"{stem}-{cell.get('id', '')}"[:64]
    if cell.cell_type == "markdown":
        cell.source = re.sub(r"^\[!\[Open in Colab\].*\n?", "", cell.source, flags=re.M)
        cell.source = re.sub(r"\]\(([\w-]+)\.ipynb(#[^)]*)?\)", r"](#\1)", cell.source)
    return cell


def read_metrics(run_name: str, *, newer_than: float = 0.0) -> dict:
    """Return runs/<run>/metrics.json, or {} if it is absent or older than the time given."""
    path = workspace.run_dir(run_name) / "metrics.json"
    fresh = path.is_file() and path.stat().st_mtime >= newer_than - 1  # clocks tick coarsely
    return json.loads(path.read_text("utf-8")) if fresh else {}


def mean(metrics: dict, *keys: str) -> str:
    """Return the mean that stands under `keys`, with four digits, or "-" if there is none."""
    for key in (*keys, "mean"):
        metrics = metrics.get(key, {}) if isinstance(metrics, dict) else {}
    return f"{metrics:.4f}" if isinstance(metrics, int | float) else "-"


def show_results(run_name: str, copies: list[Path], *, newer_than: float) -> None:
    """Print what notebook 05 measured since then, and where the run's files are."""
    folder = workspace.run_dir(run_name)
    if metrics := read_metrics(run_name, newer_than=newer_than):
        base = ("baselines", "all_background")
        rows = [(m, mean(metrics, "validation", m), mean(metrics, *base, m))
                for m in ("dice", "iou", "accuracy")]
        rows += [(f"dice of {name}", mean(metrics, "validation", "classes", name, "dice"), "-")
                 for name in metrics.get("validation", {}).get("classes", {})]
        show_table(("validation mean", "model", "all background"), rows)
    print(*copies, folder / "report.html", *folder.glob("best.keras"), sep="\n")
    if command := predict_command(folder):
        print(f"masks for pictures of your own: {command}")


def predict_command(folder: Path) -> str:
    """Return the command that predicts with the model of a run's folder; "" without one.

    It names this very Python, so that it works in any terminal, activated environment or not.
    """
    python, model = workspace.quoted(sys.executable), workspace.quoted(str(folder))
    there = (folder / "best.keras").is_file()
    return f"{python} -m unet_lib predict FOLDER --out masks --model {model}" if there else ""


def show_table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a table, with lines where the terminal can."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
