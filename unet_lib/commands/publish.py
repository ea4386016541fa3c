"""What is handed on: a bioimage.io package, or a folder for the Hugging Face Hub.

Both hold the model as Keras and as ONNX file and its card. Nothing is uploaded: that is the user's.
"""

import json
import re
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np

from unet_lib import bootstrap, phantom, pixels, prediction, workspace
from unet_lib.commands import card, convert, models, outputs, parity, runtimes

_PAPER = ("Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image"
          " Segmentation, MICCAI 2015")
_DOI = "10.1007/978-3-319-24574-4_28"
_AUTHORS = "The U-Net Lowered authors"
_OPEN = {
    "keras": ("keras", 'unet = keras.models.load_model("{name}.keras")',
              "unet.predict_on_batch(given)"),
    "onnx": ("onnxruntime", 'unet = onnxruntime.InferenceSession("{name}.onnx")',
             'unet.run(None, {"image": given})[0]'),
}
_LOAD = """## How to load it

```python
import cv2
import {module}
import numpy as np

{opened}
picture = cv2.imread("xray.png", cv2.IMREAD_GRAYSCALE)
how = cv2.INTER_AREA if {side} <= min(picture.shape) else cv2.INTER_LINEAR
given = cv2.resize(picture, ({side}, {side}), interpolation=how)[None, ..., None] / np.float32(255)
said = cv2.resize({asked}[0], picture.shape[::-1], interpolation=cv2.INTER_LINEAR)
cv2.imwrite("mask.png", {mask})
```

Each side of the picture is scaled by itself, nothing is cut off or padded, and the probabilities
are scaled back before the threshold. Larger pictures must not be fed piece by piece.

## Validation on pictures of your own

With the project, and true masks in a folder:

    python -m unet_lib predict PICTURES --model {name}.onnx --out masks --truth TRUE_MASKS
"""

_ORIGIN = """
## Where it came from

`unet-lowered export --format huggingface` wrote this folder, and

    hf upload OWNER/{name} {folder} .

publishes it.
"""


def place(kind: str, out: Path, name: str) -> Path:
    """Return where a model is written to be handed on.

    Raises:
        ValueError: something else is there.
    """
    target = out / (f"{name}.bioimageio.zip" if kind == "bioimageio" else f"{name}-huggingface")
    if target.exists() and target.is_dir() != (kind == "huggingface"):
        wanted = "a folder" if kind == "huggingface" else "a file"
        raise ValueError(f"{str(target)!r} must be {wanted}, new or not; move it away")
    return target


def write(
    kind: str, target: Path, onnx: Path, together: models.Together, reference: parity.Reference
) -> str:
    """Write a model to be handed on.

    Args:
        kind: "bioimageio" or "huggingface".
        target: from `place`.
        onnx: its ONNX file, which was compared with Keras, in a folder that may be written into.
        together: the model itself.
        reference: phantoms, and what it says of them.

    Returns:
        What there is now, and what the user does to publish it.

    Raises:
        ValueError: the Keras file that would be handed on differs; bioimage.io's own test fails.
    """
    name, source = onnx.stem, together.paths[0]
    known = card.of(source, together.models[0], together.classes, name=name)
    _plain(source, onnx.with_suffix(".keras"), reference)
    if kind == "huggingface":
        _folder(target, onnx, together, known)
        following = f"hf upload OWNER/{name} {target} ."
    else:
        _package(target, onnx, together, known, reference)
        following = "upload it at https://bioimage.io"
    before = "" if known.licence else " First find out whether the pictures that it was trained on"\
        " allow that, and complete the card."
    return f"{target.name} is written.{before} To publish it: {following}"


def _plain(source: Path, target: Path, reference: parity.Reference) -> None:
    """Write a Keras model without its optimizer and loss, which are of use to its training alone.

    A file that holds none is copied: older versions of Keras may open it, but not what this one
    writes.
    """
    with zipfile.ZipFile(source) as archive:
        compiled = json.loads(archive.read("config.json")).get("compile_config")
    if compiled:
        reference.unet.save(target)
        reference.compare(prediction.load(target)).require(parity.FLOAT)
    else:
        shutil.copyfile(source, target)


