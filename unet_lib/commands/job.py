"""One picture on its way through `predict`: read, judged, written; done if its mask says so."""

import errno
import hashlib
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from unet_lib.commands import doubt, labelme, models, outputs, pictures
from unet_lib.intake import dicom_view, intensity, reading
from unet_lib.intake.raster import NoPicture

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # the next picture would fail as well

BESIDE = {"overlays": "png", "probabilities": "png", "labelme": "json"}
"""What may stand beside the masks: folder and ending."""

KEPT = "its outlines in labelme/ were not drawn by predict, or were corrected: left as they are"
"""A note on a picture."""


@dataclass(frozen=True)
class Options:
    """How pictures are predicted, and what is written beside the masks.

    Attributes:
        threshold: probability from which a pixel is foreground, between 0 and 1.
        tiles: predict large pictures piece by piece, at their own size.
        invert: whether black and white change places: "no", "yes" (but of DICOM, whose tags say
            what is black) or "auto" (where a picture looks inverted beside those of the training).
        intensity: what becomes black and white in 16-bit pictures: "auto" (each picture's own
            percentiles) or a range such as "0,4095".
        probabilities, labelme, overlays: whether these are written.
        overwrite: predict anew what is done, and over the mask of another picture.
    """

    threshold: float = 0.5
    tiles: bool = False
    invert: str = "no"
    intensity: str = "auto"
    probabilities: bool = False
    labelme: bool = False
    overlays: bool = True
    overwrite: bool = False

    def decide(self) -> list:
        """Return what a mask depends on."""
        invert = "yes, but DICOM" if self.invert == "yes" else self.invert
        return [self.threshold, self.tiles, invert, self.intensity]

    def companions(self, name: str, classes: int = 0) -> dict[str, str]:
        """Return which files are written beside the mask of a picture, by their kind.

        Several classes have a file of probabilities each, of the kind "probabilities/1" and so on.
        LabelMe's outlines have their "picture" beside them.
        """
        wanted = {kind: end for kind, end in BESIDE.items() if getattr(self, kind)}
        if classes and wanted.pop("probabilities", None):
            wanted |= {f"probabilities/{n}": "png" for n in range(1, classes + 1)}
        files = {kind: f"{kind}/{name}.{end}" for kind, end in wanted.items()}
        return files | ({"picture": f"labelme/{name}.png"} if self.labelme else {})


@dataclass
class Job:
    """A picture, what was read of it and what came of it.

    Attributes:
        picture: which one.
        row: of the table: what is known so far.
        image: (H, W) uint8, upright and with square pixels; None when there is nothing (more) to
            predict.
        shape: height and width of the file's own pixels, upright.
        spacing: height and width of one of them in mm, or None.
        record: what its mask will carry.
        skipped: whether it is no picture at all.
        known: whether an earlier call has written its mask.
        odd: what the tags of a DICOM say against it, or "".
        seconds: spent on it so far.
    """

    picture: pictures.Picture
    row: dict = field(default_factory=dict)
    image: np.ndarray | None = None
    shape: tuple[int, int] = (0, 0)
    spacing: tuple[float, float] | None = None
    record: dict = field(default_factory=dict)
    skipped: bool = False
    known: bool = False
    odd: str = ""
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        return self.row.get("status") == "failed"

    def fail(self, error: BaseException) -> "Job":
        """Record that it failed, and why."""
        told = str(error) or type(error).__name__
        self.image, self.row = None, {"file": self.picture.file, "status": "failed", "reason": told}
        return self


def mask_file(out: Path, picture: pictures.Picture) -> Path:
    """Return where the mask of a picture is written."""
    return out / "masks" / f"{picture.name}.png"


def origin(path: Path) -> str:
    """Return what tells in a mask's record where its picture lay, without its name."""
    return hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()


