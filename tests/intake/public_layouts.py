"""The documented layout of each public set of lung masks, in miniature and with phantoms in it.

Folder names, suffixes, formats and mask values are those that the sets' own pages, or public code
that reads them, tell (data/README.md links them); nothing here was compared with real files. Sizes
are true where they are small, else reduced in proportion. What no one documents, and a function
had to choose, its docstring says.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from unet_lib import phantom

COUNT = 4
"""Pictures in each folder of a layout."""

FEW = 2
"""The same where there are many folders."""


@cache
def drawn(seed: int, size: int | tuple[int, int] = 128) -> tuple[np.ndarray, np.ndarray]:
    """Return a phantom and its mask, both (H, W) uint8, the mask 0 and 255."""
    image, mask, _ = phantom.draw(seed, size=size)
    return image, mask


def sides(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the masks of the left and of the right lung; the right one is on the left."""
    columns = np.arange(mask.shape[1]) >= mask.shape[1] // 2
    return mask * columns, mask * ~columns


def save(path: Path, pixels: np.ndarray, *, mode: str = "L") -> None:
    """Write a picture in the format of the file's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)


def text(path: Path, content: str) -> None:
    """Write a text file, such as lies beside the pictures of many sets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")


def readings(folder: Path, name: str) -> None:
    """Write what a radiologist read, as both sets of the NLM hold it."""
    text(folder / "ClinicalReadings" / f"{name}.txt", "male 40yrs\nnormal\n")


# The sets


def original(root: Path) -> Path:
    """The original's set on Kaggle: a folder for each case; test cases without masks."""
    for number in range(1, COUNT + 1):
        name, (image, mask) = f"CHNCXR_{number:04d}_{number % 2}", drawn(number)
        save(root / f"train_images/{name}/images/{name}.png", image)
        save(root / f"train_images/{name}/masks/{name}.png", mask)
    save(root / "test_images/CHNCXR_0501_1/CHNCXR_0501_1.png", drawn(501)[0])
    return root


def shenzhen_masks(root: Path) -> Path:
    """`yoctoman/shcxr-lung-mask` as Kaggle gives it: masks alone."""
    for number in range(1, COUNT + 1):
        save(root / f"mask/mask/CHNCXR_{number:04d}_{number % 2}_mask.png", drawn(number)[1])
    return root


def shenzhen(root: Path) -> Path:
    """The NLM's pictures and those masks unpacked side by side; one picture has no mask."""
    shenzhen_masks(root / "shcxr-lung-mask")
    for number in range(1, COUNT + 2):
        name = f"CHNCXR_{number:04d}_{number % 2}"
        save(root / f"ChinaSet_AllFiles/CXR_png/{name}.png", drawn(number)[0])
        readings(root / "ChinaSet_AllFiles", name)
    return root


def montgomery(root: Path) -> Path:
    """Montgomery County: the two lungs in folders of their own, under the picture's name."""
    folder = root / "MontgomerySet"
    for number in range(1, COUNT + 1):
        name, (image, mask) = f"MCUCXR_{number:04d}_{number % 2}", drawn(number, (100, 122))
        save(folder / f"CXR_png/{name}.png", image)
        for side, pixels in zip(("leftMask", "rightMask"), sides(mask), strict=True):
            save(folder / f"ManualMask/{side}/{name}.png", pixels, mode="1")
        readings(folder, name)
    text(folder / "NLM-MontgomeryCXRSet-ReadMe.pdf", "%PDF-1.4\n")
    return root


def masks_and_labels(root: Path) -> Path:
    """`nikhilpandey360/chest-xray-masks-and-labels`: Shenzhen's masks have a suffix, others none.

    The folder `test` holds pictures without masks. That the values are 0 and 255 follows from code
    that compares with 255.
    """
    folder = root / "Lung Segmentation"
    for number in range(1, COUNT + 1):
        image, mask = drawn(number)
        for name, suffix in ((f"CHNCXR_{number:04d}_0", "_mask"), (f"MCUCXR_{number:04d}_0", "")):
            save(folder / f"CXR_png/{name}.png", image[:, ::-1] if suffix else image)
            save(folder / f"masks/{name}{suffix}.png", mask[:, ::-1] if suffix else mask)
            readings(folder, name)
    save(folder / "test/CHNCXR_0900_1.png", drawn(900)[0])
    return root


def covid_radiography(root: Path) -> Path:
    """COVID-19 Radiography Database: four classes; pictures 299 px, masks 256 px of 3 channels."""
    for place, kind in enumerate(("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")):
        folder = root / "COVID-19_Radiography_Dataset" / kind
        for number in range(1, FEW + 1):
            name, seed = f"{kind}-{number}", 10 * place + number
            image, mask = drawn(seed, 299)
            save(folder / f"images/{name}.png", image)
            save(folder / f"masks/{name}.png", resized(mask, 256), mode="RGB")
    return root


def resized(mask: np.ndarray, side: int) -> np.ndarray:
    """Return a mask at another size, by the nearest pixel."""
    return np.array(Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST))