def _documentation(known: card.Card, kind: str, name: str, unet) -> str:
    """Return the card with how to load the model, as Keras or as ONNX file."""
    module, opened, asked = _OPEN[kind]
    mask = ("255 * np.uint8(said >= 0.5)" if unet.output_shape[3] == 1
            else "np.uint8(said.argmax(axis=2))")
    return known.text.rstrip() + "\n\n" + _LOAD.format(
        module=module, opened=opened.format(name=name), asked=asked, mask=mask, name=name,
        side=unet.input_shape[1],
    )


# ------------------------------------------------------------------------- Hugging Face


def _folder(target: Path, onnx: Path, together: models.Together, known: card.Card) -> None:
    """Write files into a folder, each whole; others that are there stay."""
    name = onnx.stem
    text = _front(known, name, together)
    text += _documentation(known, "keras", name, together.models[0])
    text += _ORIGIN.format(name=name, folder=target.name)
    (onnx.parent / "README.md").write_text(text, "utf-8")
    limits = together.paths[0].with_suffix(".json")
    if limits.is_file():
        shutil.copyfile(limits, onnx.with_suffix(".json"))
    with workspace.alone(target):
        for file in sorted(onnx.parent.iterdir()):
            with workspace.replacing_file(target / file.name) as partial:
                shutil.copyfile(file, partial)


def _front(known: card.Card, name: str, together: models.Together) -> str:
    """Return what the Hub reads of a card: YAML between two lines of three dashes."""
    import yaml

    results = [
        {"task": {"type": "image-segmentation"},
         "dataset": {"name": f"{s.dataset}: {s.pictures}, {s.number} pictures",
                     "type": re.sub(r"\W+", "-", s.dataset.partition(",")[0].lower()).strip("-")},
         "metrics": [{"type": "dice", "name": "mean Dice", "value": round(s.dice, 3)}]}
        for s in known.scores
    ]
    told = {
        "license": (known.licence or "unknown").lower(), "library_name": "keras",
        "pipeline_tag": "image-segmentation", "tags": ["unet", "onnx", *_tags(together)],
        **({"model-index": [{"name": name, "results": results}]} if results else {}),
    }
    return f"---\n{yaml.safe_dump(told, sort_keys=False, allow_unicode=True)}---\n\n"


def _tags(together: models.Together) -> list[str]:
    chests = ["chest-x-ray", "lungs"] if together.limits.chests else []
    return ["semantic-segmentation", *chests]


# ------------------------------------------------------------------------- bioimage.io


def _package(
    target: Path, onnx: Path, together: models.Together, known: card.Card, reference
) -> None:
    """Write a package, if bioimage.io's own test gets its test output from its test input."""
    folder, unet = onnx.parent, together.models[0]
    text = _documentation(known, "onnx", onnx.stem, unet)
    (folder / "README.md").write_text(text, "utf-8")
    small = pixels.resize_image(reference.images[0], unet.input_shape[1])
    np.save(folder / "test_input.npy", small[np.newaxis, ..., np.newaxis])
    np.save(folder / "test_output.npy", reference.said[0][np.newaxis])
    _draw_cover(folder / "cover.png", together)
    with convert.silence():
        from bioimageio.core import test_description
        from bioimageio.spec import save_bioimageio_package

        made = folder / target.name
        save_bioimageio_package(_describe(onnx, together, known), output_path=made)
        found = test_description(made, weight_format="onnx")
    if found.status != "passed":
        errors = [f"{error.loc}: {error.msg}" for each in found.details for error in each.errors]
        raise ValueError(f"bioimage.io's own test fails: {'; '.join(errors)}")
    with workspace.replacing_file(target) as partial:
        shutil.copyfile(made, partial)


def _draw_cover(path: Path, together: models.Together) -> None:
    """Draw a phantom, and beside it with what the model outlines on it: twice as wide as high."""
    image, _, _ = phantom.draw([12, 1], size=256)
    mask = prediction.to_mask(prediction.predict(together.models[0], image))
    masks = [mask == number for number in range(1, max(1, len(together.classes)) + 1)]
    pair = [cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), outputs.overlay(image, masks)]
    cv2.imwrite(str(path), np.hstack(pair)[..., ::-1])


