"""Sources that are made or fetched."""

import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from made_sets import put
from made_trees import IDS, content, make_tree, place, run, state, trained

from unet_lib import datasets, phantom, workspace
from unet_lib.intake import prepare, sources


def test_a_folder_starts_at_the_project(tmp_path):
    assert sources.resolve_source("some/tree") == workspace.PROJECT / "some" / "tree"
    assert sources.resolve_source(tmp_path) == tmp_path


def test_the_phantoms_are_drawn_once_and_whole(tmp_path, monkeypatch):
    drawn = []

    def write(folder, *, train, sides):
        assert train == 120 and not sides
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
    monkeypatch.setattr(phantom, "write_primary_tree", lambda folder, **_: make_tree(folder))
    sources.resolve_source("phantom")
    left = {p.name for p in (tmp_path / "data").iterdir()}
    assert left == {"phantom-source", ".phantom-source.sha256"}


def cache(tmp_path, name: str, *versions: int, complete=True) -> list[Path]:
    """Put versions of a data set where kagglehub would have put them; return their folders."""
    home = tmp_path / "kaggle-cache" / "datasets" / name
    folders = [make_tree(home / "versions" / str(number) / "lungs").parent for number in versions]
    for number in versions if complete else ():
        (home / f"{number}.complete").touch()
    return folders


NAME = sources.KAGGLE_SLUG.partition("/versions/")[0]


@pytest.mark.parametrize(
    "source, version",
    [
        ("kaggle", 1),
        (f"kaggle:{NAME}/versions/1", 1),
        (f"kaggle:{NAME}/versions/9", 9),
        (f"kaggle:{NAME}", 10),  # the newest by number, not by spelling
    ],
)
def test_what_is_cached_is_used_without_a_network(source, version, tmp_path, no_network, capsys):
    folders = dict(zip((1, 9, 10), cache(tmp_path, NAME, 1, 9, 10), strict=True))
    before = state(tmp_path / "kaggle-cache")
    assert not sources.needs_network(source)
    assert sources.resolve_source(source) == folders[version]
    assert no_network == [] and state(tmp_path / "kaggle-cache") == before
    printed = capsys.readouterr().out
    assert str(folders[version]) in printed
    assert (f'"kaggle:{NAME}/versions/10" keeps to it' in printed) == (version == 10)


def test_the_cache_is_read_where_kagglehub_writes_it(tmp_path, monkeypatch):
    from kagglehub import cache as theirs
    from kagglehub import config, handle

    ours = handle.parse_dataset_handle(f"{NAME}/versions/3")
    Path(theirs.get_cached_path(ours)).mkdir(parents=True)
    assert sources.cached_versions(NAME) == {}  # a download that has not come to its end
    theirs = getattr(theirs, "Cache", lambda: theirs)()  # kagglehub 0.3 has no class
    theirs.mark_as_complete(ours)
    assert sources.cached_versions(NAME) == {3: Path(theirs.load_from_cache(ours))}
    assert str(sources.cache_folder()) == config.get_cache_folder()
    monkeypatch.delenv("KAGGLEHUB_CACHE")
    assert str(sources.cache_folder()) == str(Path(config.get_cache_folder()).resolve())


def test_a_cached_copy_needs_no_kagglehub(tmp_path, monkeypatch):
    folder = cache(tmp_path, NAME, 1)[0]
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    assert sources.resolve_source("kaggle") == folder


def test_a_marker_without_its_folder_is_no_copy(tmp_path):
    shutil.rmtree(cache(tmp_path, NAME, 1)[0])
    assert sources.cached_versions(NAME) == {} and sources.needs_network("kaggle")


@pytest.mark.parametrize("source", ["phantom", "data", "kagglehub", "some/kaggle"])
def test_other_sources_need_no_network(source):
    assert not sources.needs_network(source)


@pytest.mark.parametrize("cached", [(), (2, 3)])
def test_without_network_and_copy_the_way_out_is_told(cached, tmp_path, no_network):
    cache(tmp_path, NAME, *cached)
    cache(tmp_path, NAME, 1, complete=False)
    with pytest.raises(RuntimeError, match="could not be downloaded: no connection") as caught:
        sources.resolve_source("kaggle")
    text = str(caught.value)
    assert no_network and str(tmp_path / "kaggle-cache" / "datasets" / NAME) in text
    assert f"open https://www.kaggle.com/datasets/{NAME}" in text
    assert (f'source = "kaggle:{NAME}/versions/3"' in text) == bool(cached)


OFFLINE = """
from unet_lib.intake import sources
print(sources.resolve_source("kaggle"))
"""


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare, of Linux")
def test_what_is_cached_is_used_on_a_machine_without_a_network(tmp_path):
    alone = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("this account may not take a network away")
    folder = cache(tmp_path, NAME, 1)[0]
    command = [*alone, sys.executable, "-c", OFFLINE]
    done = subprocess.run(command, cwd=workspace.PROJECT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == str(folder), done.stderr


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


@pytest.mark.parametrize("slug", ["some-one/lungs", "some-one/lungs/versions/4"])
def test_another_data_set_of_kaggle_is_fetched_by_its_name(slug, monkeypatch, capsys):
    module = types.SimpleNamespace(dataset_download=lambda slug: f"/cache/{slug}")
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    assert sources.needs_network(f"kaggle:{slug}")
    assert sources.resolve_source(f"kaggle:{slug}").as_posix() == f"/cache/{slug}"
    hint = 'source = "kaggle:some-one/lungs/versions/N" keeps to one'
    assert (hint in capsys.readouterr().out) == ("versions" not in slug)


def test_phantoms_that_tell_sides_apart_get_a_folder_of_their_own(tmp_path):
    folder = sources.resolve_source("phantom", phantoms=1, phantom_masks="sides")
    assert folder == tmp_path / "data" / "phantom-source-1-sides"
    both = sources.resolve_source("phantom", phantoms=1)
    found = [np.unique(datasets.read_image(next(f.rglob("masks/*.png")))) for f in (folder, both)]
    assert [values.tolist() for values in found] == [[0, 1, 2], [0, 255]]


@pytest.mark.parametrize("where, held", [
    ("s", True), ("s/films/o", True), ("seg", True), ("far/o", True), (".", False), ("o", False),
    ("s2", False),
])  # fmt: skip
def test_what_lies_in_a_list_is_what_lies_beside_its_files(where, held, tmp_path):
    place(tmp_path, "s/a.png", "seg/a.png", "far/b.png")
    put(tmp_path / "list.csv", "image,mask\ns/a.png,seg/a.png\nfar/b.png,\n")
    assert sources.holds(tmp_path / "list.csv", tmp_path / where) is held


def test_what_lies_in_a_folder_or_in_no_source(tmp_path):
    place(tmp_path, "s/a.png", "bad.csv")
    assert sources.holds(tmp_path / "s", tmp_path / "s/o")
    assert not sources.holds(tmp_path / "s", tmp_path)
    put(tmp_path / "bad.csv", "image\nmissing.png\n")
    assert not sources.holds(tmp_path / "bad.csv", tmp_path)
    assert not sources.holds(tmp_path / "phantom", tmp_path)
