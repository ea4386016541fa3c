"""Sweep files: what they become, and what is refused."""

import pytest
from made import write_notebook

from unet_lib.series import plan, sweep

DATA = ("source: str = 'phantom'  # images\nphantoms: int = 12  # how many\n"
        "dataset: str = 'toys'  # name\nval_fraction: float = 0.25  # share\n"
        "split_seed: int = 0  # which\nsplit: str = 'stratified'  # how")
TRAIN = ("dataset: str = 'toys'  # name\nrun_name: str = 'quick'  # run\n"
         "learning_rate: float = 0.1  # step\nwidth: int = 16  # filters\n"
         "augment: bool = False  # change\nhead: str = 'original'  # end\nseed: int = 0  # random")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path / "workspace"))
    (tmp_path / "notebooks").mkdir()
    for stem, parameters in (("01_restructure_dataset", DATA), ("04_train", TRAIN),
                             ("05_evaluate", "run_name: str = 'quick'  # run")):
        write_notebook(tmp_path / "notebooks" / f"{stem}.ipynb", parameters=parameters)
    return tmp_path / "notebooks"


def read(folder, text, name="study.yaml"):
    path = folder.parent / name
    path.write_text(text, "utf-8")
    return sweep.read(path, folder=folder)


def test_grid_points_and_seeds(folder):
    found = read(folder, "grid: {width: [4, 8], head: [original, direct]}\n"
                         "points: [{learning_rate: 0.5}]\nseeds: [0, 1]")
    assert [p.varied for p in found.points] == [
        *({"width": w, "head": h, "seed": s}
          for w in (4, 8) for h in ("original", "direct") for s in (0, 1)),
        {"learning_rate": 0.5, "seed": 0}, {"learning_rate": 0.5, "seed": 1},
    ]
    assert found.name == "study" and list(found.makers) == ["toys"]
    for point in found.points:
        assert [n.stem for n in point.run.parameters] == ["04_train", "05_evaluate"]
        train, evaluate = point.run.parameters.values()
        assert train == point.varied | {"run_name": f"study/{point.name}", "dataset": "toys"}
        assert evaluate == {"run_name": f"study/{point.name}"}


def test_base_takes_files_in_order_and_single_values_win(folder):
    one, two = folder.parent / "one.yaml", folder.parent / "two.yaml"
    one.write_text("width: 2\nhead: direct\nrun_name: alone")
    two.write_text("width: 4\nseed: 7")
    (point,) = read(folder, f"base: {{params: [{one}, {two}], seed: 9}}").points
    assert point.varied == {} and point.name.startswith("base_")
    train = next(iter(point.run.parameters.values()))
    assert (train["width"], train["head"], train["seed"]) == (4, "direct", 9)


@pytest.mark.parametrize("written", ["1e-4", "0.0001", "1.0e-4", "'1e-4'"])
def test_a_value_has_one_text_and_one_name_however_it_is_written(folder, written):
    (point,) = read(folder, f"grid: {{learning_rate: [{written}]}}").points
    (usual,) = read(folder, "grid: {learning_rate: [0.0001]}").points
    assert point == usual and point.varied == {"learning_rate": 1e-4}
    assert point.name.startswith("learning_rate-0.0001_")


def test_a_name_depends_on_all_that_the_result_depends_on(folder):
    def name(text, file="study.yaml"):
        return read(folder, text, file).points[0].name

    first = name("grid: {width: [4]}")
    assert name("base: {width: 9}\ngrid: {width: [4]}") == first  # the grid wins
    assert name("grid: {width: [4, 8]}") == first  # others beside it change nothing
    assert name("base: {seed: 0}\ngrid: {width: [4]}") == first  # the default, said aloud
    assert name("base: {seed: 1}\ngrid: {width: [4]}") != first
    assert name("base: {split_seed: 1}\ngrid: {width: [4]}") != first  # other data
    assert name("base: {dataset: others}\ngrid: {width: [4]}") == first  # a name alone


