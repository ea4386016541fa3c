"""Notebook 04's training on one process or several, each with a GPU of its own, or a CPU.

    python workflow/train.py [--params FILE]... [-p NAME VALUE]... [--run NAME]

One process needs nothing more. Several are started by launch_hosts.sh, or on SLURM by
launch_slurm.sh; they share a disk, which holds the project and its workspace. Parameters are those
of notebook 04; batch_size is that of all processes together. The same call again takes up a run
that was stopped.
"""

import argparse
import os
import sys
import traceback
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from unet_lib import bootstrap, workspace  # noqa: E402
from unet_lib.series import plan  # noqa: E402


def read_command() -> dict[str, object]:
    """Return all parameters of notebook 04, checked; exit with 2 if one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--params", action="append", default=[], metavar="FILE")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    parser.add_argument("--run", metavar="NAME")
    given = parser.parse_args()
    if len(given.params) > 1:
        parser.error("--params names one file, for one run")
    try:
        [run] = plan.plan(given.params, dict(given.p), run_name=given.run, only=["04_train"])
    except plan.Refused as error:
        parser.error(str(error))
    [(notebook, values)] = run.parameters.items()
    return plan.defaults(notebook) | values


def main() -> int:
    """Train; return 0, 1 if it did not come to its end, or 130 after Ctrl-C."""
    values = read_command()
    bootstrap.quieten()
    import jax

    from unet_lib import parallel, runs

    number = 0
    try:
        part = number, count = parallel.join()
        if number:  # one process is enough to tell how it goes
            sys.stdout = open(os.devnull, "w")
        print(f"{count} processes, {values['batch_size'] // count} pairs of each batch for each")
        parallel.train(values, part)
        return 0
    except KeyboardInterrupt:
        code, reason = 130, "interrupted"
    except (ValueError, OSError, FloatingPointError) as error:
        code, reason = 1, f"{type(error).__name__}: {error}"
    except jax.errors.JaxRuntimeError as error:
        code, reason = 1, str(error).partition("\n")[0]
        reason += "\nMost often another process has ended; what it said last tells why"
    except BaseException:
        code, reason = 1, traceback.format_exc()
    done = runs.finished_epochs(workspace.run_dir(values["run_name"]))
    safe = f"{done} epochs are safe; the same call goes on from there"
    print(f"process {number} stops: {reason}\n{safe}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(code)  # JAX would wait five minutes for a process that is gone


if __name__ == "__main__":
    sys.exit(main())
