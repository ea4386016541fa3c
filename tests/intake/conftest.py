"""A workspace, a source and the place of its data set for each test of the intake."""

import pytest
from made_trees import make_tree

from unet_lib.intake.raster import quiet

with quiet():  # an older GDCM warns as it is imported, and aborts where that is an error
    import pydicom.pixels  # noqa: F401


@pytest.fixture(autouse=True)
def own_workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))


@pytest.fixture
def source(tmp_path):
    return make_tree(tmp_path / "source")


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data" / "xrays"
