"""Places, names and the packages that a notebook needs."""

import subprocess
import sys

import pytest

from unet_lib import workspace


def test_data_and_runs_lie_in_the_workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    assert workspace.data_dir("phantom") == tmp_path / "data" / "phantom"
    assert workspace.run_dir("quick") == tmp_path / "runs" / "quick"
    assert workspace.shown(workspace.run_dir("quick")) == "runs/quick"
    monkeypatch.delenv("UNET_LOWERED_WORKSPACE")
    assert workspace.workspace() == workspace.PROJECT


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc", "a\\b", ".hidden", "a b", None])
def test_names_that_leave_their_folder_are_refused(name):
    with pytest.raises(ValueError, match="run_name must be one plain folder name"):
        workspace.run_dir(name)


def test_relative_paths_start_at_the_project_wherever_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert workspace.resolve("data/x") == workspace.PROJECT / "data" / "x"
    assert workspace.resolve(tmp_path / "y") == tmp_path / "y"


def test_a_missing_file_names_the_notebook_that_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="notebooks/01_restructure_dataset.ipynb makes it"):
        workspace.require_artifact(tmp_path / "nothing", "01_restructure_dataset")
    assert workspace.require_artifact(tmp_path, "01_restructure_dataset") == tmp_path


def test_importing_the_package_is_quiet_and_loads_no_tensorflow():
    heavy = "{'keras', 'tensorflow', 'cv2'}"
    code = f"import sys, unet_lib, unet_lib.workspace; print({heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=workspace.PROJECT, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("set()\n", "")
