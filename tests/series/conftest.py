"""A workspace and two small notebooks for each test of the runner."""

import pytest
from made import TYPED, write_notebook


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two notebooks: the first prints its parameters, the second its place and its Python."""
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path / "workspace"))
    folder = tmp_path / "notebooks"
    folder.mkdir()
    show = "print(run_name, repr(epochs), repr(learning_rate), augment, head)"
    write_notebook(folder / "01_one.ipynb", show, parameters=TYPED)
    write_notebook(folder / "02_two.ipynb", "import os, sys; print(os.getcwd(), sys.executable)")
    return folder
