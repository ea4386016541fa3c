"""Upkeep of the notebooks: `maintain.py notebooks` executes them, `maintain.py badges REPOSITORY`.

Both rewrite committed files; `make notebooks` and `make badges` call them. `notebooks --all` takes
those for practitioners too, which need further packages.
"""

import argparse
import base64
import io
import os
import re
import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np
from PIL import Image

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))
SERIES = re.compile(r"[0-9]{2}_[a-z0-9_]+\.ipynb")  # no "01_mine copy.ipynb" beside them
RESULT = "gallery-validation", "05_result.png"  # the cell whose figure the README shows
# What Jupyter itself writes when it saves, so that opening a notebook changes nothing.
KEPT = ("tags", "alt", "jupyter", "cellView")  # the last two fold a cell, in Jupyter and Colab
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def execute_all(folder: Path, *, every: bool = False) -> None:
    """Execute the notebooks of a folder in place, in order, in one fresh workspace.

    They are those of the lesson; with `every` those for practitioners too.

    What nbval does not compare is removed, so that a second run changes only trained numbers.
    Every notebook is written only after it has run to its end without an error.
    """
    import nbformat
    from nbclient import NotebookClient

    from unet_lib.series import plan
    from unet_lib.series.kernels import own_kernel

    with tempfile.TemporaryDirectory(prefix="unet-lowered-") as workspace:
        os.environ["UNET_LOWERED_WORKSPACE"] = workspace
        for path in sorted(p for p in folder.iterdir() if SERIES.fullmatch(p.name)):
            if path.stem in plan.PRACTICE and not every:
                continue
            print(path.name, flush=True)
            notebook = nbformat.read(path, 4)
            NotebookClient(
                notebook, kernel_manager_class=own_kernel(), kernel_name="python3",
                record_timing=False, coalesce_streams=True,
                resources={"metadata": {"path": str(folder)}},
            ).execute()
            tidy(notebook)
            nbformat.write(notebook, path)
            for cell in notebook.cells:
                if cell.get("id") == RESULT[0]:
                    (folder / RESULT[1]).write_bytes(picture(cell))


def shrink(png: str) -> str:
    """Bring a base64 PNG to a palette of 40 greys and 24 of its own colours: a quarter as large."""
    opaque = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    pixels = np.asarray(opaque).reshape(1, -1, 3)
    coloured = pixels[:, np.ptp(pixels[0].astype(int), axis=1) > 24]
    levels = [round(255 * k / 39) for k in range(40) for _ in "rgb"]
    if coloured.size:
        levels += Image.fromarray(coloured).quantize(24, dither=Image.Dither.NONE).getpalette()[:72]
    palette = Image.new("P", (1, 1))
    palette.putpalette(levels)
    packed = io.BytesIO()
    opaque.quantize(palette=palette, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
    return base64.b64encode(packed.getvalue()).decode()


def picture(cell) -> bytes:
    """Return the first PNG among a cell's outputs."""
    encoded = [out.data["image/png"] for out in cell.outputs if "image/png" in out.get("data", {})]
    return base64.b64decode(encoded[0])


def tidy(notebook) -> None:
    """Remove from an executed notebook what nbval ignores and what differs between machines."""
    language = notebook.metadata.get("language_info", {"name": "python"})  # told by the kernel
    notebook.metadata = {"kernelspec": KERNEL, "language_info": language}
    for cell in notebook.cells:
        cell.metadata = {key: cell.metadata[key] for key in KEPT if cell.metadata.get(key)}
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
            for out in cell.outputs:
                if "image/png" in out.get("data", {}):
                    out.data["image/png"] = shrink(out.data["image/png"])


def read_address(project: Path = PROJECT) -> tuple[str, str]:
    """Return the repository's URL and the release, both from pyproject.toml."""
    table = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    return table["urls"]["Repository"], "v" + table["version"]


def write_address(repository: str | None, project: Path = PROJECT) -> list[Path]:
    """Write repository and release into pyproject.toml, badges, bootstrap cells and documents.

    Args:
        repository: "owner/name" on GitHub; None keeps the one that pyproject.toml holds.
        project: the checkout to change.

    Returns:
        The files that changed.
    """
    if repository and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+", repository):
        raise SystemExit(f"REPOSITORY must be owner/name as on GitHub, got {repository!r}")
    old, release = read_address(project)
    new = f"https://github.com/{repository}" if repository else old
    old_name, new_name = (url.removeprefix("https://github.com/") for url in (old, new))
    places = ["pyproject.toml", "CITATION.cff", "*.md", "data/*.md", "docs/*.md"]
    places.append("notebooks/*.ipynb")
    changed = []
    for path in sorted(p for pattern in places for p in project.glob(pattern)):
        text = before = path.read_text("utf-8")
        for pattern, value in (
            (rf"(github(?:\.com)?/){re.escape(old_name)}(?![\w-])", new_name),
            (rf"({re.escape(new_name)}/blob/)v[\w.]+(?=/)", release),
            (r'(REPOSITORY, RELEASE = \\".*?\\", \\")v.*?(?=\\")', release),
        ):
            text = re.sub(pattern, rf"\g<1>{value}", text)
        if text != before:
            path.write_text(text, "utf-8")
            changed.append(path)
    return changed


def main() -> None:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("notebooks").add_argument("--all", action="store_true")
    commands.add_parser("badges").add_argument("repository", nargs="?")
    asked = parser.parse_args()
    if asked.command == "badges":
        changed = write_address(asked.repository)
        print(*(path.relative_to(PROJECT) for path in changed), sep="\n")
    else:
        execute_all(PROJECT / "notebooks", every=asked.all)


if __name__ == "__main__":
    main()
