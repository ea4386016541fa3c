"""How much memory do notebooks 05 to 08 need when X-rays are large? Run alone: `make bench`.

Pairs of phantoms, SIDE x SIDE px, are written into a temporary folder, prepared by notebook 01 and
trained on for a little; then each notebook judges the validation pairs. Half of them come first:
memory is flat if both need as much. The disk needs about SIDE² / 3 bytes a pair.

    python tests/benchmarks/memory.py [PAIRS [SIDE]]      (60 pairs of 3000 px by default)
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cv2

from unet_lib import phantom

PROJECT = Path(__file__).resolve().parents[2]
TRAINED = 8
LEARNS = {"image_size": 64, "batch_size": 2, "epochs": 25, "learning_rate": 0.001}
ANY = {"required_dice": 0}
SHORT = {"experiment_pairs": 0, "experiment_epochs": 1, "experiment_seeds": 1}
NOTEBOOKS = {"05_evaluate": ANY, "06_evaluate_in_depth": ANY,
             "07_close_the_gap": {**ANY, **SHORT, "retrain": False}, "08_how_wide": SHORT}
# The largest process below this one: a kernel.
MEASURED = """import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=sys.stderr).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
sys.exit(code)"""


def write_pairs(folder: Path, count: int, side: int) -> None:
    """Write pairs as a hospital's large detector would give them."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    fast = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    for number in range(count):
        image, mask, _ = phantom.draw(number, size=512)
        large = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"images/P{number:04d}.png"), large, fast)
        large = cv2.resize(mask, (side, side), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(folder / f"masks/P{number:04d}.png"), large, fast)


def run(workspace: Path, settings: dict, *notebooks: str) -> int:
    """Run some notebooks; return the peak of their largest kernel in MB."""
    command = [sys.executable, "-m", "unet_lib", "run", "--only", *notebooks]
    for name, value in settings.items():
        command += ["-p", name, str(value)]
    place = {**os.environ, "UNET_LOWERED_WORKSPACE": str(workspace), "PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, "-c", MEASURED, *command], env=place, text=True,
                          stdout=subprocess.PIPE, check=True)
    return int(done.stdout)


def judge(folder: Path, pairs: int, side: int) -> list[int]:
    """Prepare and train on so many validation pairs; return the peak of each notebook in MB."""
    write_pairs(folder / "source", pairs + TRAINED, side)
    data = {"source": folder / "source", "val_fraction": pairs / (pairs + TRAINED)}
    run(folder, {**data, **LEARNS, **ANY}, "01_restructure_dataset", "04_train")
    return [run(folder, settings, stem) for stem, settings in NOTEBOOKS.items()]


def main() -> None:
    """Print a row for each number of pairs."""
    given = [int(number) for number in sys.argv[1:]]
    pairs, side = given + [60, 3000][len(given):]
    print(f"peak of the kernel in MB, validation pairs of {side} x {side} px")
    print("pairs", *(stem[:2] for stem in NOTEBOOKS), sep="\t")
    for count in (pairs // 2, pairs):
        with tempfile.TemporaryDirectory() as folder:
            print(count, *judge(Path(folder), count, side), sep="\t", flush=True)


if __name__ == "__main__":
    main()
