"""The Makefile and the upkeep of the notebooks, in a copy that holds no more than they need."""

import base64
import io
import os
import re
import shutil
import subprocess
import sys
import tomllib

import maintain
import nbformat
import numpy as np
import pytest
from PIL import Image

from unet_lib import workspace
from unet_lib.series import plan

# Tests that `make test` and `make test-slow` find in a copy, in place of our notebooks.
TOYS = ("NBVAL=", "LESSON=notebooks", "PRACTICE=")
FILES = ("Makefile", "requirements.txt", "pyproject.toml", "README.md")


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
    for name in ("VENV", "ALL", "NEWEST", "OLDEST", "PARAMS", "RUN", "LAB_ARGS"):
        if name not in environment:
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


def test_lab_keeps_to_this_machine_and_tells_jupyter_that_root_is_meant(copy):
    stamp(copy)
    for user, allowed in (("0", True), ("1000", False)):
        (copy / "id").write_text(f"#!/bin/sh\necho {user}\n")
        (copy / "id").chmod(0o755)
        words = make(copy, "-n", "lab", "LAB_ARGS=--port=9000 --no-browser",
                     PATH=f"{copy}:{os.environ['PATH']}").stdout.split()
        assert ("--allow-root" in words) is allowed
        assert "--ip=127.0.0.1" in words and words[-2:] == ["--port=9000", "--no-browser"]
        assert not [word for word in words if "token" in word.lower()]  # Jupyter makes one


