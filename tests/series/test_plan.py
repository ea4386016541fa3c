"""Requests: which are refused before anything runs, and what the others become."""

import shutil
import subprocess
import sys
import time

import pytest
from made import params, write_notebook

from unet_lib import __main__ as command
from unet_lib import runs, workspace
from unet_lib.series import plan


def refusal(folder, files=(), texts=None, **more):
    with pytest.raises(plan.Refused) as caught:
        plan.plan([str(f) for f in files], texts or {}, folder=folder, **more)
    return str(caught.value)


def test_unknown_parameter_names_the_nearest(folder, tmp_path):
    text = refusal(folder, texts={"epoch": "3"})
    assert text == "no notebook here has a parameter 'epoch'; did you mean 'epochs'?"
    text = refusal(folder, [params(tmp_path, "learning_rat: 0.1")])
    assert "'learning_rat'; did you mean 'learning_rate'?" in text
    assert "there are: augment, epochs" in refusal(folder, texts={"zzz": "3"})


def test_parameter_that_only_another_notebook_has(folder, tmp_path):
    """`-p` would do nothing, so it is refused; a file may serve notebooks that are left out."""
    assert "'epochs'" in refusal(folder, texts={"epochs": "3"}, only=["02_two"])
    file = params(tmp_path, "epochs: 3")
    (run,) = plan.plan([str(file)], {}, only=["02_two"], folder=folder)
    assert list(run.parameters.values()) == [{"run_name": "tiny"}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("epochs: 1.5", "epochs must be a whole number, 1 or more, got 1.5; use 2"),
        ("epochs: true", "epochs must be a whole number, 1 or more, got True; use 10"),
        ("epochs: '3'", "epochs must be a whole number, 1 or more, got '3'; use 3"),
        ("epochs: 1e3", "epochs must be a whole number, 1 or more, got '1e3'; use 1000"),
        ("epochs:", "epochs must be a whole number, 1 or more, got None; use 10"),
        ("learning_rate: fast", "learning_rate must be a number between 0 and 1 (0 excluded, 1"
                                " excluded), got 'fast'; use for example 0.001"),
        ("learning_rate: true", "(0 excluded, 1 excluded), got True; use for example 0.001"),
        ("augment: 1", "augment must be True or False, got 1; use True"),
        ("head:", "head must be one of 'original', 'direct', got None; did you mean"),
        ("head: no", "head must be str, got False (bool); put it in quotes"),
        ("run_name: 7", "run_name must be str, got 7 (int); put it in quotes"),
        ("run_name: 007", "007 would be read as 7; write it plainly, or put it in quotes"),
        ("run_name: a/b/c", "run_name must be one plain folder name"),
    ],
)
def test_wrong_type(folder, tmp_path, line, message):
    assert message in refusal(folder, [params(tmp_path, line)])


def test_a_number_beyond_any_float_is_refused(folder):
    with pytest.raises(plan.Refused):
        plan.plan_values({"learning_rate": 10**400}, run_name="x", folder=folder)


def test_a_parameter_of_a_notebook_of_ones_own_has_its_type(folder, tmp_path):
    write_notebook(folder / "03_mine.ipynb", "print(my_steps)", parameters="my_steps: int = 3\n")
    assert "my_steps must be int, got 'few' (str)" in refusal(
        folder, [params(tmp_path, "my_steps: few")])


def test_what_evaluates_a_run_reads_the_data_that_it_was_trained_on(tmp_path, monkeypatch):
    """As README's `run --only 05_evaluate --run first`: nobody may change these data meanwhile."""
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    runs.open_run(workspace.run_dir("first"), parameters={"dataset": "mine"}, data_sha256="d")

    def read(name, *only, **texts):
        (run,) = plan.plan([], texts, run_name=name, only=only)
        return run.data["dataset"]

    assert read("first", "05_evaluate") == read("first", "06_evaluate_in_depth") == "mine"
    assert read("first", "02_explore_images", "05_evaluate") == "phantom"  # as 02's default says
    assert read("first", "04_train", dataset="other") == "other"
    assert read("second", "05_evaluate") == "phantom"
    (workspace.run_dir("first") / "run.json").write_text("{")
    (workspace.run_dir("first") / "best.keras").touch()
    assert read("first", "05_evaluate") == "phantom"  # the notebook says what is wrong


