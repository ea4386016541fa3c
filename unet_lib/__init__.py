"""U-Net Lowered: the thin helper that the notebooks share, in the order of the data's way.

Flat rooms, which notebooks import:

- `workspace`: project, data and run folders, names, atomic files, locks
- `console`: how the command line is called, heard and ended
- `bootstrap`: what a fresh kernel needs before anything else
- `rules`, `parameters`: kinds of values; every parameter's type, range, choices and remedy
- `phantom`: synthetic chest X-rays
- `datasets`: load what notebook 01 made
- `pixels`, `batches`, `augmentation`: picture to model size, arrays and `tf.data`, random changes
- `architecture`: the functions of notebook 03, and `build_unet`
- `losses`, `metrics`, `calibration`: in Keras; in NumPy for each image; of probabilities
- `runs`, `training`: the record of a run; callbacks that keep it and watch it
- `model_files`: a model's file, looked through before Keras opens it
- `prediction`: a trained model on pictures in memory
- `plotting`: figures of the notebooks
- `experiments`: one recipe built, compiled, trained and scored
- `tables`: what was measured, kept row by row, shown, compared and drawn
- `trials`: trials of notebook 07, with data spoiled on purpose; a whole run by a recipe
- `parallel`: one training on several processes, on Keras' JAX backend
- `exercises`: checks of what a reader writes, answered as by a teacher

Wings around them: `intake` (other people's data), `series` (running notebooks), `commands` (what
the command line does beyond that). `weights` holds a model that was trained on phantoms alone.

The package itself loads nothing: `import unet_lib` is quick, quiet and free of TensorFlow.
"""

__version__ = "0.1.0"
