"""The Makefile and the upkeep of the notebooks, in a copy that holds no more than they need."""

import os
import re
import shutil
import subprocess

import maintain
import nbformat
import pytest

from unet_lib import workspace

FILES = ("Makefile", "requirements.txt", "pyproject.toml", "README.md", "tests/maintain.py")


@pytest.fixture
def copy(tmp_path):
    """A checkout with notebooks and without .venv."""
    for name in [*FILES, *(p.relative_to(workspace.PROJECT) for p in notebooks(workspace.PROJECT))]:
        if (workspace.PROJECT / name).exists():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shutil.copy(workspace.PROJECT / name, tmp_path / name)
    return tmp_path


def notebooks(project):
    return sorted((project / "notebooks").glob("*.ipynb"))


def make(folder, *arguments, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PYTHON"))}
    clean |= environment
    for name in ("VENV", "NEWEST", "PARAMS", "RUN"):
        clean.pop(name, None)
    return subprocess.run(
        ["make", "--no-print-directory", *arguments], cwd=folder, env=clean,
        capture_output=True, text=True,
    )


def test_help_is_the_default_and_names_every_target(copy):
    shown = make(copy).stdout
    phony = re.search(r"^\.PHONY: (.+)", (copy / "Makefile").read_text(), re.M)[1].split()
    assert [re.search(rf"^  make {target} ", shown, re.M) is None for target in phony] == (
        [False] * len(phony)
    )


def test_run_passes_files_and_name_on(copy):
    stamp(copy)
    done = make(copy, "-n", "run", "PARAMS=a.yaml b.yaml", "RUN=mine").stdout.split()
    assert done == (".venv/bin/python -m unet_lib run --params a.yaml --params b.yaml"
                    " --run mine").split()


def test_both_halves_of_the_tests_leave_no_file_out_and_run_none_twice(copy):
    stamp(copy)
    names = [p.name for p in workspace.PROJECT.glob("tests/test_*.py")] + ["test_yet_to_come.py"]
    for name in names:
        (copy / "tests" / name).touch()
    words = make(copy, "-n", "test").stdout.split()
    given = sorted(word.strip(";") for word in words if word.startswith("tests/test_"))
    assert given == sorted(f"tests/{name}" for name in names)
    assert words.count("notebooks") == 1


def stamp(copy):
    (copy / ".venv" / "bin").mkdir(parents=True)
    for name in FILES:
        if (copy / name).exists():
            os.utime(copy / name, (1, 1))
    (copy / ".venv" / ".ready").touch()
    (copy / ".venv" / ".ready-dev").touch()


@pytest.mark.parametrize("file", ["requirements.txt", "pyproject.toml"])
def test_environment_is_made_again_when_outdated(copy, file):
    assert make(copy, "-q", "setup").returncode == 1  # there is none
    stamp(copy)
    assert make(copy, "-q", "setup").returncode == 0
    later = (copy / ".venv" / ".ready").stat().st_mtime + 1  # equal would not be outdated
    os.utime(copy / file, (later, later))
    assert make(copy, "-q", "setup").returncode == 1


def test_half_made_environment_is_not_taken_for_a_whole_one(copy):
    stamp(copy)
    (copy / ".venv" / ".ready").unlink()
    assert make(copy, "-q", "setup").returncode == 1


@pytest.mark.parametrize(
    ("version", "has_venv", "message"),
    [
        ("3.10", True, r"needs Python 3.11, 3.12 or 3.13; found: \S+/python9=3.10."),
        ("3.14", True, r"needs Python 3.11, 3.12 or 3.13; found: \S+/python9=3.14."),
        ("3.12", False, r"python9 has no module venv .*: apt install python9-venv"),
        (None, False, r"needs Python 3.11, 3.12 or 3.13; found: none of \S+/python9."),
    ],
)
def test_unfit_python_is_named(copy, version, has_venv, message):
    fake = copy / "python9"
    fake.write_text(
        f'#!/bin/sh\ncase "$2" in *version*) echo {version};; *) exit {int(not has_venv)};; esac'
    )
    if version:
        fake.chmod(0o755)
    done = make(copy, "setup", f"PYTHON={fake}")
    assert done.returncode != 0 and re.search(message, done.stderr), done.stderr
    assert not (copy / ".venv").exists()


def test_clean_removes_what_was_made_and_never_source_data(copy):
    made = [".venv/x", "runs/quick/best.keras", "data/phantom/manifest.json", "data/phantom/a.png",
            "data/phantom-source/train_images/x", "data/.phantom.partial/x",
            "data/..phantom-source.partial-1/x", "tests/__pycache__/x"]
    kept = ["data/README.md", "data/my_xrays/images/a.png", "notebooks/params/x.yaml"]
    for name in made + kept:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).touch()
    make(copy, "clean")
    assert [name for name in made if (copy / name).exists()] == []
    assert [name for name in kept if not (copy / name).exists()] == []
    assert not (copy / "data" / "phantom").exists() and (copy / "tests/maintain.py").exists()


