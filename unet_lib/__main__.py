"""Run the notebooks, audit images and masks, predict masks, write models for other programs.

The command line: `python -m unet_lib COMMAND`, or `unet-lowered COMMAND`.
"""

import argparse
import os
import sys
from pathlib import Path

from unet_lib import bootstrap, console, workspace
from unet_lib.series import execute, plan


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return what the command line asks for."""
    about = __doc__.split("\n\n")[0]
    parser = console.Parser(prog="python -m unet_lib", description=about)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run", help="execute the notebooks; exit 0 only if every one ran",
        description="Execute the notebooks, into runs/NAME/notebooks and a report on one page."
        " Stop it when you like; the same command goes on at the last finished epoch.",
        epilog="exit code 0: every notebook ran; 1: one failed; 2: refused; 130: Ctrl-C")
    add = run.add_argument
    add("--params", action="append", default=[], metavar="FILE", type=console.filled,
        help="YAML file of parameters; given several times: several runs, one after another")
    add("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters",
        help="one parameter; wins over the files")
    add("--run", metavar="NAME", type=console.filled,
        help="folder under runs/ (default: the file's run_name or its stem, or 'quick')")
    which = run.add_mutually_exclusive_group()
    which.add_argument("--only", nargs="+", default=[], metavar="NOTEBOOK", help="such as 04_train")
    which.add_argument("--all", action="store_true", help="the notebooks for practitioners, from 10"
                       " on, too (default: the lesson, 01 to 09)")
    look = commands.add_parser(
        "check", help="audit X-rays and masks of one's own, and say what would be trained on them",
        description="Read all X-rays and masks of a source, say what was found, what to change and"
        " how one would train. Nothing is written without --out, and nothing into the source.",
        epilog="exit code 0: a training could begin; 1: it could not; 2: refused; 130: Ctrl-C")
    add = look.add_argument
    add("source", metavar="SOURCE", type=console.filled,
        help="a folder, a CSV list, 'phantom', 'kaggle' or 'kaggle:owner/name'")
    add("--out", metavar="DIR", type=console.filled,
        help="write check.yaml and contact_sheet.png there")
    add("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters",
        help="a parameter of notebook 01, such as: -p mask_values 1,2")
    _add_predict(commands)
    _add_export(commands)
    _add_sweep(commands)
    _add_demo(commands)
    return parser.parse_args(arguments)


def _add_predict(commands) -> None:
    """Describe the command `predict`."""
    parser = commands.add_parser(
        "predict", help="draw the mask of each X-ray (not for clinical use)",
        description="Draw the mask of each X-ray: masks, overlays and a table of areas and doubts."
        " NOT FOR CLINICAL USE. Names that are burnt into pixels, and file names, reach overlays"
        " and table. What is done already is not done again: the same command goes on.",
        epilog="exit code 0: all was done; 1: a picture failed, or there was none; 2: refused; 130"
        " and 143: ended by Ctrl-C or SIGTERM",
    )
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE_OR_FOLDER", type=console.filled,
        help="PNG, JPEG, TIFF, BMP, WebP, GIF or DICOM, by content, each of 250 million pixels at"
        " most; a folder with all below; a name that begins with a dash as ./-NAME")
    add("--out", required=True, metavar="DIR", type=console.filled,
        help="where to write; nothing of yours is changed")
    add("--model", metavar="RUN_OR_FILE", type=console.filled,
        help="a finished run, a .keras file or one that `export` wrote; several, with commas"
        " between, are averaged (default: the model that was trained on phantoms)")
    add("--threshold", type=console.share, default=0.5, metavar="T",
        help="probability from which a pixel is foreground (default 0.5); of one class alone")
    add("--truth", metavar="MASKS", type=console.filled,
        help="folder of true masks: adds Dice and HD95")
    add("--mask-values", default="auto", metavar="VALUES",
        help="what is foreground in the true masks, such as 1,2 (default: what is plain; of a model"
        " of several classes their numbers)")
    add("--tiles", action="store_true",
        help="predict pictures above four times the model's side piece by piece; a model of whole"
        " chests is wrong on parts of one")
    add("--invert", choices=("no", "auto", "yes"), default="no",
        help="exchange black and white, not of DICOM; auto: where it looks inverted (default no)")
    add("--intensity", default="auto", metavar="LOW,HIGH",
        help="values of 16-bit pictures that become black and white (default: each picture's own"
        " percentiles)")
    add("--probabilities", action="store_true", help="also write 16-bit PNG; 65535 means certain")
    add("--labelme", action="store_true",
        help="also write outlines to correct with LabelMe; corrected ones are kept")
    add("--no-overlays", action="store_true", help="do not write pictures with outlines")
    add("--overwrite", action="store_true", help="predict anew what is done")


def _add_export(commands) -> None:
    """Describe the command `export`."""
    parser = commands.add_parser(
        "export", help="write a model for other runtimes, or to publish it",
        description="Write a model for other runtimes, after comparing each file with Keras on"
        " phantoms: DIR/lungs.onnx, lungs.xml (with .bin; also lungs_int8.xml, in 8 bits) and"
        " lungs.tflite. A JSON file beside each says what it takes and gives. `predict --model"
        " FILE` runs them without TensorFlow. To publish a model, with its card: --format"
        " bioimageio writes DIR/lungs.bioimageio.zip, --format huggingface the folder"
        " DIR/lungs-huggingface; nothing is uploaded. Needs packages, in the project's folder: pip"
        " install -e '.[ship]', for bioimageio '.[ship,publish]'",
        epilog="exit code 0: all was written; 1: a file was not, for it differs; 2: refused",
    )
    add = parser.add_argument
    add("--out", required=True, metavar="DIR", type=console.filled,
        help="where to write; other files there stay")
    add("--model", metavar="RUN_OR_FILE", type=console.filled,
        help="a .keras file, or a finished run (default: the model that was trained on phantoms)")
    add("--format", choices=("onnx", "openvino", "litert", "bioimageio", "huggingface"),
        help="write this one alone (default: the first three)")


def _add_sweep(commands) -> None:
    """Describe the command `sweep`."""
    parser = commands.add_parser(
        "sweep", help="many trainings from one file; what is done is not done again",
        description="Train and evaluate every point of a sweep file, and write"
        " runs/<stem of FILE>/results.csv. Stop it when you like; the same command goes on.",
        epilog="exit code 0: every point is done; 1: some are not; 2: refused; 130: Ctrl-C; 143:"
        " SIGTERM",
    )
    add = parser.add_argument
    add("file", metavar="FILE", type=console.filled,
        help="YAML with base, grid, points, seeds, folds")
    add("--cores", type=console.whole(1, 1024), metavar="N",
        help="of this machine (default all); on a cluster, a job")
    add("--profile", choices=("local", "slurm", "kubernetes"), default="local",
        help="where jobs run (default: this machine)")
    add("--retries", type=console.whole(0, 100), default=0, metavar="N",
        help="more tries for a point that failed")
    add("--dry-run", action="store_true", help="print points, hours and memory; run nothing")


def _add_demo(commands) -> None:
    """Describe the command `demo`."""
    parser = commands.add_parser(
        "demo", help="a page on this machine: drop an X-ray, see its mask (not for clinical use)",
        description="Serve a page on 127.0.0.1 alone: drop an X-ray, see mask, outline and doubt,"
        " and download the mask. It is the mask of `predict`. NOT FOR CLINICAL USE. Needs Gradio,"
        " in the project's folder: pip install -e '.[demo]'. Ctrl-C ends it",
    )
    add = parser.add_argument
    add("--model", metavar="RUN_OR_FILE", type=console.filled, help="as of predict")
    add("--port", type=console.whole(1, 65535), metavar="N",
        help="default: the first free one from 7860 on")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code: 0; 1 failed; 2 refused; above 128, a signal."""
    try:
        with console.patient(), console.signals():
            asked = parse(arguments)
            do = {"run": _run, "check": _check, "predict": _predict, "export": _export,
                  "sweep": _sweep, "demo": _demo}[asked.command]
            return do(asked)
    except KeyboardInterrupt as end:
        number = console.number_of(end)
        print(f"\nEnded by {number.name}." if end.args else "\nInterrupted.", file=sys.stderr)
        return 128 + number
    except ModuleNotFoundError as error:
        print(f"Refused: {bootstrap.lacks(error)}", file=sys.stderr)
        return 2
    except OSError as error:  # what is printed goes to a full disk, say
        print(f"Stopped: {error}", file=sys.stderr)
        return 1


