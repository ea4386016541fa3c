"""U-Net Lowered: the thin helper that the notebooks share.

Import the modules you need (`from unet_lib import images, model`). The package itself loads
nothing: `import unet_lib` is quick, quiet and free of TensorFlow.
"""

__version__ = "0.1.0"
