"""How long does one picture take in each runtime, and how long until the first? Run alone.

Needs pip install -e '.[ship]'. Every runtime is timed in turns, in one process; the start, with
imports and all, in a process of its own. Dice is the mean of the parity check's 66 phantoms, which
are drawn for each size, at the size of their masks.

    python tests/benchmarks/runtimes.py [SIZE ...]      (256 by default)
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from unet_lib import bootstrap, workspace
from unet_lib.commands import runtimes

START = """import sys; from pathlib import Path; from unet_lib import bootstrap, prediction
from unet_lib.commands import runtimes; import numpy as np; bootstrap.quieten()
path, size = Path(sys.argv[1]), int(sys.argv[2])
model = runtimes.load(path) if runtimes.knows(path) else prediction.load(path)
model.predict_on_batch(np.zeros((1, size, size, 1), np.float32))"""
ROUNDS = 21


def start(path: Path, size: int) -> float:
    """Return the seconds from nothing to the first answer, the best of three."""
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", START, path, str(size)], cwd=workspace.PROJECT,
                       check=True, capture_output=True)
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def measure(size: int, folder: Path) -> None:
    """Write the model in all formats and print a table."""
    from unet_lib import prediction
    from unet_lib.commands import convert, models, parity, usual

    unet = prediction.resized(prediction.load(models.SHIPPED), size)
    unet.save(folder / "lungs.keras")
    opened, files = {"Keras predict_on_batch": unet}, {"Keras predict_on_batch": "lungs.keras"}
    for kind, ending in runtimes.FORMATS.items():
        files[kind] = f"lungs{ending}"
        convert.write(unet, folder / files[kind])
    files["openvino int8"] = "lungs_int8.xml"
    convert.quantize(folder / "lungs.xml", folder / "lungs_int8.xml", size=size)
    for name in list(files)[1:]:
        convert.describe(folder / files[name], unet, models.SHIPPED, limits=usual.Limits())
        opened[name] = runtimes.load(folder / files[name])
    reference = parity.Reference(unet, pictures=parity.PICTURES)
    square = reference.squares[:1]
    calls = {"Keras predict": lambda x: unet.predict(x, verbose=0)}
    calls |= {name: model.predict_on_batch for name, model in opened.items()}
    taken = {name: [] for name in calls}
    for turn in range(ROUNDS + 3):
        for name, call in calls.items():
            begun = time.perf_counter()
            call(square)
            if turn >= 3:
                taken[name].append(1000 * (time.perf_counter() - begun))
    slowest = statistics.median(taken["Keras predict"])
    print(f"{size} px, {runtimes.threads()} threads; median of {ROUNDS}, in turns")
    for name, found in taken.items():
        middle = statistics.median(found)
        print(f"  {name:<23} {middle:7.1f} ms  {slowest / middle:5.1f} times", end="")
        if name in files:
            same = reference.compare(opened[name])
            print(f"  start {start(folder / files[name], size):5.1f} s  Dice {same.dice:.4f},"
                  f" probability off by {same.difference:.1e}", end="")
        print(flush=True)


def main() -> None:
    if gone := runtimes.missing(list(runtimes.FORMATS)):
        remedy = runtimes.remedy(list(runtimes.FORMATS))
        print(f"left out: {', '.join(gone)}: not installed; {remedy}")
        return
    bootstrap.quieten()
    for size in map(int, sys.argv[1:] or ["256"]):
        with tempfile.TemporaryDirectory() as folder:
            measure(size, Path(folder))


if __name__ == "__main__":
    main()