def read(
    picture: pictures.Picture, out: Path, together: models.Together, options: Options, *,
    known: bool = False,
) -> Job:
    """Read a picture, or find that its mask is there already: by the same content and options.

    Args:
        picture: which.
        out: folder to write into.
        together: the model, or several.
        options: how it is predicted.
        known: whether an earlier call has written a mask for it: then a file that holds no record
            is that mask, damaged, and not the user's own.

    Returns:
        A job with an image to predict, or without where it is done, has failed or is no picture.
    """
    start, job = time.perf_counter(), Job(picture, known=known)
    try:
        data = _load(picture.path)
        job.record = _identify(picture, data, together, options)
        if row := _done(job, out, options, len(together.classes)):
            job.row = row
        else:
            _open(job, data, together, options)
    except NoPicture:
        job.skipped = True
    except (OSError, ValueError, MemoryError) as error:
        job.fail(error)
    job.seconds = time.perf_counter() - start
    return job


def _load(path: Path) -> bytes:
    """Return the content of a file; a pipe would be waited for without end."""
    if not path.exists():
        raise FileNotFoundError("a link to nothing; copy the file it should lead to"
                                if path.is_symlink() else "it has gone since this call began")
    if path.is_dir():
        os.listdir(path)  # a folder is here because it could not be looked into: this says why
    if not path.is_file():
        raise NoPicture("no regular file")
    return path.read_bytes()


def _identify(picture, data: bytes, together: models.Together, options: Options) -> dict:
    """Return what tells whether a mask is that of this picture, model and options."""
    content = hashlib.sha256(data).hexdigest()
    decided = json.dumps([content, together.digest, options.decide()])
    return {
        "input": content,
        "from": origin(picture.path),
        "key": hashlib.sha256(decided.encode()).hexdigest(),
    }


def _done(job: Job, out: Path, options: Options, classes: int) -> dict | None:
    """Return the row of a mask that is whole and up to date with all its companions, else None.

    Raises:
        FileExistsError: there is the mask of another picture, or a file that is none of ours.
    """
    mask = mask_file(out, job.picture)
    outputs.refuse_foreign(mask, known=job.known)
    if options.overwrite:
        return None
    had = outputs.read_record(mask, whole=True)
    if not had:
        return None
    if had["input"] != job.record["input"] and had["from"] != job.record["from"]:
        raise FileExistsError(
            f"{mask} is the mask of another picture of this name; choose another --out, or"
            " --overwrite it"
        )
    wanted = options.companions(job.picture.name, classes)
    whole = all(outputs.digest(out / file) == had["beside"].get(file)
                or (kind == "labelme" and not labelme.is_ours(out / file))  # somebody's work
                for kind, file in wanted.items())
    job.spacing, row = had["spacing"], {**had["row"], "file": job.picture.file}
    notes = row.get("notes", "")
    if "labelme" in wanted and not labelme.is_ours(out / wanted["labelme"]) and KEPT not in notes:
        row["notes"] = f"{notes}; {KEPT}".lstrip("; ")
    return row if whole and had["key"] == job.record["key"] else None


def _open(job: Job, data: bytes, together: models.Together, options: Options) -> None:
    """Decode a picture for the model; its brightness depends on no other picture."""
    grey, raster = reading.decode_image(data)
    depth, fixed = intensity.measure(grey), intensity.parse(options.intensity)
    reach = fixed or (depth.low, depth.high) if depth else None
    image = reading.finish_image(grey, reach=reach)
    odd = options.invert == "auto" and doubt.looks_inverted(image, together.limits)
    asked = options.invert == "yes" and not raster.settled  # a DICOM's tags have turned it
    job.image = 255 - image if odd or asked else image
    lungs = together.limits.chests or together.limits.shape is None  # or not known
    if lungs and dicom_view.FAULT in raster.notes:
        job.odd = dicom_view.FAULT + raster.notes.pop(dicom_view.FAULT)
    job.shape, job.spacing = raster.pixels.shape[:2], raster.spacing
    notes = "; ".join([*map("".join, raster.notes.items()), *["turned from inverted"] * odd])
    job.row = {"file": job.picture.file, "view": raster.view, "notes": notes}