# -------------------------------------------------------------------------------- maintain.py


def addresses(project):
    """Return every (repository, release) that the badges and bootstrap cells of a project hold."""
    found = []
    for path in notebooks(project):
        text = "\n".join(cell.source for cell in nbformat.read(path, 4).cells)
        badge = re.findall(r"github/([\w.-]+/[\w.-]+)/blob/(v[\w.]+)/notebooks/", text)
        cell = re.findall(r'RELEASE = "https://github.com/([\w.-]+/[\w.-]+)", "(v[\w.]+)"', text)
        assert len(badge) == len(cell) == 1
        found += badge + cell
    return set(found)


def test_badges_write_one_address_everywhere(copy):
    changed = maintain.write_address("some-one/lungs", copy)
    assert {p.name for p in changed} >= {"pyproject.toml", *(p.name for p in notebooks(copy))}
    assert maintain.read_address(copy) == ("https://github.com/some-one/lungs", "v0.1.0")
    assert addresses(copy) == {("some-one/lungs", "v0.1.0")}
    assert maintain.write_address("some-one/lungs", copy) == []  # twice changes nothing
    for path in notebooks(copy):
        nbformat.validate(nbformat.read(path, 4))


def test_badges_follow_the_version(copy):
    project = copy / "pyproject.toml"
    project.write_text(project.read_text().replace('version = "0.1.0"', 'version = "0.2.0rc1"'))
    maintain.write_address(None, copy)
    assert {release for _, release in addresses(copy)} == {"v0.2.0rc1"}


def test_badges_refuse_what_is_no_repository(copy):
    with pytest.raises(SystemExit, match="REPOSITORY must be owner/name as on GitHub, got 'x'"):
        maintain.write_address("x", copy)


def write(path, *sources):
    cells = [nbformat.v4.new_code_cell(s, id=f"cell-{k}") for k, s in enumerate(sources)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


def test_execution_in_place_is_repeatable_and_tidy(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", "/not/used")
    noisy = "import os, sys; print('a'); print(os.getpid(), file=sys.stderr); print('b')"
    keep = "open(os.environ['UNET_LOWERED_WORKSPACE'] + '/made', 'w').write('by 01'); "
    write(tmp_path / "01_a.ipynb", noisy, keep)
    write(tmp_path / "02_b.ipynb", "import os\nopen(os.environ['UNET_LOWERED_WORKSPACE']"
                                   " + '/made').read()")
    maintain.execute_all(tmp_path)
    first = [p.read_bytes() for p in sorted(tmp_path.iterdir())]
    cells = nbformat.read(tmp_path / "01_a.ipynb", 4).cells
    assert [c.execution_count for c in cells] == [1, 2]
    assert [(o.name, o.text) for o in cells[0].outputs] == [("stdout", "a\nb\n")]
    (output,) = nbformat.read(tmp_path / "02_b.ipynb", 4).cells[0].outputs
    assert output.data["text/plain"] == "'by 01'"
    maintain.execute_all(tmp_path)
    assert [p.read_bytes() for p in sorted(tmp_path.iterdir())] == first


def test_execution_that_fails_leaves_the_notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", "/not/used")
    write(tmp_path / "01_a.ipynb", "print(1)", "1 / 0")
    before = (tmp_path / "01_a.ipynb").read_bytes()
    with pytest.raises(Exception, match="ZeroDivisionError"):
        maintain.execute_all(tmp_path)
    assert (tmp_path / "01_a.ipynb").read_bytes() == before