def _describe(onnx: Path, together: models.Together, known: card.Card):
    """Return the model in the words of bioimage.io's specification."""
    from bioimageio.spec.model import v0_5 as spec

    def file(name: str) -> spec.FileDescr:
        return spec.FileDescr(source=onnx.parent / name)

    what = "the lungs on frontal chest X-rays" if together.limits.chests else onnx.stem
    given, said = _tensors(together, file)
    return spec.ModelDescr(
        name=re.sub(r"[^\w+ ()-]", "_", f"U-Net {onnx.stem}", flags=re.ASCII)[:128],
        description=f"A small U-Net that segments {what}. Not for clinical use.",
        authors=[spec.Author(name=_AUTHORS)] if known.ours else [],
        license=known.licence, cite=[spec.CiteEntry(text=_PAPER, doi=_DOI)],
        tags=["unet", "2d", "tensorflow", *_tags(together)],
        documentation=file("README.md"), covers=[file("cover.png")],
        attachments=[file(runtimes.beside(onnx).name)],
        inputs=[given], outputs=[said], weights=_weights(onnx),
        config=spec.Config(bioimageio=spec.BioimageioConfig(
            architecture_type="U-Net", out_of_scope_use="clinical use",
            model_parameter_count=together.models[0].count_params(),
            reproducibility_tolerance=[spec.ReproducibilityTolerance(
                absolute_tolerance=min(1e-4, float(np.load(onnx.parent / "test_output.npy").max())
                                       / 100))],
        )),
    )


def _tensors(together: models.Together, file) -> tuple:
    """Return what goes in, 8-bit values that are divided by 255, and the probabilities."""
    from bioimageio.spec.model import v0_5 as spec

    side, float32 = together.models[0].input_shape[1], spec.EnsureDtypeKwargs(dtype="float32")
    foreground = "lung" if together.limits.chests else "foreground"
    channels = ["background", *together.classes] if together.classes else [foreground]
    scale = spec.ScaleLinearKwargs(gain=1 / 255, offset=0)
    given = spec.InputTensorDescr(
        id=spec.TensorId("image"), test_tensor=file("test_input.npy"),
        description=f"Grey picture, 0 black, 255 white, each side scaled to {side} px",
        axes=[spec.BatchAxis(), *(spec.SpaceInputAxis(id=spec.AxisId(a), size=side) for a in "yx"),
              spec.ChannelAxis(channel_names=["grey"])],
        data=spec.IntervalOrRatioDataDescr(type="uint8", range=(0, 255)),
        preprocessing=[spec.EnsureDtypeDescr(kwargs=float32), spec.ScaleLinearDescr(kwargs=scale),
                       spec.EnsureDtypeDescr(kwargs=float32)],  # else it becomes uint8 again
    )
    said = spec.OutputTensorDescr(
        id=spec.TensorId("probability"), test_tensor=file("test_output.npy"),
        description="Probability. Mask: at the picture's size, where it reaches 0.5; of several"
                    " classes the most probable one",
        axes=[spec.BatchAxis(), *(spec.SpaceOutputAxis(id=spec.AxisId(a), size=side) for a in "yx"),
              spec.ChannelAxis(channel_names=channels)],
        data=spec.IntervalOrRatioDataDescr(type="float32", range=(0, 1)),
    )
    return given, said


def _weights(onnx: Path):
    """Return the two files: Keras' is where the other comes from."""
    from bioimageio.spec.model import v0_5 as spec
    from onnx import load

    kept = onnx.with_suffix(".keras")
    with zipfile.ZipFile(kept) as archive:
        version = json.loads(archive.read("metadata.json"))["keras_version"]
    tensorflow = spec.Version(bootstrap.installed_version("tensorflow"))
    opset = next(each.version for each in load(onnx).opset_import if each.domain in ("", "ai.onnx"))
    return spec.WeightsDescr(
        keras_v3=spec.KerasV3WeightsDescr(
            source=kept, keras_version=spec.Version(version), backend=("tensorflow", tensorflow)),
        onnx=spec.OnnxWeightsDescr(source=onnx, opset_version=opset, parent="keras_v3"),
    )