def test_points_that_read_other_data_have_a_data_set_each(folder):
    found = read(folder, "grid: {split_seed: [0, 1], width: [4, 8]}")
    names = [p.dataset for p in found.points]
    assert len(set(names)) == 2 and names[0] == names[1] and names[2] == names[3]
    assert list(found.makers) == list(dict.fromkeys(names))
    assert [run.data["split_seed"] for run in found.makers.values()] == [0, 1]
    for point in found.points:
        assert next(iter(point.run.parameters.values()))["dataset"] == point.dataset
        assert point.run.data["dataset"] == point.dataset


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grids: {width: [4]}", "study.yaml has 'grids'; a sweep has base, grid, points"),
        ("grid: {widht: [4]}", "no notebook here has a parameter 'widht'; did you mean 'width'"),
        ("grid: {width: [4, x]}", "whole number of filters, 1 or more, got 'x'; use 16"),
        ("grid: {width: [0]}", "width must be a whole number of filters"),
        ("grid: {width: 4}", r"grid: width must be a list such as \[1, 2\], and not empty; got 4"),
        ("grid: {width: []}", r"grid: width must be a list .* got \[\]"),
        ("grid: [width]", r"grid must map names to values, got \['width'\]"),
        ("points: []", r"points must be a list"),
        ("points: [4]", "points must map names to values, got 4"),
        ("seeds: 3", "seeds must be a list"),
        ("folds: 1", "folds must be a whole number from 2 to 9999, got 1"),
        ("folds: true", "folds must be a whole number from 2 to 9999, got True"),
        ("grid: {seed: [1]}\nseeds: [0]", "seed is set twice"),
        ("grid: {width: [4, 4]}", "two points ask for the same: width 4, and width 4"),
        ("grid: {width: [16]}\npoints: [{}]", "two points ask for the same"),
        ("grid: {run_name: [a]}", "a sweep names runs and data sets itself; take run_name out"),
        ("base: {run_name: a}", "take run_name out of base"),
        ("base: [4]", "base must hold lines such as 'epochs: 3'"),
        ("base: {params: no/such.yaml}", "there is no parameter file"),
    ],
)
def test_refusals(folder, text, message):
    with pytest.raises(plan.Refused, match=message):
        read(folder, text)
    assert not (folder.parent / "workspace").exists()


@pytest.mark.parametrize("text", [
    "grid: {widths: ['4,8']}", "points: [{widths: '4,8'}]", "base: {widths: '4,8'}"])  # width
def test_a_parameter_that_only_other_notebooks_read_is_refused(folder, text, tmp_path):
    write_notebook(folder / "08_how_wide.ipynb", parameters="widths: str = '4, 8'  # widths")
    with pytest.raises(plan.Refused, match="no notebook of a sweep .* reads widths, so it would "
                                           "change nothing; did you mean 'width'"):
        read(folder, text)
    (tmp_path / "params.yaml").write_text("widths: '4, 8'")  # which serves other notebooks too
    assert read(folder, f"base: {{params: {tmp_path}/params.yaml}}")


def test_a_file_must_have_a_plain_name(folder):
    with pytest.raises(plan.Refused, match="the sweep file's name must be one plain folder name"):
        read(folder, "seeds: [0]", "my study.yaml")


def test_folds_are_data_sets(folder):
    found = read(folder, "folds: 3\nseeds: [0, 1]")
    assert [p.varied for p in found.points] == [
        {"split": f"{k}/3", "seed": s} for k in (1, 2, 3) for s in (0, 1)]


@pytest.mark.parametrize("params", ["", "3", "[null]", "{a: 1}", '"a\\0b"', "~no.such.user/x"])
def test_params_of_the_base_that_name_no_file(folder, params):
    with pytest.raises(plan.Refused, match="base: params must name a parameter file"):
        read(folder, f"base: {{params: {params}}}")
