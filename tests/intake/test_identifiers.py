"""One id for each image: its name, and what comes before it where names are alike."""

import re

import pytest
from made_sets import WHITE, chest, met, put
from made_trees import both, located, noted, tree_of

from unet_lib.intake import identifiers, layouts, prepare


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


HINT = "; patients? {} the films of each on one side"
ANY, FIRST = "group_by: '^(.+)_' keeps", "group_by: '^([^_]+)_' keeps"
LIST = "a list with the column group keeps"


@pytest.mark.parametrize("form", ["{folder}/{kind}/{film}.png", "{kind}/{folder}/{film}.png"])
@pytest.mark.parametrize("folder, films, way", [
    ("P{:02d}", ("0", "1"), ANY), ("P_{:02d}", ("0", "1"), ANY), ("P{:02d}", ("a_0", "b_1"), FIRST),
    ("P_{:02d}", ("a_0", "b_1"), LIST),
])  # fmt: skip
def test_folders_of_few_films_may_be_patients(form, folder, films, way, tmp_path):
    """The pattern that is told keeps each of them on one side of the split."""
    for number in range(12):
        patient, film = folder.format(number // 2), films[number % 2]
        for kind, pixels in (("images", chest(number)), ("masks", WHITE)):
            put(tmp_path / "s" / form.format(kind=kind, folder=patient, film=film), pixels)
    found = met(prepare.restructure(tmp_path / "s", tmp_path / "a"))["one id in several folders"]
    assert [case.endswith(HINT.format(way)) for case in found] == [True, False]
    if way != LIST:
        pattern = re.search("'(.*)'", way)[1]
        manifest = prepare.restructure(
            tmp_path / "s", tmp_path / "b", group_by=pattern, val_fraction=0.4)
        sides = [{name.removesuffix(f"_{film}") for name in manifest["split"][side]
                  for film in films if name.endswith(f"_{film}")}
                 for side in ("train", "validation")]  # fmt: skip
        assert sides[0] & sides[1] == set() and sorted(sides[0] | sides[1]) == [
            folder.format(n) for n in range(6)]  # fmt: skip


@pytest.mark.parametrize("folders, films", [(3, 2), (6, 5), (6, 1), (2, 50)])
def test_other_folders_are_no_patients(folders, films, tmp_path):
    names = [name for n in range(folders)
             for name in both(f"C{n}/{{kind}}/{{id}}.png", *map(str, range(films)))]  # fmt: skip
    assert "patients" not in str(noted(tree_of(tmp_path, *names)))


def test_of_folders_of_visits_in_those_of_patients_no_pattern_is_told(tmp_path):
    """It would keep the films of a visit together, and part those of a patient."""
    names = [name for n in range(4) for visit in "01"
             for name in both(f"{{kind}}/P{n}/v{visit}/{{id}}.png", "0", "1")]  # fmt: skip
    (first, *_) = noted(tree_of(tmp_path, *names))["one id in several folders"]
    assert first.endswith(HINT.format(LIST))


def test_where_a_film_bears_no_folders_name_a_list_is_told_of(tmp_path):
    """Its number occurs once, so that no pattern finds its patient in its id."""
    names = [name for n in range(5) for name in both(f"P{n}/{{kind}}/{{id}}.png", "0", "1")]
    tree = tree_of(tmp_path, *names, *both("P4/{kind}/{id}.png", "2"))
    assert "2" in tree.images
    assert noted(tree)["one id in several folders"][0].endswith(HINT.format(LIST))
