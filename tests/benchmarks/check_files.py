"""How long does an audit take, and does its memory grow? Run alone: `make bench`.

Pairs of 1024 x 1024 px are written into a temporary folder, half of the files images and half
masks, and audited as `check` and notebook 01 do. A tenth of them comes first: memory is flat if
both need as much. The disk needs about 0.5 MB a file.

    python tests/benchmarks/check_files.py [FILES]      (10,000 by default)
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cv2
import numpy as np

from unet_lib import phantom
from unet_lib.intake import prepare

SIDE, DRAWN = 1024, 4


def write_pairs(folder: Path, count: int) -> float:
    """Write pairs of phantoms that differ in some pixels at least; return their size in MB."""
    drawn = [phantom.draw(number, size=SIDE)[:2] for number in range(DRAWN)]
    masks = [cv2.imencode(".png", mask)[1].tobytes() for _, mask in drawn]
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    size = 0
    for number in range(count):
        image = drawn[number % DRAWN][0]
        image[0, :4] = np.frombuffer(np.uint32(number).tobytes(), np.uint8)
        data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
        (folder / f"images/P{number:05d}.png").write_bytes(data)
        (folder / f"masks/P{number:05d}.png").write_bytes(masks[number % DRAWN])
        size += len(data) + len(masks[number % DRAWN])
    return size / 1e6


def measure(folder: Path) -> None:
    """Audit a folder in this process and print pairs, seconds, seconds of processors and MB."""
    started, before = time.perf_counter(), time.process_time()
    _, audited = prepare.examine(folder, prepare.Options())
    seconds, work = time.perf_counter() - started, time.process_time() - before
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(len(audited.pairs), seconds, work, memory)


def audit(files: int) -> tuple[float, float]:
    """Write files, audit them in a process of their own; return seconds and MB."""
    with tempfile.TemporaryDirectory() as folder:
        size = write_pairs(Path(folder), files // 2)
        command = [sys.executable, __file__, "--measure", folder]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    pairs, seconds, work, memory = map(float, done.stdout.split())
    assert pairs == files // 2, f"{pairs:.0f} of {files // 2} pairs were usable"
    share = f"{1000 * work / files:.1f} ms of a core a file, {work / seconds:.1f} cores busy"
    print(f"{files:6d} files, {size:6.0f} MB  {seconds:6.1f} s ({share}), {memory:.0f} MB memory",
          flush=True)  # fmt: skip
    return seconds, memory


def main() -> None:
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"audit of {SIDE} x {SIDE} px on {os.cpu_count()} cores")
    _, small = audit(files // 10)
    seconds, large = audit(files)
    allowed = 240 * files / 10_000
    print(f"{files} files in {seconds:.0f} s (aim: at most {allowed:.0f} s on 2 cores); ten times"
          f" the files need {large / small:.2f} times the memory (aim: 1.25 at most)")  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]))
    else:
        main()
