"""A workspace, a source and the place of its data set for each test of the intake."""

import pytest
from made_trees import make_tree


@pytest.fixture(autouse=True)
def own_workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))


@pytest.fixture
def source(tmp_path):
    return make_tree(tmp_path / "source")


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data" / "xrays"