def test_values_arrive_in_their_types(folder, tmp_path):
    """YAML 1.1 reads 1e-4 as text; int is fine for float; the command line wins over the file."""
    file = params(tmp_path, "learning_rate: 1e-4\nepochs: 3\naugment: yes")
    (run,) = plan.plan([str(file)], {"epochs": "5", "run_name": "007"}, folder=folder)
    given = run.parameters[folder / "01_one.ipynb"]
    assert given == {"learning_rate": 1e-4, "epochs": 5, "augment": True, "run_name": "007"}
    write_notebook(folder / "02_two.ipynb", parameters="required_dice: float = 0.5")
    (run,) = plan.plan([], {"required_dice": "1"}, folder=folder)
    assert type(run.parameters[folder / "02_two.ipynb"]["required_dice"]) is float


def test_run_name_comes_from_option_parameter_file_or_default(folder, tmp_path):
    file = str(params(tmp_path, "epochs: 3"))
    named = str(params(tmp_path, "run_name: other", "named.yaml"))
    names = [
        plan.plan(files, texts, run_name=name, folder=folder)[0].name
        for files, texts, name in [
            ([], {}, None), ([file], {}, None), ([named], {}, None),
            ([named], {"run_name": "cli"}, None), ([named], {}, "option"),
        ]
    ]
    assert names == ["quick", "tiny", "other", "cli", "option"]


def test_file_faults(folder, tmp_path):
    assert "did you mean 'smoke.yaml'?" in refusal(folder, [tmp_path / "smokes.yaml"])
    assert "is not valid YAML" in refusal(folder, [params(tmp_path, "a: [1")])
    assert "'epochs' is there twice" in refusal(
        folder, [params(tmp_path, "epochs: 1\nepochs: 2")])
    assert "there is no parameter file" in refusal(folder, ["x" * 300 + ".yaml"])
    assert "must hold lines such as 'epochs: 20', got list" in refusal(
        folder, [params(tmp_path, "- 1")]
    )
    assert "got NoneType" in refusal(folder, [params(tmp_path, "# nothing")])


def test_names_that_clash(folder, tmp_path):
    files = [params(tmp_path, "run_name: same", name) for name in ("a.yaml", "b.yaml")]
    assert "have the same run_name 'same'" in refusal(folder, files)
    assert "--run names one run, got 2 parameter files" in refusal(folder, files, run_name="x")
    assert "-p run_name is 'a', and --run 'b'; name the run once" in refusal(
        folder, texts={"run_name": "a"}, run_name="b")
    assert plan.plan([], {"run_name": "a"}, run_name="a", folder=folder)[0].name == "a"


def test_a_run_name_that_is_empty_is_not_quick(folder):
    assert "-p run_name is ''; name the run once, as with --run" in refusal(
        folder, texts={"run_name": ""})


def test_a_name_that_no_folder_can_bear_is_refused(folder):
    assert "100 at most" in refusal(folder, run_name="x" * 101)
    assert plan.plan([], {}, run_name="x" * 100, folder=folder)


def test_unknown_notebook_names_the_nearest(folder, tmp_path):
    assert refusal(folder, only=["02_tow"]) == (
        "there is no notebook '02_tow'; did you mean '02_two'?"
    )
    assert "no notebook NN_name.ipynb in" in refusal(tmp_path)


def test_notebook_without_parameters_tag_is_refused(folder):
    """papermill alone would exit 0 here, with the defaults."""
    write_notebook(folder / "02_two.ipynb", "pass", tag="other")
    assert "02_two.ipynb has no parameters that papermill can read" in refusal(folder)


