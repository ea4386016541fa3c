"""Sources that are made or fetched."""

import os
import shutil
import sys
import types
from pathlib import Path

import pytest
from made_trees import IDS, content, make_tree, run, state, trained

from unet_lib import phantom, workspace
from unet_lib.intake import prepare, sources


def test_a_folder_starts_at_the_project(tmp_path):
    assert sources.resolve_source("some/tree") == workspace.PROJECT / "some" / "tree"
    assert sources.resolve_source(tmp_path) == tmp_path


def test_the_phantoms_are_drawn_once_and_whole(tmp_path, monkeypatch):
    drawn = []

    def write(folder, *, train):
        assert train == 120
        drawn.append(folder)
        make_tree(Path(folder))
        if len(drawn) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(phantom, "write_primary_tree", write)
    with pytest.raises(KeyboardInterrupt):
        sources.resolve_source("phantom")
    assert not (tmp_path / "data" / "phantom-source").exists()
    folder = sources.resolve_source("phantom")
    assert folder == tmp_path / "data" / "phantom-source" and len(drawn) == 2
    before = state(folder)
    assert sources.resolve_source("phantom") == folder and len(drawn) == 2
    assert state(folder) == before
    (tmp_path / "data" / ".phantom-source.sha256").write_text("another version of the code")
    sources.resolve_source("phantom")
    assert len(drawn) == 3 and content(folder).keys() == before.keys()
    shutil.rmtree(folder)
    sources.resolve_source("phantom")
    assert len(drawn) == 4 and content(folder).keys() == before.keys()


def test_another_number_of_phantoms_gets_a_folder_of_its_own(tmp_path):
    folder = sources.resolve_source("phantom", phantoms=2)
    assert folder == tmp_path / "data" / "phantom-source-2"
    assert len(list((folder / "train_images").iterdir())) == 2
    with pytest.raises(ValueError, match="train"):
        sources.resolve_source("phantom", phantoms=-1)


KILLED_WHILE_DRAWING = """
import os, signal
from unet_lib import phantom
from unet_lib.intake import sources
phantom._write = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sources.resolve_source("phantom")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGKILL")
def test_what_a_kill_while_drawing_leaves_goes_with_the_next_run(tmp_path, monkeypatch):
    process = run(KILLED_WHILE_DRAWING)
    process.communicate()
    left = [p.name for p in (tmp_path / "data").iterdir()]
    assert process.returncode == -9 and len(left) == 1 and left[0] != "phantom-source"
    monkeypatch.setattr(phantom, "write_primary_tree", lambda folder, train: make_tree(folder))
    sources.resolve_source("phantom")
    left = {p.name for p in (tmp_path / "data").iterdir()}
    assert left == {"phantom-source", ".phantom-source.sha256"}


def answer(kind: type, status: int | None) -> Exception:
    error = kind("the server's own words")
    error.response = types.SimpleNamespace(status_code=status) if status else None
    return error


@pytest.mark.parametrize(
    "error, text",
    [
        (answer(ConnectionError, None), "no connection to Kaggle, or no room: the server's own"),
        (answer(OSError, 403), "Kaggle refuses access (403)"),
        (answer(OSError, 401), "Kaggle refuses access (401)"),
        (answer(OSError, 404), "OSError: the server's own words"),
        (ImportError("No module named 'kagglehub'"), "the package kagglehub is missing"),
    ],
)
def test_a_failed_download_tells_the_manual_steps(error, text, monkeypatch):
    def fail(slug):
        raise error

    module = types.SimpleNamespace(dataset_download=fail)
    monkeypatch.setitem(sys.modules, "kagglehub", None if "missing" in text else module)
    with pytest.raises(RuntimeError) as caught:
        sources.resolve_source("kaggle")
    assert text in str(caught.value)
    assert f"https://www.kaggle.com/datasets/{sources.KAGGLE_SLUG}" in str(caught.value)
    assert 'source = "data/kaggle-download"' in str(caught.value)


def test_a_download_is_used_as_it_is(tmp_path, target, monkeypatch):
    make_tree(tmp_path / "cache" / "versions" / "1" / "lungs")
    before = state(tmp_path / "cache")
    fetched = []

    def download(slug):
        fetched.append(slug)
        return str(tmp_path / "cache" / "versions" / "1")

    monkeypatch.setitem(sys.modules, "kagglehub", types.SimpleNamespace(dataset_download=download))
    manifest = prepare.restructure(sources.resolve_source("kaggle"), target)
    assert fetched == [sources.KAGGLE_SLUG] and trained(manifest) == IDS
    assert state(tmp_path / "cache") == before


def test_another_data_set_of_kaggle_is_fetched_by_its_name(monkeypatch):
    module = types.SimpleNamespace(dataset_download=lambda slug: f"/cache/{slug}")
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    found = sources.resolve_source("kaggle:some-one/lungs")
    assert found.as_posix() == "/cache/some-one/lungs"