def test_both_halves_of_the_tests_leave_no_file_out_and_run_none_twice(copy):
    """`make test` on files that only write down that they ran."""
    stamp(copy, python=True)
    beside = re.search(r"^BESIDE = (.+)", (copy / "Makefile").read_text(), re.M)[1].split()
    assert [name for name in beside if not (workspace.PROJECT / name).is_file()] == []
    wanted = [*beside, "tests/test_new.py", "tests/intake/test_formats.py",
              "tests/series/test_plan.py", "tests/tools/test_maintain.py", "notebooks/test_nb.py"]
    others = ["tests/browser/test_lab.py", "tests/slow/test_long.py", "tests/benchmarks/test_b.py",
              "tests/fixtures/test_f.py"]
    for name in wanted + others:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(
            f"def test_it():\n    with open({str(copy / 'log')!r}, 'a') as log:\n"
            f"        log.write('{name}\\n')\n"
        )
    done = make(copy, "test", *TOYS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted((copy / "log").read_text().split()) == sorted(wanted)
    (copy / "log").unlink()
    assert make(copy, "test-slow", *TOYS).returncode == 0
    assert sorted((copy / "log").read_text().split()) == others[:2]
    (copy / "log").unlink()
    assert make(copy, "test-browser").returncode == 0
    assert (copy / "log").read_text().split() == others[:1]


@pytest.mark.parametrize(
    "file", ["tests/test_notebooks.py", "tests/test_new.py", "notebooks/test_nb.py"]
)
def test_a_failure_in_either_half_is_a_failure(copy, file):
    stamp(copy, python=True)
    for name in ("tests/test_notebooks.py", "tests/test_bootstrap.py", "tests/test_new.py",
                 "notebooks/test_nb.py"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(f"def test_it():\n    assert {name!r} != {file!r}\n")
    done = make(copy, "test", *TOYS)
    assert done.returncode != 0 and f"FAILED {file}" in done.stdout, done.stdout


def test_lint_comes_first(copy):
    stamp(copy, python=True)
    (copy / "tests").mkdir(exist_ok=True)
    (copy / "tests" / "test_new.py").write_text("import os\n")
    done = make(copy, "test", *TOYS)
    assert done.returncode != 0 and "F401" in done.stdout and "collected" not in done.stdout


def test_slow_tests_may_be_none(copy):
    stamp(copy, python=True)
    assert make(copy, "test-slow", *TOYS).returncode == 0
    (copy / "tests" / "slow").mkdir(parents=True)
    (copy / "tests" / "slow" / "test_x.py").write_text("")  # pytest calls this 5
    assert make(copy, "test-slow", *TOYS).returncode == 0
    (copy / "tests" / "slow" / "test_x.py").write_text("def test_it():\n    assert False\n")
    assert make(copy, "test-slow", *TOYS).returncode != 0


def test_slow_tests_end_with_the_notebooks_for_practitioners(copy):
    """Both are run whichever fails, and a failure of either is one."""
    stamp(copy, python=True)
    (copy / "tests" / "slow").mkdir(parents=True)
    for slow, practice in ((True, False), (False, True)):
        for path, fine in (("tests/slow/test_x.py", slow), ("notebooks/test_nb.py", practice)):
            (copy / path).write_text(f"def test_it():\n    assert {fine}\n")
        done = make(copy, "test-slow", "NBVAL=", "PRACTICE=notebooks/test_nb.py")
        assert done.returncode != 0 and done.stdout.count(" 1 failed") == 1
        assert done.stdout.count(" 1 passed") == 1


def test_the_lesson_is_the_default_and_all_takes_the_others_too(copy):
    """The groups of packages that they need are installed for these only."""
    stamp(copy)
    (copy / "notebooks" / "12_ship_it.ipynb").touch()
    for arguments, every in (((), False), (("ALL=1",), True)):
        for target in ("run", "notebooks"):
            words = make(copy, "-n", target, *arguments).stdout.split()
            assert ("--all" in words) is every
        words = make(copy, "-n", "nbval", *arguments).stdout.split()
        assert ("notebooks/12_ship_it.ipynb" in words) is every
        assert {"notebooks/01_restructure_dataset.ipynb", "notebooks/09_your_own_images.ipynb"} <= (
            set(words))
    assert "notebooks/12_ship_it.ipynb" in make(copy, "-n", "test-slow").stdout.split()
    assert "12_ship_it" not in make(copy, "-n", "test").stdout
    for group in groups(copy):
        (copy / ".venv" / f".ready-{group}").unlink()
    for target in ("run", "nbval", "notebooks"):
        assert "pip install" not in make(copy, "-n", target).stdout
        assert make(copy, "-n", target, "ALL=1").stdout.count("pip install") == len(groups(copy))


def test_copies_that_lie_beside_the_notebooks_are_left_alone(copy):
    stamp(copy)
    names = ("02_explore_images-Copy1", "04_train (copy)", "12_ship_it.sync-conflict")
    for name in names:
        (copy / "notebooks" / f"{name}.ipynb").touch()
    for target in ("test", "test-slow", "nbval"):
        shown = make(copy, "-n", target, "ALL=1").stdout
        assert "ipynb" in shown and not [name for name in names if name in shown]


def groups(project):
    return re.search(r"^GROUPS = (.+)", (project / "Makefile").read_text(), re.M)[1].split()


def test_each_notebook_for_practitioners_has_its_group_of_packages(copy):
    there = {path.stem for path in notebooks(workspace.PROJECT)}
    wanted = {group for stem, group in plan.PRACTICE.items() if stem in there}
    known = tomllib.loads((copy / "pyproject.toml").read_text())["project"]
    assert set(groups(copy)) >= wanted
    assert set(groups(copy)) <= set(known["optional-dependencies"])


def stamp(copy, *, python=False, set="tested"):
    """Pretend that `make setup` has run; `python` gives it the Python of these tests."""
    (copy / ".venv" / "bin").mkdir(parents=True)
    for name in FILES:
        if (copy / name).exists():
            os.utime(copy / name, (1, 1))
    (copy / ".venv" / ".ready").write_text(f"{set} {copy.resolve()}\n")
    (copy / ".venv" / ".ready-dev").touch()
    for group in ("browser", *groups(copy)):
        (copy / ".venv" / f".ready-{group}").touch()
    if python:
        launch = copy / ".venv" / "bin" / "python"
        launch.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        launch.chmod(0o755)


@pytest.mark.parametrize("file", ["requirements.txt", "pyproject.toml"])
def test_environment_is_made_again_when_outdated(copy, file):
    assert make(copy, "-q", "setup").returncode == 1  # there is none
    stamp(copy)
    assert make(copy, "-q", "setup").returncode == 0
    later = (copy / ".venv" / ".ready").stat().st_mtime + 1  # equal would not be outdated
    os.utime(copy / file, (later, later))
    assert make(copy, "-q", "setup").returncode == 1


def test_environment_is_made_again_for_another_set_or_another_folder(copy, tmp_path_factory):
    stamp(copy)
    assert make(copy, "-q", "setup").returncode == 0
    for which in ("NEWEST=1", "OLDEST=1"):
        assert make(copy, "-q", "setup", which).returncode == 1
        assert make(copy, "-q", "setup", **dict([which.split("=")])).returncode == 1
    moved = tmp_path_factory.mktemp("moved") / "a folder"
    shutil.copytree(copy, moved)  # with all times
    assert make(moved, "-q", "setup").returncode == 1
    (moved / ".venv" / ".ready").write_text(f"tested {moved.resolve()}\n")
    (moved / ".venv" / ".ready-dev").touch()
    assert make(moved, "-q", "setup").returncode == 0


def test_notebooks_are_compared_unless_the_set_is_the_oldest(copy):
    stamp(copy)
    for arguments, wanted in (((), "--nbval"), (("NEWEST=1",), "--nbval"),
                              (("OLDEST=1",), "--nbval-lax")):
        words = make(copy, "-n", "nbval", *arguments).stdout.split()
        assert [word for word in words if word in ("--nbval", "--nbval-lax")] == [wanted]


def test_each_set_names_every_package(copy):
    """What pip would be told: pins, ranges, or the lower bound of each range."""
    ranges = tomllib.loads((copy / "pyproject.toml").read_text())["project"]
    ranges = ranges["dependencies"] + ranges["optional-dependencies"]["series"]
    lists = {"tested": ["-r", "requirements.txt"], "newest": ["--upgrade", *ranges],
             "oldest": [r.replace(">=", "==") for r in ranges]}
    for name, wanted in lists.items():
        shutil.rmtree(copy / ".venv", ignore_errors=True)
        stamp(copy, python=True, set="none")
        launch = copy / ".venv" / "bin" / "python"
        launch.write_text(f'#!/bin/sh\nif [ "$1" = -m ]; then echo "$@" >> "{copy}/pip"; else exec'
                          f' "{sys.executable}" "$@"; fi\n')
        done = make(copy, "setup", **({} if name == "tested" else {name.upper(): "1"}))
        assert done.returncode == 0, done.stderr
        given = (copy / "pip").read_text().split()
        assert given == [*"-m pip install -q --disable-pip-version-check".split(), *wanted,
                         "-e", "."]
        (copy / "pip").unlink()
        assert (copy / ".venv" / ".ready").read_text() == f"{name} {copy.resolve()}\n"


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
            "data/..phantom-source.partial-1/x", "tests/__pycache__/x", "build/lib/x",
            "unet_lowered.egg-info/x"]
    kept = ["data/README.md", "data/my_xrays/images/a.png", "notebooks/params/x.yaml"]
    for name in made + kept:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).touch()
    make(copy, "clean")
    assert [name for name in made if (copy / name).exists()] == []
    assert [name for name in kept if not (copy / name).exists()] == []
    assert not (copy / "data" / "phantom").exists() and (copy / "Makefile").exists()


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


