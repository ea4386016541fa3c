"""The miniatures of public sets hold what data/README.md tells of them."""

import re

import cv2
import numpy as np
import pytest
from PIL import Image
from public_layouts import COUNT, FEW, LAYOUTS, drawn, runs

from unet_lib import parameters, workspace
from unet_lib.intake import prepare

FILES = {  # suffix: number; the values of the first mask
    "original": ({".png": 2 * COUNT + 1}, "train_images/*/masks/*", [0, 255]),
    "shenzhen": ({".png": 2 * COUNT + 1, ".txt": COUNT + 1}, "**/*_mask.png", [0, 255]),
    "shenzhen_masks": ({".png": COUNT}, "mask/mask/*_mask.png", [0, 255]),
    "montgomery": ({".png": 3 * COUNT, ".txt": COUNT, ".pdf": 1}, "**/leftMask/*", [0, 255]),
    "masks_and_labels": ({".png": 4 * COUNT + 1, ".txt": 2 * COUNT}, "*/masks/*", [0, 255]),
    "covid_radiography": ({".png": 8 * FEW}, "*/*/masks/*", [0, 255]),
    "covid_qu_ex": ({".png": (9 * 4 + 3) * FEW}, "**/lung masks/*", [0, 255]),
    "mendeley": ({".png": 6 * COUNT}, "*/*/mask/*", [0, 255]),
    "v7": ({".png": COUNT, ".csv": 1}, "annotations/*/*.png", [0, 127, 255]),
    "v7_fetched": ({".png": COUNT, ".jpeg": COUNT}, "masks/*", [0, 127, 255]),
    "jsrt": ({".IMG": COUNT, ".gif": 5 * COUNT}, "**/left lung/*", [0, 255]),
    "lung_vae": ({".png": COUNT + COUNT // 2, ".jpg": COUNT // 2, ".csv": 1},
                 "annotations/*/*_mask.png", [0, 255]),
    "chexmask": ({".csv": 1}, "", []),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_miniature_holds_the_files_of_its_set(name, tmp_path):
    counts, place, values = FILES[name]
    root = LAYOUTS[name](tmp_path / name)
    files = [path for path in root.rglob("*") if path.is_file()]
    assert {s: sum(p.suffix == s for p in files) for s in {p.suffix for p in files}} == counts
    if place:
        with Image.open(sorted(root.glob(place))[0]) as picture:
            mask = np.asarray(picture.convert("L"))
        assert np.unique(mask).tolist() == values and mask.any()


TOLD = {  # what the data card says of each: where it is, and its layout
    "original": ("azkihimmawan/chest-xray-masks-and-defect-detection", "`train_images/<id>/"),
    "shenzhen": ("Shenzhen-Hospital-CXR-Set", "`CXR_png/<id>.png`"),
    "shenzhen_masks": ("kaggle:yoctoman/shcxr-lung-mask/versions/1", "`<id>_mask.png`"),
    "montgomery": ("Montgomery-County-CXR-Set", "`ManualMask/{leftMask,rightMask}/<id>.png`"),
    "masks_and_labels": ("kaggle:nikhilpandey360/chest-xray-masks-and-labels/versions/1",
                         "`Lung Segmentation/{CXR_png,masks,test}/`"),
    "covid_radiography": ("kaggle:tawsifurrahman/covid19-radiography-database/versions/5",
                          "<class>/{images,masks}/<class>-<n>.png`"),
    "covid_qu_ex": ("kaggle:anasmohammedtahir/covidqu/versions/7", "{images,lung masks}/`"),
    "mendeley": ("data.mendeley.com/datasets/8gf9vpkhgy/2", "{img,mask}/`"),
    "v7": ("github.com/v7labs/covid-19-xray-dataset", "all-images-semantic-masks/<n>.png`"),
    "v7_fetched": ("github.com/v7labs/covid-19-xray-dataset", 'mask_values: "255"'),
    "jsrt": ("isi.uu.nl/Research/Databases/SCR", "`All247images/<id>.IMG`"),
    "lung_vae": ("ieee8023/covid-chestxray-dataset", "`annotations/lungVAE-masks/<name>_mask.png`"),
    "chexmask": ("physionet.org/content/chexmask", "`OriginalResolution/VinDr-CXR.csv`"),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_row_of_the_data_card_tells_of_it(name):
    card = (workspace.PROJECT / "data" / "README.md").read_text("utf-8")
    rows = [line for line in card.splitlines() if line.startswith("| **")]
    assert sum(all(words in row for words in TOLD[name]) for row in rows) == 1


def test_sources_in_the_data_card_are_accepted():
    card = (workspace.PROJECT / "data" / "README.md").read_text("utf-8")
    sources = re.findall(r"`(kaggle(?::[^`]+)?)`", card)
    assert len(sources) > 6
    for source in sources:
        parameters.check(source=source.replace("/N", "/1"))


def test_sizes_of_the_radiography_database(tmp_path):
    root = LAYOUTS["covid_radiography"](tmp_path)
    for folder, side in (("images", 299), ("masks", 256)):
        for path in root.rglob(f"{folder}/*.png"):
            with Image.open(path) as picture:
                assert picture.size == (side, side)


def test_runs_are_those_of_the_mask():
    mask = drawn(1)[1] > 0
    back = np.zeros(mask.size, bool)
    for start, length in np.reshape(runs(mask).split(), (-1, 2)).astype(int):
        back[start : start + length] = True
    assert np.array_equal(back.reshape(mask.shape), mask)


def test_the_original_set_is_read(tmp_path, target):
    manifest = prepare.restructure(LAYOUTS["original"](tmp_path / "original"), target)
    assert manifest["layout"] == "primary" and len(manifest["test"]) == 1
    assert not [f["fault"] for f in manifest["findings"] if f["count"]]


VERDICTS = {  # the last column of the data card: pairs, or a part of the refusal; what is noted
    "original": (COUNT, set()),
    "shenzhen": (COUNT, {"image without mask", "folder ignored"}),
    "shenzhen_masks": ("holds masks, but no folder's name tells of images", set()),
    "montgomery": (COUNT, {"folder ignored", "stray file"}),
    "masks_and_labels": (2 * COUNT, {"folder ignored"}),
    "covid_radiography": (4 * FEW, {"mask of another size", "folders taken together"}),
    "covid_qu_ex": ("Lung Segmentation Data", set()),
    "mendeley": (3 * COUNT, {"folders taken together"}),
    "v7": ("holds masks, but no folder's name tells of images", set()),
    "v7_fetched": ('mask_values: "127,255"', set()),
    "jsrt": (0, {"unreadable file", "folder ignored"}),
    "lung_vae": (COUNT, {"stray file"}),
    "chexmask": ("holds no tree of images and masks", set()),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_check_says_of_each(name, tmp_path):
    said, noted = VERDICTS[name]
    source = LAYOUTS[name](tmp_path / name)
    if isinstance(said, str):
        with pytest.raises(ValueError, match=re.escape(said)):
            prepare.examine(source, prepare.Options())
        return
    tree, audited = prepare.examine(source, prepare.Options())
    assert len(audited.pairs) == said
    assert {fault for fault, cases in tree.notes.items() if cases} == noted


def test_the_line_for_jsrt_settles_it(tmp_path):
    root = LAYOUTS["jsrt"](tmp_path / "jsrt")
    tree, _ = prepare.examine(root, prepare.Options())
    told = {case.split(": ")[0]: case for case in tree.notes["unreadable file"]}
    for path in sorted(root.rglob("*.IMG")):
        line = re.search(r"'(>u2)'\)\.reshape\((\d+), (\d+)\)", told[tree.name(path)])
        film = 4095 - np.fromfile(path, line[1]).reshape(int(line[2]), int(line[3]))
        assert cv2.imwrite(str(path.with_suffix(".png")), film)
        path.unlink()
    tree, audited = prepare.examine(root, prepare.Options())
    assert len(audited.pairs) == COUNT and audited.meaning.foreground == {255}
    assert {f for f, cases in tree.notes.items() if cases} == {"16-bit image", "folder ignored"}


def test_the_line_for_v7_settles_it(tmp_path):
    options = prepare.Options(mask_values="255")
    _, audited = prepare.examine(LAYOUTS["v7_fetched"](tmp_path / "v7"), options)
    assert len(audited.pairs) == COUNT and audited.meaning.foreground == {255}
