"""A workspace, a source and the place of its data set for each test of the intake."""

import socket

import pytest
from made_trees import make_tree

from unet_lib.intake.raster import quiet

with quiet():  # an older GDCM warns as it is imported, and aborts where that is an error
    import pydicom.pixels  # noqa: F401


@pytest.fixture(autouse=True)
def own_workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle-cache"))


@pytest.fixture
def source(tmp_path):
    return make_tree(tmp_path / "source")


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data" / "xrays"


@pytest.fixture
def no_network(monkeypatch):
    """Take the network away; return the list of who was asked for."""
    asked = []

    def refuse(*address, **_):
        asked.append(address)
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return asked
