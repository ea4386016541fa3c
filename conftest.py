"""For every test session: a workspace of its own, and nbval without the comparison of stderr."""

import os
import shutil
import tempfile


def pytest_configure(config):
    """Keep the tests off the user's data/ and runs/, unless a workspace is given.

    TensorFlow gets the settings of the bootstrap cell before anything imports it: if two processes
    used other kernels, their results would differ in the last digits.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if not os.environ.get("UNET_LOWERED_WORKSPACE"):
        folder = os.environ["UNET_LOWERED_WORKSPACE"] = tempfile.mkdtemp(prefix="unet-lowered-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        config.add_cleanup(lambda: os.environ.pop("UNET_LOWERED_WORKSPACE"))


def pytest_collectstart(collector):
    """TensorFlow writes process numbers to stderr when it is imported: compare all else."""
    if collector.__class__.__name__ == "IPyNbFile":
        collector.skip_compare += ("stderr",)
