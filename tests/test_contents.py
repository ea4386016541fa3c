"""docs/index.md, which JupyterLab opens and the site begins with, lists the series as it is."""

import re

import nbformat
import pytest

from unet_lib import workspace
from unet_lib.series import plan

PAGE = (workspace.PROJECT / "docs" / "index.md").read_text("utf-8")
NOTEBOOKS = plan.select(plan.NOTEBOOKS, every=True)
ROWS = re.findall(r"^\| \[(.+)\]\(\.\./notebooks/(\w+)\.ipynb\) \| (.+) \|$", PAGE, re.M)


def test_each_notebook_has_its_row_in_order():
    assert [stem for _, stem, _ in ROWS] == [path.stem for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_row_says_what_the_notebook_says_of_itself(path):
    title = nbformat.read(path, 4).cells[0].source
    said = {stem: (name, question) for name, stem, question in ROWS}
    name, question = said[path.stem]
    assert f"# {name}\n" in title and f"**{question}**" in title
