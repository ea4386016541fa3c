"""One id for each image: its name, and what comes before it where names are alike."""

import pytest
from made_trees import both, located, noted, tree_of

from unet_lib.intake import identifiers, layouts


def test_an_id_that_a_folders_name_makes_may_be_taken(tmp_path):
    folders = [*both("{kind}/x/{id}.png", "1"), *both("{kind}/y/{id}.png", "1")]
    tree = tree_of(tmp_path, *folders, *both("{kind}/{id}.png", "x_1"))
    assert sorted(tree.images) == ["x_1", "y_1"]
    assert [case.split(" ")[0] for case in noted(tree)["two files with one id"]] == [
        "images/x/1.png" if tree.name(tree.images["x_1"]) == "images/x_1.png" else "images/x_1.png"
    ]


def test_only_what_differs_in_the_folders_names_makes_an_id(tmp_path):
    tree = tree_of(
        tmp_path, *both("{kind}/x/set/{id}.png", "1"), *both("{kind}/y/set/{id}.png", "1")
    )
    assert sorted(tree.images) == ["x_1", "y_1"]


@pytest.mark.parametrize(
    "names, groups",
    [(["b", "a", "B", "c"], [["B", "b"]]), (["a", "b"], []),
     (["e\u0301", "\u00e9", "\u00c9"], [["e\u0301", "\u00c9", "\u00e9"]]),
     (["x", "X", "y", "Y"], [["X", "x"], ["Y", "y"]])],
)  # fmt: skip
def test_names_that_some_systems_take_for_one(names, groups):
    assert identifiers.alike(names) == groups


@pytest.mark.parametrize(
    "ways, cut",
    [(["a/x/z", "a/y/z"], ["x", "y"]), (["x", "y"], ["x", "y"]), (["a", "a/b"], ["", "b"]),
     (["a/a", "a"], ["a", ""]), (["a/b/c"], [""]), (["a/b/x", "c/b/x"], ["a", "c"])],
)  # fmt: skip
def test_what_differs_in_ways(ways, cut):
    split = [[tuple(filter(None, way.split("/"))) for way in held] for held in (ways, cut)]
    assert identifiers.differing(split[0]) == split[1]


def test_one_id_for_each_image():
    files = located("COVID/images/1.png", "Normal/images/1.png", "Normal/images/2.png",
                    "P1/image.png", "x/images/Normal_1.png", "x/images/a\x07b.png")  # fmt: skip
    covid, normal, two, alone, taken, odd = files
    naming = identifiers.name_all({file: layouts.image_core(file.stem) for file in files})
    assert naming.ids == {covid: "COVID_1", normal: "Normal_1", two: "2", alone: "P1", odd: "a_b"}
    assert naming.joined == {"1": ["COVID_1", "Normal_1"]}
    assert naming.seconds == [(taken, normal)]