# ---------------------------------------------------------------------------------- documents


def test_every_file_that_names_the_version_names_the_same():
    version = maintain.read_address()[1].removeprefix("v")
    texts = {name: (workspace.PROJECT / name).read_text("utf-8")
             for name in ("unet_lib/__init__.py", "CITATION.cff", "CHANGELOG.md")}
    assert f'__version__ = "{version}"' in texts["unet_lib/__init__.py"]
    assert re.search(rf"^version: {re.escape(version)}$", texts["CITATION.cff"], re.M)
    assert f"## [{version}] - " in texts["CHANGELOG.md"]


def test_links_between_documents_lead_somewhere():
    pages = [path for pattern in ("*.md", "docs/*.md", "data/*.md", "tests/fixtures/*.md")
             for path in workspace.PROJECT.glob(pattern)]
    assert len(pages) > 5
    for page in pages:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
            name, _, heading = link.partition("#")
            if name.startswith(("http:", "https:")):
                continue  # CI looks at these once a week
            target = (page.parent / name).resolve() if name else page
            assert target.exists(), f"{page.name}: {link}"
            if heading:
                titles = re.findall(r"^#+ (.+)", target.read_text("utf-8"), re.M)
                assert heading in [re.sub(r"[^\w -]", "", t).lower().replace(" ", "-")
                                   for t in titles], f"{page.name}: {link}"


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


def test_notebooks_for_practitioners_are_executed_when_all_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", "/not/used")
    write(tmp_path / "12_ship_it.ipynb", "print(1)")
    for every in (False, True):
        maintain.execute_all(tmp_path, every=every)
        (cell,) = nbformat.read(tmp_path / "12_ship_it.ipynb", 4).cells
        assert bool(cell.outputs) is every


def test_execution_that_fails_leaves_the_notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", "/not/used")
    write(tmp_path / "01_a.ipynb", "print(1)", "1 / 0")
    before = (tmp_path / "01_a.ipynb").read_bytes()
    with pytest.raises(Exception, match="ZeroDivisionError"):
        maintain.execute_all(tmp_path)
    assert (tmp_path / "01_a.ipynb").read_bytes() == before


def test_a_shrunk_picture_keeps_its_greys_and_the_colour_of_a_thin_line():
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 1), np.uint8).repeat(3, axis=2)
    pixels[100] = (86, 180, 233)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    small = base64.b64decode(maintain.shrink(base64.b64encode(buffer.getvalue()).decode()))
    found = np.asarray(Image.open(io.BytesIO(small)).convert("RGB")).astype(int)
    assert np.abs(found - pixels).max() <= 6 and np.abs(found - pixels)[100].max() <= 1
    assert len(small) < 0.8 * 200 * 300
    assert Image.open(io.BytesIO(small)).mode == "P"


def test_what_a_person_wrote_about_a_cell_is_kept():
    cell = nbformat.v4.new_code_cell("1", metadata={
        "alt": "A line.", "tags": ["x"], "jupyter": {"source_hidden": True},
        "execution": {"a": "1"}})
    notebook = nbformat.v4.new_notebook(cells=[cell])
    maintain.tidy(notebook)
    assert set(notebook.cells[0].metadata) == {"alt", "tags", "jupyter"}
