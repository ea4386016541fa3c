"""For every test session: a workspace of its own, and nbval in kernels that stand by themselves.

Beside them what several test files use.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest


def pytest_configure(config):
    """Keep the tests off the user's data/ and runs/, and the user's settings off the tests.

    TensorFlow gets the settings of the bootstrap cell before anything imports it: if two processes
    used other kernels, their results would differ in the last digits. nbval's kernels are those of
    the runner, whatever the user has set for IPython, Matplotlib and Keras.
    """
    from unet_lib import bootstrap

    bootstrap.set_environment()
    os.environ["MPLBACKEND"] = "agg"  # no window; kernels have a backend of their own
    if not os.environ.get("UNET_LOWERED_WORKSPACE"):
        folder = os.environ["UNET_LOWERED_WORKSPACE"] = tempfile.mkdtemp(prefix="unet-lowered-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        config.add_cleanup(lambda: os.environ.pop("UNET_LOWERED_WORKSPACE"))
    if getattr(config.option, "nbval", False) or getattr(config.option, "nbval_lax", False):
        import nbval.kernel

        from unet_lib.series.kernels import own_kernel

        nbval.kernel.KernelManager = own_kernel(nbval.kernel.KernelManager)


@pytest.fixture(scope="session")
def xrays() -> Path:
    """Return the folder of real X-rays, which the project does not ship: $XRAYS, or beside it."""
    beside = Path(__file__).resolve().parents[1] / "shared" / "data"
    folder = Path(os.environ.get("XRAYS") or beside)
    if not (folder / "shenzhen").is_dir():
        pytest.skip(f"no real X-rays in {folder}; name their folder in XRAYS")
    return folder


@pytest.fixture(scope="module")
def threshold_model():
    """A model that says lung where the image is brighter than a half."""
    import keras
    import numpy as np

    image = keras.Input((16, 16, 1))
    steep = keras.layers.Conv2D(1, 1, activation="sigmoid")
    unet = keras.Model(image, steep(image))
    steep.set_weights([np.full((1, 1, 1, 1), 100.0), np.array([-50.0])])
    return unet
