"""Toy notebooks 01, 04 and 05, with which a sweep takes seconds."""

from made import write_notebook

from unet_lib import workspace

DATA = """import pathlib
from unet_lib import datasets, workspace
if phantoms == 13:
    raise ValueError("13 are unlucky")
folder = workspace.data_dir(dataset)
manifest = {"format": 1, "dataset": dataset, "split": {"train": [], "validation": []}, "test": [],
            "items": [source, pathlib.Path("../state.txt").read_text()], "source": source}
manifest["data_sha256"] = datasets.data_hash(manifest)
folder.mkdir(parents=True, exist_ok=True)
workspace.write_json(folder / "manifest.json", manifest)"""
TRAIN = """import os, signal, time
from unet_lib import datasets, runs, workspace
if width == 13:
    raise MemoryError("13 is unlucky")
tries = workspace.run_dir(run_name) / "tries"
if width in (71, 72):  # its worker is killed, once or every time
    with tries.open("a") as file:
        print("try", file=file)
    if width == 72 or len(tries.read_text().split()) == 1:
        os.kill(os.getppid(), signal.SIGKILL)
        os._exit(1)
if width >= 100:  # a long training
    time.sleep(width / 100)
folder = workspace.run_dir(run_name)
data = datasets.load_manifest(workspace.data_dir(dataset))["data_sha256"]
runs.open_run(folder, parameters={"width": width}, data_sha256=data)
(folder / "trained").open("a").write("x")"""
EVALUATE = """from unet_lib import runs, workspace
folder = workspace.run_dir(run_name)
width = runs.read_record(folder)["parameters"]["width"]
workspace.write_json(folder / "metrics.json", {
    "judged_epoch": judged_epoch, "validation": {"dice": {"mean": width / 100}}})"""


def study(folder, text):
    """Write the sweep file study.yaml beside the notebooks; return its path."""
    path = folder.parent / "study.yaml"
    path.write_text(text, "utf-8")
    return str(path)


def write(tmp_path, monkeypatch):
    """Write notebooks 01, 04 and 05: data from a text file, a run that is its width."""
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("PYTHONPATH", str(workspace.PROJECT))
    (tmp_path / "state.txt").write_text("one")
    (tmp_path / "notebooks").mkdir()
    for stem, code, parameters in (
        ("01_restructure_dataset", DATA, "source: str = 'phantom'  # images\n"
         "phantoms: int = 12  # many\nval_fraction: float = 0.25  # share\n"
         "split: str = 'stratified'  # how\n"
         "dataset: str = 'toys'  # name"),
        ("04_train", TRAIN, "dataset: str = 'toys'  # name\nrun_name: str = 'quick'  # run\n"
         "width: int = 16  # filters\nseed: int = 0  # random"),
        ("05_evaluate", EVALUATE, "run_name: str = 'quick'  # run\n"
         "judged_epoch: str = 'best'  # which"),
    ):
        write_notebook(tmp_path / "notebooks" / f"{stem}.ipynb", code, parameters=parameters)
    return tmp_path / "notebooks"
