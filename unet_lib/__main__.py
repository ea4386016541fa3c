"""The command line: `python -m unet_lib run` and `check`."""

import argparse
import os
import sys
from pathlib import Path

from unet_lib import series, workspace
from unet_lib.series import execute, plan


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return what the command line asks for."""
    about = series.__doc__.split("\n\n")[0]
    parser = argparse.ArgumentParser(prog="python -m unet_lib", description=about)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="execute the notebooks; exit 0 only if every one ran")
    add = run.add_argument
    add("--params", action="append", default=[], metavar="FILE",
        help="YAML file of parameters; given several times: several runs, one after another")
    add("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters",
        help="one parameter; wins over the files")
    add("--run", metavar="NAME", help="folder under runs/ (default: the file's stem, or 'quick')")
    add("--only", nargs="+", default=[], metavar="NOTEBOOK", help="such as 04_train")
    look = commands.add_parser(
        "check", help="audit X-rays and masks of one's own, and say what would be trained on them"
    )
    add = look.add_argument
    add("source", metavar="SOURCE", help="a folder, a CSV list, 'phantom' or 'kaggle:owner/name'")
    add("--out", metavar="DIR", help="write check.yaml and contact_sheet.png there")
    add("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters",
        help="a parameter of notebook 01, such as: -p mask_values 1,2")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 failed, 2 refused, 130 interrupted."""
    asked = parse(arguments)
    try:
        return {"run": _run, "check": _check}[asked.command](asked)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130


def _check(asked: argparse.Namespace) -> int:
    os.environ["MPLBACKEND"] = "agg"  # the sheet is a file: no window, whatever the user has set
    from unet_lib.commands import check  # with all that reads pictures: --help answers without

    out = Path(asked.out) if asked.out else None
    try:
        values = check.convert(asked.source, asked.parameters, out=out)
    except ValueError as error:
        print(f"Refused, nothing has run: {error}", file=sys.stderr)
        return 2
    return check.run(asked.source, values, out=out)


def _run(asked: argparse.Namespace) -> int:
    if not workspace.CHECKOUT:
        print(
            f"Refused, nothing has run: `{asked.command}` executes the project's notebooks, which"
            " an installed package does not hold; clone the project and call it there",
            file=sys.stderr,
        )
        return 2
    try:
        runs = plan.plan(asked.params, dict(asked.parameters), run_name=asked.run, only=asked.only)
    except plan.Refused as error:
        print(f"Refused, nothing has run: {error}", file=sys.stderr)
        return 2
    return execute.run_all(runs)


if __name__ == "__main__":
    sys.exit(main())
