"""Small notebooks for the tests of the runner, and what they printed."""

import nbformat

from unet_lib import workspace
from unet_lib.series import execute, plan

BADGE = "[![Open in Colab](https://colab/x.svg)](https://colab/x)"
TITLE = f"# {{}}\n\n{BADGE}\n\nNext: [two](02_two.ipynb)"
TYPED = (
    "run_name: str = 'quick'  # run\nepochs: int = 1  # rounds\n"
    "learning_rate: float = 0.1  # step\naugment: bool = False  # flips\n"
    "head: str = 'original'  # last layers"
)


def write_notebook(path, *sources, parameters="run_name: str = 'quick'  # run", tag="parameters"):
    cells = [
        nbformat.v4.new_markdown_cell(TITLE.format(f"Title of {path.stem}"), id="title"),
        nbformat.v4.new_code_cell(parameters, id="parameters", metadata={"tags": [tag]}),
        *(nbformat.v4.new_code_cell(s, id=f"cell-{k}") for k, s in enumerate(sources)),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, path)


def params(tmp_path, text, name="tiny.yaml"):
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


def printed(notebook):
    cells = nbformat.read(notebook, 4).cells
    return "".join(o.get("text", "") for c in cells for o in c.get("outputs", []))


def copies(run_name="quick"):
    return workspace.run_dir(run_name) / "notebooks"


def names(run_name="quick"):
    return sorted(p.name for p in copies(run_name).iterdir())


def run(folder, texts=None, **more):
    (run,) = plan.plan([], texts or {}, folder=folder, **more)
    execute.run_one(run)