def _check(asked: argparse.Namespace) -> int:
    os.environ["MPLBACKEND"] = "agg"  # the sheet is a file: no window, whatever the user has set
    from unet_lib.commands import check  # with all that reads pictures: --help answers without

    out = Path(asked.out) if asked.out else None
    try:
        given = [*console.once(asked.parameters).items()]
        values = check.convert(asked.source, given, out=out)
    except (OSError, ValueError) as error:
        print(f"Refused, nothing has run: {error}", file=sys.stderr)
        return 2
    return check.run(asked.source, values, out=out)


def _predict(asked: argparse.Namespace) -> int:
    from unet_lib.commands import job, predict  # with all that reads pictures

    names = ("threshold", "tiles", "invert", "intensity", "probabilities", "labelme", "overwrite")
    options = job.Options(**{n: getattr(asked, n) for n in names}, overlays=not asked.no_overlays)
    truth = {"true_masks": asked.truth and Path(asked.truth), "mask_values": asked.mask_values}
    return predict.run(asked.images, Path(asked.out), options=options, model=asked.model, **truth)


def _export(asked: argparse.Namespace) -> int:
    from unet_lib.commands import export, runtimes

    formats = (asked.format,) if asked.format else tuple(runtimes.FORMATS)
    return export.run(Path(asked.out), model=asked.model, formats=formats)


def _sweep(asked: argparse.Namespace) -> int:
    if not _in_checkout(asked.command):
        return 2
    os.environ["MPLBACKEND"] = "agg"  # figures are files: no window, whatever the user has set
    from unet_lib.series import drive

    try:
        if asked.dry_run:
            return drive.preview(asked.file, cores=asked.cores, profile=asked.profile)
        return drive.run(asked.file, cores=asked.cores, profile=asked.profile,
                         retries=asked.retries)
    except plan.Refused as error:
        print(f"Refused, nothing has run: {error}", file=sys.stderr)
        return 2


def _demo(asked: argparse.Namespace) -> int:
    from unet_lib.commands import demo

    return demo.run(asked.model, port=asked.port)


def _in_checkout(command: str) -> bool:
    """Say whether the notebooks are there; a refusal where they are not."""
    if not workspace.CHECKOUT:
        print(f"Refused, nothing has run: {bootstrap.no_notebooks(command)}", file=sys.stderr)
    return workspace.CHECKOUT


def _run(asked: argparse.Namespace) -> int:
    if not _in_checkout(asked.command):
        return 2
    try:
        runs = plan.plan(asked.params, console.once(asked.parameters), run_name=asked.run,
                         only=asked.only, every=asked.all)
    except ValueError as error:
        print(f"Refused, nothing has run: {error}", file=sys.stderr)
        return 2
    return execute.run_all(runs)


if __name__ == "__main__":
    sys.exit(main())
