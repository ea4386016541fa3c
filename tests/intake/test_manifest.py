"""What a manifest says of a source, and whose split and groups it holds."""

import ast
import json
from dataclasses import asdict, replace

import nbformat
import pytest
from made_sets import LEFT, LUNGS, RIGHT, chest, make_set, met, put
from made_trees import finding

from unet_lib import workspace
from unet_lib.intake import faults, prepare
from unet_lib.intake.manifest import Options, describe, describe_findings


def test_the_manifest_says_how_the_set_was_made(tmp_path):
    manifest = prepare.restructure(make_set(tmp_path / "s"), tmp_path / "made")
    assert list(manifest) == [
        "format", "dataset", "layout", "test_layout", "split", "groups", "test", "mask_table",
        "foreground", "intensity_rule", "findings", "source", "val_fraction", "split_seed",
        "split_rule", "group_by", "mask_values", "intensity", "invert", "empty_masks",
        "follow_links", "source_sha256", "items", "data_sha256", "files_sha256", "written",
    ]  # fmt: skip
    assert list(manifest["findings"][0]) == [
        "fault", "count", "examples", "cases", "decision", "remedy"]  # fmt: skip
    rows = {row["value"]: row for row in manifest["mask_table"]}
    assert rows[255] == {
        "value": 255, "share": pytest.approx(LUNGS.mean()), "files": 8, "border": 0}  # fmt: skip
    assert json.loads((tmp_path / "made/manifest.json").read_text("utf-8")) == {
        key: value for key, value in manifest.items() if key != "written"}  # fmt: skip


def test_a_thousand_faults_are_counted_and_named_and_five_are_examples(source, target):
    for number in range(1000):
        (source / f"{number:03d}.txt").touch()
    found = finding(prepare.restructure(source, target), "stray file")
    assert found["count"] == 1000 and len(found["examples"]) == 5
    assert found["cases"] == sorted(f"{number:03d}.txt" for number in range(1000))


def test_a_folder_of_ones_own_for_validation(tmp_path):
    root = tmp_path / "s"
    make_set(root / "train")
    make_set(root / "val", count=3, name="V{}", image=lambda n: chest(100 + n))
    manifest = prepare.restructure(root, tmp_path / "made")
    assert manifest["split"]["validation"] == ["V0", "V1", "V2"]
    assert met(manifest) == {"val_fraction unused": ["3 pairs"]}


# ---------------------------------------------------------------------------- each by itself


def examined(root, **options):
    """Return the tree, what the audit leaves of it, and the options."""
    wish = Options(**options)
    return *prepare.examine(root, wish), wish


def test_options_are_those_of_notebook_01_with_its_defaults():
    cells = nbformat.read(workspace.PROJECT / "notebooks/01_restructure_dataset.ipynb", 4).cells
    source = next(c.source for c in cells if "parameters" in c.metadata.get("tags", []))
    lines = [node for node in ast.parse(source).body if isinstance(node, ast.AnnAssign)]
    declared = {node.target.id: ast.literal_eval(node.value) for node in lines}
    options = asdict(Options())
    assert {name: declared[name] for name in options} == options


def test_a_plain_source_is_described(tmp_path):
    root = make_set(tmp_path / "s", count=20, name="P{:02d}_1")
    put(root / "test/T.png", chest(99))
    said = describe(*examined(root), source=root)
    assert {key: value for key, value in said.items() if key not in ("mask_table", "findings")} == {
        "layout": "flat", "test_layout": ["test/<id>.png"], "groups": {}, "test": ["T"],
        "foreground": ["255"], "split": said["split"], "intensity_rule": "8 bits",
    }  # fmt: skip
    assert len(said["split"]["validation"]) == 3  # 0.15 of 20


def test_classes_are_told_where_there_are_some(tmp_path):
    root = make_set(tmp_path / "s", lambda n: 5 * RIGHT.astype("u1") + 9 * LEFT.astype("u1"))
    said = describe(*examined(root, mask_values="left lung=9, right lung=5"), source=root)
    assert said["classes"] == ["left lung", "right lung"] and said["foreground"] == ["5", "9"]


def test_what_a_source_says_of_validation_goes_before_the_options(tmp_path):
    root = make_set(tmp_path / "s")
    tree, audited, wish = examined(root, val_fraction=0.5)
    tree.validation = {"P05", "P02", "gone"}
    said = describe(tree, audited, wish, source=root)
    assert said["split"] == {"train": ["P00", "P01", "P03", "P04", "P06", "P07"],
                             "validation": ["P02", "P05"]}  # fmt: skip
    assert tree.notes["val_fraction unused"] == ["2 pairs"]
    tree.validation = {f"P{n:02d}" for n in range(8)}
    with pytest.raises(ValueError, match="all usable pairs are validation pairs; training needs"):
        describe(tree, audited, wish, source=root)


def test_groups_are_the_lists_own_unless_an_expression_is_given(tmp_path):
    root = make_set(tmp_path / "s", name="{}_x")
    tree, audited, wish = examined(root, val_fraction=0.5)
    tree.group = {f"{n}_x": f"patient {n % 4}" for n in range(7)} | {"gone": "patient 0"}
    said = describe(tree, audited, wish, source=root)
    assert said["groups"] == {f"{n}_x": f"patient {n % 4}" for n in range(7)}
    for n in range(3):
        assert any({f"{n}_x", f"{n + 4}_x"} <= set(side) for side in said["split"].values())
    said = describe(tree, audited, replace(wish, group_by=r"^([0-6])_"), source=root)
    assert said["groups"] == {f"{n}_x": str(n) for n in range(7)} | {"7_x": "7_x"}
    assert tree.notes["id without group"] == ["7_x"]


def test_a_source_without_a_usable_pair_is_refused_with_what_was_met(tmp_path):
    root = make_set(tmp_path / "s")
    tree, audited, wish = examined(root)
    nothing = replace(audited, pairs=[])
    with pytest.raises(ValueError, match="(?s)holds no readable pair .*not be used:\n    none$"):
        describe(tree, nothing, wish, source=root)
    for name in ("b.png", "a.png"):
        tree.note("empty mask", name)
    tree.note("stray file", "x")
    with pytest.raises(ValueError) as caught:
        describe(tree, nothing, wish, source=root)
    assert str(caught.value).endswith(
        "not be used:\n    empty mask: 2, such as a.png\n    stray file: 1, such as x")


def test_every_fault_is_counted_with_its_decision_and_five_examples(tmp_path):
    tree, _, _ = examined(make_set(tmp_path / "s"))
    for number in range(6):
        tree.note("stray file", str(9 - number))
    found = {each["fault"]: each for each in describe_findings(tree)}
    assert list(found) == list(faults.FAULTS)
    assert found["stray file"] == {
        "fault": "stray file", "count": 6, "examples": list("45678"), "cases": list("456789"),
        "decision": faults.FAULTS["stray file"].decision,
        "remedy": faults.FAULTS["stray file"].remedy,
    }  # fmt: skip
    assert found["empty mask"]["count"] == 0 and found["empty mask"]["cases"] == []