def test_parameter_without_type_is_refused(folder):
    write_notebook(folder / "02_two.ipynb", parameters="epochs = 3")
    assert "02_two.ipynb: epochs needs a type out of str, bool, int, float" in refusal(folder)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"epochs": "0"}, "epochs must be a whole number, 1 or more, got 0; use 1"),
        ({"head": "seed"}, "head must be one of 'original', 'direct', got 'seed'; did you mean"),
        ({"learning_rate": ".nan"}, "learning_rate must be a number between 0 and 1"),
        ({"learning_rate": "inf"}, "learning_rate must be a number between 0 and 1"),
    ],
)
def test_values_out_of_range(folder, texts, message):
    assert message in refusal(folder, texts=texts)


def test_file_is_checked_for_notebooks_that_are_left_out(folder, tmp_path):
    file = params(tmp_path, "epochs: 0")
    assert "epochs must be" in refusal(folder, [file], only=["02_two"])


def test_defaults_are_checked_too(folder):
    write_notebook(folder / "02_two.ipynb", parameters="image_size: int = 100  # px")
    assert "image_size must be a multiple of 16" in refusal(folder, texts={"epochs": "3"})
    write_notebook(folder / "02_two.ipynb", parameters="own_thing: int = 100  # mine")
    assert plan.plan([], {"own_thing": "5"}, folder=folder)


def test_source_is_looked_for_only_if_a_notebook_reads_it(folder, tmp_path):
    source = "source: str = 'phantom'  # images\nrun_name: str = 'quick'  # run"
    write_notebook(folder / "01_one.ipynb", parameters=source)
    file = params(tmp_path, "source: no/such/folder")
    text = refusal(folder, [file])
    assert f"looked for {workspace.PROJECT / 'no' / 'such' / 'folder'}" in text
    assert plan.plan([str(file)], {}, only=["02_two"], folder=folder)


def test_what_a_run_asks_of_the_data(tmp_path):
    file = params(tmp_path, "dataset: films\nmask_values: '1,2'\nepochs: 3\nval_fraction: 0.2")

    def asked(*only, texts=None, files=(str(file),)):
        return plan.plan(list(files), texts or {}, only=only)[0].data

    whole = asked(texts={"invert": "auto"})
    usual = {
        "source": "phantom", "phantoms": 120, "phantom_masks": "both", "split_seed": 0,
        "split": "stratified",
        "group_by": "", "intensity": "auto", "empty_masks": "exclude", "follow_links": False,
    }  # fmt: skip
    given = {"dataset": "films", "mask_values": "1,2", "val_fraction": 0.2}
    assert whole == usual | given | {"invert": "auto"}
    assert asked("01_restructure_dataset", "04_train") == usual | given | {"invert": "no"}
    for name in ("02_explore_images", "04_train", "05_evaluate", "08_how_wide"):
        assert asked(name) == given
        assert asked(name, files=()) == {"dataset": "phantom"}
    assert asked("03_build_unet") == {}


def test_old_names_lead_to_the_new_ones(folder):
    new = "augmentation_strength: float = 1.0\nexternal_dataset: str = ''"
    write_notebook(folder / "02_two.ipynb", parameters=new)
    assert "did you mean 'augmentation_strength'?" in refusal(folder, texts={"strength": "2"})
    assert "did you mean 'external_dataset'?" in refusal(folder, texts={"foreign": "x"})


@pytest.mark.parametrize("name", ["02_two-Copy1", "02_two (copy)", "02_two.sync-conflict", "02_Two",
                                  ".02_two", "2_two", "02_two.failed", "022_two"])
def test_copies_are_not_part_of_the_series(folder, name):
    shutil.copy(folder / "02_two.ipynb", folder / f"{name}.ipynb")
    assert [p.stem for p in plan.select(folder)] == ["01_one", "02_two"]
    text = refusal(folder, only=[name])
    assert f"{name}.ipynb is not part of the series" in text and "02_two" in text.split(";")[1]


