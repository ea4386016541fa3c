"""`demo`: a page on this machine; a picture goes in, mask and doubt come out, as of `predict`."""

import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

from unet_lib.commands import job, models, pictures

_ONE_AT_A_TIME = threading.Lock()  # a model keeps its inputs while it computes
_TABLE = (("area_share", "share of the picture"), ("area_mm2", "area in mm²"),
          ("parts", "connected parts"), ("doubt", "doubt, 0 to 1"))  # fmt: skip
_HOURS = 3600


def run(model: str | None = None, *, port: int | None = None) -> int:
    """Open the page and serve it until Ctrl-C.

    Args:
        model: as `models.load` takes it.
        port: of 127.0.0.1; None for the first free one from 7860 on.

    Returns:
        0 when it was stopped; 2: it was not begun.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # nothing leaves this machine
    try:
        import gradio
    except ImportError as error:
        print(f"Refused: the demo needs Gradio ({error}): pip install -e '.[demo]'",
              file=sys.stderr)
        return 2
    try:
        together = models.load(model)
    except (OSError, ValueError) as error:
        print(f"Refused: {error}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder goes then too
    with tempfile.TemporaryDirectory(prefix="unet-demo-") as folder:
        page = build(gradio, together, Path(folder))
        try:
            _, address, _ = page.launch(
                server_name="127.0.0.1", server_port=port, share=False, quiet=True,
                prevent_thread_lock=True, allowed_paths=[folder], footer_links=[],
                theme=_theme(gradio),
            )  # fmt: skip
        except OSError as error:
            print(f"Refused: {error}", file=sys.stderr)
            return 2
        print(f"{address} on this machine alone; Ctrl-C ends it", flush=True)
        page.block_thread()
    return 0


def _theme(gradio):
    """Return a theme with fonts that are here: Gradio's own would come from Google."""
    return gradio.themes.Default(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )


def build(gradio, together: models.Together, folder: Path):
    """Return the page.

    Args:
        gradio: the module.
        together: the model, or several.
        folder: where what was made lies until it is fetched; one folder within it a picture.

    Returns:
        gradio.Blocks, not yet launched.
    """

    def show(path: str | None, invert: str):
        if path is None:
            return None, None, "", None
        try:
            row, mask, overlay = answer(Path(path), together, folder, invert=invert)
        except ValueError as error:
            return None, None, f"**No mask:** {error}", None
        return str(overlay), str(mask), describe(row), str(mask)

    with gradio.Blocks(title="U-Net Lowered", delete_cache=(_HOURS, _HOURS)) as page:
        gradio.Markdown(
            "# Lungs on a chest X-ray\n"
            "**Not for clinical use.** Drop a frontal chest X-ray: PNG, JPEG, TIFF, BMP, WebP, GIF"
            " or DICOM. It stays on this machine."
        )
        with gradio.Row():
            with gradio.Column():
                given = gradio.File(label="X-ray", type="filepath", elem_id="given")
                invert = gradio.Radio(
                    ["no", "auto", "yes"], value="no", label="Exchange black and white",
                    info="auto: where the picture looks inverted",
                )  # fmt: skip
                told = gradio.Markdown(elem_id="told")
                fetch = gradio.DownloadButton("Mask as PNG", elem_id="fetch")
            overlay = gradio.Image(label="Outline", elem_id="overlay", buttons=["fullscreen"])
            mask = gradio.Image(label="Mask", elem_id="mask", buttons=["fullscreen"])
        for changed in (given.change, invert.change):
            changed(show, [given, invert], [overlay, mask, told, fetch], show_progress="minimal")
    return page


def answer(
    path: Path, together: models.Together, folder: Path, *, invert: str = "no"
) -> tuple[dict, Path, Path]:
    """Do what `predict` does with one picture; the mask is the same to the bit.

    Args:
        path: the picture, in any format that is read.
        together: from `models.load`.
        folder: a folder within it gets mask and overlay.
        invert: whether black and white change places: "no", "auto" or "yes".

    Returns:
        row: the picture's line of predictions.csv. mask, overlay: PNG files.

    Raises:
        ValueError: it is no picture, cannot be read, or could not be predicted.
    """
    out, options = Path(tempfile.mkdtemp(dir=folder)), job.Options(invert=invert)
    picture = pictures.find([path], made=lambda _: False)[0]
    work = job.read(picture, out, together, options)
    if work.skipped:
        raise ValueError("this is no picture; PNG, JPEG, TIFF, BMP, WebP, GIF and DICOM are read")
    if work.image is not None:
        try:
            with _ONE_AT_A_TIME:
                probability = models.predict(together, work.image)
            work = job.finish(work, probability, out, together, options)
        except MemoryError as error:
            work.fail(error)
    if work.failed:
        raise ValueError(work.row["reason"])
    overlay = out / options.companions(picture.name, len(together.classes))["overlays"]
    return work.row, job.mask_file(out, picture), overlay


def describe(row: dict) -> str:
    """Return what a row says, in Markdown: first whether the mask is to be looked at."""
    doubtful = row["check"] == "yes"
    lines = [f"**Look at this mask: {row['reason']}.**" if doubtful else "Nothing unusual.", ""]
    lines += ["| of the mask | |", "|---|---|"]
    lines += [f"| {name} | {row[key]} |" for key, name in _TABLE if row.get(key) not in (None, "")]
    return "\n".join([*lines, "", *filter(None, [row["notes"]])])
