"""What a source holds, in every layout and under every name; nothing is left out in silence."""

import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_trees import (
    IDS,
    LAYOUTS,
    PLACES,
    TESTS,
    both,
    content,
    finding,
    image_of,
    make_tree,
    noted,
    paired,
    picture,
    place,
    save,
    state,
    trained,
    tree_of,
    truth,
)

from unet_lib import datasets
from unet_lib.intake import prepare, tree
from unet_lib.intake.tree import find_tree


@pytest.mark.parametrize("layout", PLACES)
def test_every_tree_becomes_the_usable_tree(layout, tmp_path, target):
    manifest = prepare.restructure(make_tree(tmp_path / "s", layout=layout), target)
    tests = [] if layout.startswith("flat") else TESTS
    assert manifest["layout"] == layout.split(",")[0] and trained(manifest) == IDS
    assert manifest["test"] == tests
    assert manifest["test_layout"] == [p.format("<id>") for p in PLACES[layout][2:] if p]
    names = [f"train/{kind}/{i}.png" for kind in ("images", "masks") for i in IDS]
    names += [f"test/{i}.png" for i in tests]
    assert {p for p in content(target) if p.endswith(".png")} == set(names)
    for name in IDS:
        image = cv2.imread(str(target / f"train/images/{name}.png"), cv2.IMREAD_UNCHANGED)
        mask = cv2.imread(str(target / f"train/masks/{name}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(image, picture(name))
        np.testing.assert_array_equal(mask, truth(name) * 255)
        item = manifest["items"][name]
        assert (item["height"], item["width"], item["class"]) == (20, 24, int(name[-1]))
    assert all(f["count"] == 0 for f in manifest["findings"])
    assert [f["fault"] for f in manifest["findings"]] == list(tree.FAULTS)


def test_both_forms_of_the_test_folder_may_be_mixed(source, target):
    save(source / "test_images/T_3/images/T_3.png", picture("T_3"))
    save(source / "test_images/T_3/masks/T_3.png", truth("T_3") * np.uint8(255))
    manifest = prepare.restructure(source, target)
    assert manifest["test"] == ["T_1", "T_2", "T_3"] and len(manifest["test_layout"]) == 2
    assert finding(manifest, "mask of a test image")["count"] == 1


def test_a_tree_may_lie_deeper_but_must_be_the_only_one(tmp_path, target):
    make_tree(tmp_path / "download" / "archive" / "lungs")
    assert len(trained(prepare.restructure(tmp_path / "download", target))) == 8
    make_tree(tmp_path / "download" / "archive" / "lungs2", layout="usable")
    with pytest.raises(ValueError, match='(?s)several trees; name one:\n.*lungs"\n.*lungs2"'):
        prepare.restructure(tmp_path / "download", target)


@pytest.mark.parametrize("layout", PLACES)
def test_odd_names_are_handled(layout, tmp_path, target):
    names = ["mit Leer zeichen", "Ärztin_Über", "胸部", "a.b.c", "e\u0301tude", "[x]{0}*?'\u3000"]
    root = make_tree(tmp_path / "quelle [1] é", layout=layout, ids=names, tests=["tëst 1"])
    for path in sorted(root.rglob("*a.b.c*.png")):
        path.rename(path.with_suffix(".PNG"))
    manifest = prepare.restructure(root, target, val_fraction=0.5)
    assert trained(manifest) == sorted([*names[:4], "étude", names[5]])
    assert datasets.load_manifest(target) == {k: v for k, v in manifest.items() if k != "written"}
    for name, origin in [("Ärztin_Über", "Ärztin_Über"), ("étude", "e\u0301tude")]:
        read = datasets.read_image(target / "train" / "images" / f"{name}.png")
        np.testing.assert_array_equal(read, picture(origin))


@pytest.mark.skipif(os.name == "nt", reason="these names cannot exist on Windows")
@pytest.mark.parametrize("name", ["..\\..\\evil", "line\nbreak", "\udcff"])
def test_an_id_that_could_lead_outside_is_refused(name, tmp_path, target):
    root = make_tree(tmp_path / "source", ids=[*IDS, name])
    before = state(root)
    manifest = prepare.restructure(root, target)
    assert trained(manifest) == IDS and state(root) == before
    found = finding(manifest, "name that not every system allows")
    assert found["count"] == 2 and found["remedy"] == "rename these files"
    assert finding(manifest, "stray file")["count"] == 0


def test_a_folder_without_permission_is_told(source, target, monkeypatch):
    # Not by chmod: the superuser, who runs tests in containers, may look everywhere.
    closed = source / "train_images" / "P_00_0"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed)
    found = finding(prepare.restructure(source, target), "unreadable file")
    assert found["examples"] == ["train_images/P_00_0: no permission to look into this folder"]


def test_links_that_stay_inside_are_followed(source, target):
    image_of(source, "P_00_0").rename(source / "kept.png")
    image_of(source, "P_00_0").symlink_to(source / "kept.png")
    assert trained(prepare.restructure(source, target)) == IDS


def test_a_linked_folder_is_refused_and_a_loop_is_survived(source, target, tmp_path):
    other = make_tree(tmp_path / "other", ids=["Q_1"], tests=[])
    (source / "train_images/Q_1").symlink_to(other / "train_images/Q_1")
    (source / "train_images/loop.png").symlink_to(source / "train_images/loop.png")
    manifest = prepare.restructure(source, target)
    assert trained(manifest) == IDS
    found = finding(manifest, "path leads outside the source")
    assert found["examples"] == ["train_images/Q_1: a linked folder"]
    assert "`follow_links: true`" in found["remedy"] and "`cp -rL`" in found["remedy"]
    found = finding(manifest, "unreadable file")
    assert found["examples"] == ["train_images/loop.png: a link to nothing"]


# What names and places alone say


def test_the_source_sets_a_validation_set_apart(tmp_path):
    names = [*both("train/{kind}/{id}.png", "a", "b"), *both("val/{kind}/{id}.png", "c")]
    names += ["val/images/d.png"]
    tree = tree_of(tmp_path, *names)
    assert tree.validation == {"c"} and set(tree.images) == {"a", "b", "c"}
    assert noted(tree) == {"image without mask": ["val/images/d.png"]}


def test_a_source_of_validation_alone_is_divided_anew(tmp_path):
    assert tree_of(tmp_path, *both("val/{kind}/{id}.png", "a", "b")).validation == set()


def test_test_images_may_have_masks(tmp_path):
    names = [*both("train/{kind}/{id}.png", "a"), *both("test/{kind}/{id}.png", "t")]
    tree = tree_of(tmp_path, *names, "test/images/u.png")
    assert sorted(tree.test) == ["t", "u"]
    assert {i: [tree.name(p) for p in held] for i, held in tree.truth.items()} == {
        "t": ["test/masks/t.png"]
    }
    assert tree.test_forms == ["test/images/<id>.png"]
    assert noted(tree) == {"mask of a test image": ["test/masks/t.png"]}


def test_test_images_of_nnu_net_lose_their_channel_too(tmp_path):
    tree = tree_of(tmp_path, "imagesTr/a_0000.png", "labelsTr/a.png", "imagesTs/b_0000.png",
                   "dataset.json")  # fmt: skip
    assert list(tree.test) == ["b"] and tree.layout == "nnU-Net"
    assert noted(tree) == {"stray file": ["dataset.json"]}


@pytest.mark.parametrize("word", ["CXR_", "img_", "image-", "xray_", "case_"])
def test_names_of_nnu_net_may_begin_with_a_word_for_images(word, tmp_path):
    """The id is what the mask is called, of a test image without a mask as well."""
    names = [f"imagesTr/{word}00{n}_0000.png" for n in range(3)]
    names += [f"labelsTr/{word}00{n}.png" for n in range(3)]
    tree = tree_of(tmp_path, *names, f"imagesTs/{word}100_0000.png")
    assert paired(tree) == {f"{word}00{n}": [names[n], names[n + 3]] for n in range(3)}
    assert list(tree.test) == [f"{word}100"] and noted(tree) == {}
    assert tree.test_forms == ["imagesTs/<id>_0000.png"] and tree.layout == "nnU-Net"


def test_test_images_that_count_as_the_others_do_are_told_by_their_id(tmp_path):
    tree = tree_of(tmp_path, *both("{kind}/{id}.png", "1", "2", "3"), "test/1.png", "test/9.png")
    assert paired(tree)["1"] == ["images/1.png", "masks/1.png"] and sorted(tree.test) == ["1", "9"]
    assert noted(tree) == {"same id in train and test": ["1"]}


def test_every_file_is_used_or_noted(tmp_path):
    for number, (names, _) in enumerate(LAYOUTS.values()):
        root = place(tmp_path / str(number), *names, "odd/x.png", "y.txt")
        tree = find_tree(root)
        told = [case.split(" (")[0].split(":")[0] for cases in noted(tree).values()
                for case in cases]  # fmt: skip
        for path in set(root.rglob("*.*")) - set(tree.files()):
            name = path.relative_to(root).as_posix()
            assert path.is_dir() or any(name.startswith(case) for case in told), name


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
@pytest.mark.parametrize("way", ["files", "folders"])
def test_links_are_refused_and_followed_on_request(way, tmp_path):
    store = place(tmp_path / "store", *both("{kind}/{id}.png", "a", "b"))
    for path in sorted(store.glob("*" if way == "folders" else "*/*")):
        link = tmp_path / "s" / path.relative_to(store)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    with pytest.raises(ValueError) as caught:
        find_tree(tmp_path / "s")
    assert "holds no pair that may be read: images or masks are links" in str(caught.value)
    assert "follow_links: true follows them, and `cp -rL` makes a copy" in str(caught.value)
    assert "(files in all folders: 4 .png)" in str(caught.value)
    tree = find_tree(tmp_path / "s", follow_links=True)
    assert sorted(tree.images) == ["a", "b"] and noted(tree) == {}


def test_ten_thousand_pairs_are_found_in_seconds(tmp_path):
    root = place(tmp_path / "s", *both("{kind}/{id}.png", *(f"P_{n:05d}" for n in range(10000))))
    start = time.process_time()
    assert len(find_tree(root).images) == 10000
    assert time.process_time() - start < 10
