"""Notebooks for practitioners with other values, and what the shipped sweeps compute."""

import ast
import csv
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import test_notebooks  # noqa: E402

from unet_lib import workspace  # noqa: E402
from unet_lib.series import plan  # noqa: E402

pytest.importorskip("snakemake", reason="Snakemake is not installed: pip install -e '.[batch]'")
TINY = """base: {source: phantom, phantoms: 12, val_fraction: 0.25, dataset: tiny, image_size: 32,
       epochs: 2, batch_size: 3, head: direct, augment: true, required_dice: 0, judged_epoch: last}
points: [{}, {training_pairs: 6, learning_rate: 0.002, schedule: cosine, width: 8}]
seeds: [1]
"""
STUDY = """from unet_lib import bootstrap
bootstrap.quieten()
from unet_lib import batches, datasets, experiments, workspace
folder = workspace.data_dir("tiny")
manifest = datasets.load_manifest(folder)
shared = {"image_size": 32, "batch_size": 3, "head": "direct", "augment": "both"}
changed = {"learning_rate": 0.002, "schedule": "cosine", "width": 8}
usual = {"learning_rate": 0.0003}
for recipe, pairs in ((usual, 0), (changed, 6)):
    ids, validation = datasets.used_ids(manifest, pairs)
    arrays = batches.open_arrays(folder, ids, image_size=32)
    recipe = experiments.ORIGINAL | shared | recipe
    unet, _ = experiments.train(arrays, recipe, epochs=2, seed=1)
    print(experiments.score(unet, datasets.read_pairs(folder, validation))["dice"])
"""


def call(*arguments, folder, environment):
    done = subprocess.run([sys.executable, *map(str, arguments)], cwd=folder, text=True,
                          capture_output=True, env=os.environ | environment)  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_a_point_is_what_a_study_in_a_notebook_computes(tmp_path):
    """The same data, recipe and random seed by `experiments`, as in notebooks 07 and 08.

    05 predicts image by image, `experiments` in batches: a pixel may fall to the other side.
    """
    (tmp_path / "tiny.yaml").write_text(TINY)
    here = {"folder": workspace.PROJECT, "environment": {
        "UNET_LOWERED_WORKSPACE": str(tmp_path), "OMP_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}}
    call("-m", "unet_lib", "sweep", tmp_path / "tiny.yaml", "--cores", "1", **here)
    with (tmp_path / "runs" / "tiny" / "results.csv").open() as file:
        found = [float(row["dice"]) for row in csv.DictReader(file)]
    computed = [float(line) for line in call("-c", STUDY, **here).split()]
    assert len(found) == 2 and found == pytest.approx(computed, abs=2e-5)


def papermill_with(values, stem, place, *, folder):
    """Run a notebook by the papermill command alone; each assertion in it is reached."""
    path = plan.NOTEBOOKS / f"{stem}.ipynb"
    usual = {n: ast.literal_eval(p["default"]) for n, p in papermill.inspect_notebook(path).items()}
    assert set(values) == set(usual) and not [n for n in usual if usual[n] == values[n]]
    notebook = nbformat.read(path, 4)
    expected = test_notebooks.watch_asserts(notebook, stem)
    nbformat.write(notebook, place / "watched.ipynb")
    options = [str(part) for item in values.items() for part in ("-p", *item)]
    call("-m", "papermill", place / "watched.ipynb", place / "done.ipynb", *options,
         "--no-progress-bar", "-k", "python3", folder=folder, environment={
             "UNET_LOWERED_WORKSPACE": str(place / "workspace"),
             "REACHED": str(place / "reached"), "PYTHONPATH": str(workspace.PROJECT)})
    assert expected - set((place / "reached").read_text().split()) == set()


def test_notebook_11_with_other_values(tmp_path):
    pytest.importorskip("jax", reason="JAX is not installed: pip install -e '.[scale]'")
    values = {"run_name": "other", "scale_epochs": 2}
    papermill_with(values, "11_scale_out", tmp_path, folder=tmp_path)
    assert len(list((tmp_path / "workspace" / "runs").glob("other_*/last.keras"))) == 3


def test_notebook_10_with_a_sweep_of_ones_own_from_another_directory(tmp_path):
    (tmp_path / "mine.yaml").write_text(TINY)
    (tmp_path / "elsewhere").mkdir()
    values = {"run_name": "other", "sweep_file": str(tmp_path / "mine.yaml"), "sweep_epochs": 1,
              "sweep_seeds": 1, "sweep_cores": 1}
    papermill_with(values, "10_batch_runs", tmp_path, folder=tmp_path / "elsewhere")
    assert not list((tmp_path / "elsewhere").iterdir())
    home = tmp_path / "workspace" / "runs" / "mine"
    assert (home / "results.html").stat().st_size > 100_000
    printed = "".join(text for cell in nbformat.read(tmp_path / "done.ipynb", 4).cells
                      for text in test_notebooks.output_texts(cell))
    assert "each setting ran once: nothing tells skill from luck" in printed
