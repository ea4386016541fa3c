"""A place of its own for each test of the commands, and the sets of the intake's tests."""

import os
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "intake"))  # made_sets, made_trees


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    """An empty current folder and workspace, and a probe that trains nothing."""
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path / "workspace"))
    for name in ("MPLBACKEND", "KERAS_HOME", "TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS"):
        monkeypatch.setenv(name, os.environ[name])  # a command sets them; given back afterwards
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.chdir(tmp_path)
    from unet_lib.commands import kept
    from unet_lib.series import probe

    monkeypatch.setattr(kept, "_cache", lambda: tmp_path / "cache")  # not the user's

    monkeypatch.setattr(probe, "measure", lambda **_: (0.5, 800.0))
