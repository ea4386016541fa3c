"""predictions.csv: one row a picture, of this call and of earlier ones, and what columns mean."""

import csv
from pathlib import Path

from unet_lib import workspace

COLUMNS = (
    "file", "status", "width", "height", "area_px", "area_share", "parts", "confidence_inside",
    "confidence_rim", "doubt", "check", "reason", "seconds", "area_mm2", "lung_ratio", "view",
    "notes",
)
TRUTH = "dice", "hd95_px", "hd95_mm"
"""Columns that are added where pictures were scored against true masks."""

TABLE, ABOUT = "predictions.csv", "predictions_README.txt"

_ABOUT = """\
Masks that a model drew, by `python -m unet_lib predict`. NOT FOR CLINICAL USE.

Look at each mask before you use it. `check` in predictions.csv says where a look is due first; a
mask without that word may be wrong all the same. Names that are burnt into pixels, and the names
of files and folders, are in the overlays and the table: nothing is made anonymous here.

masks/          8-bit PNG, 0 and 255, on the pixel grid of each picture (turned upright where the
                file says so). Each carries, as a PNG text, what made it. A model of several
                classes writes their numbers instead, 1, 2 and so on in the order of the columns
                area_px:NAME: they look black, the overlays show them
overlays/       the picture as the model saw it, with the mask's outline, one colour a class
probabilities/  16-bit PNG; divided by 65535: the probability of foreground at each pixel; of
                several classes in folders 1, 2 and so on
labelme/        outlines that LabelMe opens for correction, and beside each its picture in 8 bits;
                an outline that was corrected is not drawn anew

Columns of predictions.csv
file                  path from the folder that was given
status                ok or failed; of a failed one `reason` says why, and whether a mask of what
                      the file held before is still there
width, height         of the picture in px
area_px, area_share   foreground: number of pixels, and share of the picture
parts                 connected parts, each with at least 1 % of the foreground
confidence_inside     mean probability inside the mask, 0 to 1
confidence_rim        how sure the model is along the outline, 0 to 1: mean of |2 p - 1| near it
doubt                 1 less the Dice that the probabilities let expect, 0 to 1
check, reason         yes where someone should look, and why
seconds               spent on this picture
area_mm2              foreground where the file knows the size of its pixels, else empty; of a
                      DICOM that is not calibrated the size at the detector, a little too large
lung_ratio            width between the lungs / inner width of the chest, else empty
view                  which window or look-up table a DICOM was shown with
notes                 what was noticed when the file was read
dice                  with --truth: overlap with the true mask, 0 to 1
hd95_px, hd95_mm      with --truth: 95th percentile of the distances between the outlines
area_px:NAME          of several classes: pixels of the one of this name
dice:NAME             of several classes: its dice; dice and hd95_* are then means over them
"""


def read(out: Path) -> dict[str, dict]:
    """Return the rows of an earlier call by their `file`; none where there is no table.

    Raises:
        FileExistsError: a table is there that `predict` did not write.
    """
    path = out / TABLE
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if tuple(rows.fieldnames or ())[:3] == COLUMNS[:3]:
                return {row["file"]: row for row in rows}
    except FileNotFoundError:
        return {}
    except (UnicodeDecodeError, csv.Error):
        pass
    raise FileExistsError(
        f"{workspace.shown(path)} is there and was not written by predict (expected columns"
        f" {', '.join(COLUMNS[:3])} ...); it is left alone: choose another --out, or move it"
    )


def write(out: Path, rows: dict[str, dict]) -> None:
    """Write the table whole, and beside it what it means."""
    columns = [*COLUMNS, *(TRUTH if any(row.get("dice") for row in rows.values()) else ())]
    columns += dict.fromkeys(name for row in rows.values() for name in row if name and ":" in name)
    with workspace.replacing_file(out / TABLE) as partial:
        # bytes of a name that are no text are written as \\x..
        with partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows.values())
    with workspace.replacing_file(out / ABOUT) as partial:
        partial.write_text(_ABOUT, "utf-8")