def test_notebooks_for_practitioners_run_when_they_are_named_or_all_are_asked_for(folder):
    write_notebook(folder / "12_ship_it.ipynb", parameters="model: str = 'x'  # a file")
    assert [p.stem for p in plan.select(folder)] == ["01_one", "02_two"]
    assert [p.stem for p in plan.select(folder, every=True)] == ["01_one", "02_two", "12_ship_it"]
    assert [p.stem for p in plan.select(folder, ["12_ship_it"])] == ["12_ship_it"]
    (run,) = plan.plan([], {}, folder=folder, every=True)
    assert [n.stem for n in run.parameters] == ["01_one", "02_two", "12_ship_it"]
    file = params(folder.parent, "model: y")  # a parameter of theirs, in a file for all
    (run,) = plan.plan([str(file)], {}, folder=folder)
    assert [n.stem for n in run.parameters] == ["01_one", "02_two"]
    assert set(plan.PRACTICE).isdisjoint(p.stem for p in plan.select(plan.NOTEBOOKS))


def test_the_command_takes_all_or_some_not_both(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(plan, "plan", lambda *_, **more: asked.append(more) or [])
    assert command.main(["run", "--all"]) == command.main(["run"]) == 0
    assert [more["every"] for more in asked] == [True, False]
    with pytest.raises(SystemExit):
        command.main(["run", "--all", "--only", "04_train"])
    assert "not allowed with argument --all" in capsys.readouterr().err


def test_needs_name_notebooks_that_come_before():
    series = [p.stem for p in plan.select(plan.NOTEBOOKS, every=True)]
    for name, needs in plan.NEEDS.items():
        assert name in series and all(need in series and need < name for need in needs)


def test_predecessors_are_all_that_a_notebook_needs_among_those_chosen():
    numbers = {name[:2]: name for name in plan.NEEDS} | {"09": "09_mine", "03b": "03_mine"}

    def before(*chosen):
        found = plan.predecessors(numbers[n] for n in chosen)
        assert list(found) == [numbers[n] for n in chosen]
        return {name: {other[:2] for other in others} for name, others in found.items()}

    assert before("01", "02", "03", "04", "05", "06", "07", "08") == {
        numbers["01"]: set(), numbers["02"]: {"01"}, numbers["03"]: set(), numbers["04"]: {"01"},
        numbers["05"]: {"01", "04"}, numbers["06"]: {"01", "04", "05"},
        numbers["07"]: {"01", "04", "05"},
        numbers["08"]: {"01"},
    }  # fmt: skip
    assert before("01", "05") == {numbers["01"]: set(), numbers["05"]: {"01"}}
    assert before("04", "05", "07") == {
        numbers["04"]: set(), numbers["05"]: {"04"}, numbers["07"]: {"04", "05"}}
    assert before("01", "02", "03b", "04", "05", "09") == {
        numbers["01"]: set(), numbers["02"]: {"01"}, "03_mine": {"01", "02"},
        numbers["04"]: {"01", "03"}, numbers["05"]: {"01", "03", "04"},
        "09_mine": {"01", "02", "03", "04", "05"},
    }  # fmt: skip


def test_refused_request_exits_2_soon_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "unet_lib", "run", "-p", "image_size", "100"],
        cwd=workspace.PROJECT, capture_output=True, text=True,
    )
    assert time.monotonic() - started < 20  # 2 on a machine that does nothing else
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Refused, nothing has run: image_size must be a multiple of 16")
    assert done.stderr.count("\n") == 1
    assert command.main(["run", "-p", "epoch", "3"]) == 2
    assert not list(tmp_path.iterdir())


def test_help_is_quick_because_nothing_heavy_is_imported():
    code = (
        "import sys\nfrom unet_lib import __main__\n"
        "try: __main__.main(['run', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'papermill', 'nbconvert', 'nbformat', 'tensorflow', 'keras', 'numpy', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    command = [sys.executable, "-c", code]
    subprocess.run(command, check=True, cwd=workspace.PROJECT, capture_output=True)