def covid_qu_ex(root: Path) -> Path:
    """COVID-QU-Ex: two sets of three parts and three classes; masks in a folder `lung masks`.

    The pictures of the smaller set, for infections, are pictures of the larger one. How it names
    its files is told for one class only (`covid_1.png`).
    """
    for part_number, part in enumerate(("Train", "Val", "Test")):
        for place, kind in enumerate(("COVID-19", "Non-COVID", "Normal")):
            for number in range(1, FEW + 1):
                seed = 100 * part_number + 10 * place + number
                name = f"{kind.split('-')[0].lower()}_{seed}.png"
                image, mask = drawn(seed, 256)
                for task in ("Lung", "Infection"):
                    folder = root / f"{task} Segmentation Data/{task} Segmentation Data"
                    save(folder / part / kind / "images" / name, image)
                    save(folder / part / kind / "lung masks" / name, mask)
                if kind == "COVID-19":  # `folder` is that of the infections
                    save(folder / part / kind / "infection masks" / name, sides(mask)[0])
    return root


def v7(root: Path) -> Path:
    """V7's COVID-19 X-rays as a clone holds them: numbered masks of 0, 127 and 255, no pictures."""
    folder = root / "annotations/all-images-semantic-masks"
    for number in range(1, COUNT + 1):
        save(folder / f"{1676191 + number}.png", with_ignored(drawn(number)[1]))
    classes = "class_idx,class_name\n0,__background__\n127,Ignore\n255,Lung\n"
    text(folder / "class_mapping.csv", classes)
    return root


def v7_fetched(root: Path) -> Path:
    """The same with the pictures fetched; where they go and under which name is one's own choice.

    Here they lie in `images/` under the numbers of the masks, and these in `masks/`.
    """
    for number in range(1, COUNT + 1):
        image, mask = drawn(number)
        save(root / f"images/{1676191 + number}.jpeg", image)
        save(root / f"masks/{1676191 + number}.png", with_ignored(mask))
    return root


def with_ignored(mask: np.ndarray) -> np.ndarray:
    """Return V7's values: 255 lung, 127 on a pacemaker to ignore, 0 elsewhere."""
    mask = mask.copy()
    mask[40:52, 70:84] = 127
    return mask


def mendeley(root: Path) -> Path:
    """Danilov et al. on Mendeley Data: three origins, each with `img` and `mask`.

    That a mask has the name of its picture is assumed.
    """
    folder = root / "Chest X-ray dataset for lung segmentation"
    for place, origin in enumerate(("Darwin", "Montgomery", "Shenzhen")):
        for number in range(1, COUNT + 1):
            image, mask = drawn(10 * place + number)
            save(folder / origin / f"img/{origin}_{number}.png", image)
            save(folder / origin / f"mask/{origin}_{number}.png", mask)
    return root


def jsrt(root: Path) -> Path:
    """JSRT with the masks of SCR: raw pictures without a header, five masks each as GIF."""
    for number in range(1, COUNT + 1):
        name, (image, mask) = f"JPCLN{number:03d}", drawn(number)
        left, right = sides(mask)
        film = (4095 - image.astype(">u2") * 16).astype(">u2")  # 12 bits
        path = root / f"All247images/{name}.IMG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(film.tobytes())
        organs = {"left lung": left, "right lung": right, "heart": np.roll(left, -20, 1)}
        organs |= {f"{side} clavicle": np.roll(right, -40, 0) for side in ("left", "right")}
        for organ, pixels in organs.items():
            save(root / f"scratch/fold{2 - number % 2}/masks/{organ}/{name}.gif", pixels)
    return root


def lung_vae(root: Path) -> Path:
    """Pictures of `ieee8023/covid-chestxray-dataset` with the masks that lungVAE predicted."""
    for number in range(1, COUNT + 1):
        name, (image, mask) = f"1674{number}_7_1", drawn(number)
        save(root / f"images/{name}.{'png' if number % 2 else 'jpg'}", image)
        save(root / f"annotations/lungVAE-masks/{name}_mask.png", mask)
    text(root / "metadata.csv", "patientid,offset,finding,view,filename\n")
    return root


def chexmask(root: Path) -> Path:
    """CheXmask: a table for each origin with runs of pixels, no picture.

    The order of the pixels and the form of the runs (start and length, row by row, from 0) are
    assumed; so is the name of the column with the image's id.
    """
    columns = ["image_id", "Dice RCA (Max)", "Dice RCA (Mean)", "Landmarks", "Left Lung",
               "Right Lung", "Heart", "Height", "Width"]  # fmt: skip
    lines = [",".join(columns)]
    for number in range(1, COUNT + 1):
        mask = drawn(number)[1]
        left, right = (runs(side) for side in sides(mask))
        points = json.dumps([[1, 2], [3, 4]])
        lines.append(f'{number:032x},0.95,0.9,"{points}",{left},{right},,{mask.shape[0]},'
                     f"{mask.shape[1]}")  # fmt: skip
    text(root / "OriginalResolution/VinDr-CXR.csv", "\n".join(lines) + "\n")
    return root


def runs(mask: np.ndarray) -> str:
    """Return the runs of foreground as "start length start length"."""
    edges = np.flatnonzero(np.diff(np.r_[0, mask.ravel() > 0, 0].astype(int)))
    return " ".join(f"{start} {end - start}" for start, end in edges.reshape(-1, 2))


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "original": original,
    "shenzhen": shenzhen,
    "shenzhen_masks": shenzhen_masks,
    "montgomery": montgomery,
    "masks_and_labels": masks_and_labels,
    "covid_radiography": covid_radiography,
    "covid_qu_ex": covid_qu_ex,
    "mendeley": mendeley,
    "v7": v7,
    "v7_fetched": v7_fetched,
    "jsrt": jsrt,
    "lung_vae": lung_vae,
    "chexmask": chexmask,
}
"""Each writes its layout into a folder and returns the path to give as `source`."""
