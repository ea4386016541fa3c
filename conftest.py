"""For every test session: a workspace of its own, and nbval in kernels that stand by themselves."""

import os
import shutil
import tempfile


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

        from unet_lib.series.execute import own_kernel

        nbval.kernel.KernelManager = own_kernel(nbval.kernel.KernelManager)


def pytest_collectstart(collector):
    """TensorFlow writes process numbers to stderr when it is imported: compare all else."""
    if collector.__class__.__name__ == "IPyNbFile":
        collector.skip_compare += ("stderr",)