def finish(
    job: Job, probability: np.ndarray | None, out: Path, together: models.Together,
    options: Options,
) -> Job:
    """Judge what was predicted for a picture and write it, the mask last.

    Raises:
        OSError: nothing more can be written there: no room, or a disk that only reads.
    """
    if job.image is None or probability is None:
        return job
    start = time.perf_counter()
    try:
        probability, image = (_on_file_grid(p, job.shape) for p in (probability, job.image))
        mask = models.threshold(together, probability, options.threshold)
        job.row |= _judge(job, image, probability, mask, together)
        beside = _write_beside(job, image, probability, mask, out, options, together.classes)
        job.row["seconds"] = f"{job.seconds + time.perf_counter() - start:.3f}"
        record = {**job.record, "beside": beside, "row": job.row, "spacing": job.spacing}
        written = mask if together.classes else np.uint8(255) * mask
        outputs.write(mask_file(out, job.picture), written, record, known=job.known)
    except (OSError, ValueError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise
        job.fail(error)
    job.image = None
    return job


def _on_file_grid(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bring a picture with square pixels back to the pixels of its file."""
    if pixels.shape[:2] == shape:
        return pixels
    return cv2.resize(pixels, shape[::-1], interpolation=cv2.INTER_LINEAR)


def _judge(job: Job, image, probability, mask, together: models.Together) -> dict:
    """Return the columns of the table that say how large and how sure a mask is."""
    if together.classes:  # how sure it is of one class, whichever it is
        probability = probability[..., 1:].max(axis=2)
    said = doubt.judge(image, probability, mask > 0, limits=together.limits)
    reasons = [job.odd] * bool(job.odd) + [*said.reasons]
    area = int(np.count_nonzero(mask))
    row = {
        "status": "ok", "width": job.shape[1], "height": job.shape[0], "area_px": area,
        "parts": said.parts, "check": "yes" if reasons else "no",
        "reason": "; ".join(reasons),
    }
    for name in ("area_share", "confidence_inside", "confidence_rim", "doubt"):
        row[name] = f"{getattr(said, name):.4f}"
    row["lung_ratio"] = "" if said.ratio is None else f"{said.ratio:.3f}"
    row["area_mm2"] = f"{area * job.spacing[0] * job.spacing[1]:.1f}" if job.spacing else ""
    for number, name in enumerate(together.classes, 1):
        row[f"area_px:{name}"] = int(np.count_nonzero(mask == number))
    return row


def _write_beside(
    job: Job, image, probability, mask, out: Path, options: Options, classes: tuple[str, ...]
) -> dict:
    """Write what stands beside the mask; return the SHA-256 of each file by its name."""
    name, written = job.picture.name, {}
    numbers = range(1, 1 + max(1, len(classes)))

    def make(kind: str) -> np.ndarray:
        if kind == "picture":
            return image
        if kind == "overlays":
            return outputs.overlay(image, [mask == number for number in numbers])
        number = kind.partition("/")[2]
        return outputs.probability_levels(probability[..., int(number)] if number else probability)

    files = options.companions(name, len(classes))
    for kind in files.keys() - {"labelme"}:
        path, pixels = out / files[kind], make(kind)
        written[files[kind]] = outputs.write(path, pixels, {"of": name}, known=job.known)
    if "labelme" in files:
        outline = out / files["labelme"]
        if labelme.is_ours(outline):
            shown = Path(files["picture"]).name
            labelme.write(outline, mask, picture=shown, labels=classes or ("lung",))
        else:
            job.row["notes"] = f"{job.row['notes']}; {KEPT}".lstrip("; ")
        written[files["labelme"]] = outputs.digest(outline)
    return written
