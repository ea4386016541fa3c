"""The runner, on small notebooks made here: checks before the run, execution, failures, report."""

import html.parser
import json
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from unet_lib import __main__ as command
from unet_lib import workspace, series

BADGE = "[![Open in Colab](https://colab/x.svg)](https://colab/x)"
TITLE = f"# {{}}\n\n{BADGE}\n\nNext: [two](02_two.ipynb)"


def write_notebook(path, *sources, parameters="run_name: str = 'quick'  # run", tag="parameters"):
    cells = [
        nbformat.v4.new_markdown_cell(TITLE.format(f"Title of {path.stem}"), id="title"),
        nbformat.v4.new_code_cell(parameters, id="parameters", metadata={"tags": [tag]}),
        *(nbformat.v4.new_code_cell(s, id=f"cell-{k}") for k, s in enumerate(sources)),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, path)


TYPED = (
    "run_name: str = 'quick'  # run\nepochs: int = 1  # passes\n"
    "learning_rate: float = 0.1  # step\naugment: bool = False  # flips\n"
    "head: str = 'seed'  # last layers"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two notebooks: the first prints its parameters, the second its place and its Python."""
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path / "workspace"))
    folder = tmp_path / "notebooks"
    folder.mkdir()
    show = "print(run_name, repr(epochs), repr(learning_rate), augment, head)"
    write_notebook(folder / "01_one.ipynb", show, parameters=TYPED)
    write_notebook(folder / "02_two.ipynb", "import os, sys; print(os.getcwd(), sys.executable)")
    return folder


def refusal(folder, files=(), texts=None, **more):
    with pytest.raises(series.Refused) as caught:
        series.plan([str(f) for f in files], texts or {}, folder=folder, **more)
    return str(caught.value)


def params(tmp_path, text, name="tiny.yaml"):
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


def printed(notebook):
    cells = nbformat.read(notebook, 4).cells
    return "".join(o.get("text", "") for c in cells for o in c.get("outputs", []))


# ------------------------------------------------------------------ refused before anything runs


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
    (run,) = series.plan([str(file)], {}, only=["02_two"], folder=folder)
    assert list(run.parameters.values()) == [{"run_name": "tiny"}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("epochs: 1.5", "epochs must be int, got 1.5 (float)"),
        ("epochs: true", "epochs must be int, got True (bool)"),
        ("epochs: '3'", "epochs must be int, got '3' (str)"),
        ("epochs:", "epochs must be int, got None (NoneType)"),
        ("learning_rate: fast", "learning_rate must be float, got 'fast' (str)"),
        ("learning_rate: true", "learning_rate must be float, got True (bool)"),
        ("augment: 1", "augment must be bool, got 1 (int)"),
        ("head: no", "head must be str, got False (bool); put it in quotes"),
        ("run_name: 007", "run_name must be str, got 7 (int); put it in quotes"),
        ("run_name: a/b", "run_name must be one plain folder name"),
    ],
)
def test_wrong_type(folder, tmp_path, line, message):
    assert message in refusal(folder, [params(tmp_path, line)])


def test_values_arrive_in_their_types(folder, tmp_path):
    """YAML 1.1 reads 1e-4 as text; int is fine for float; the command line wins over the file."""
    file = params(tmp_path, "learning_rate: 1e-4\nepochs: 3\naugment: yes")
    (run,) = series.plan([str(file)], {"epochs": "5", "head": "007"}, folder=folder)
    given = run.parameters[folder / "01_one.ipynb"]
    assert given == {"learning_rate": 1e-4, "epochs": 5, "augment": True, "head": "007",
                     "run_name": "tiny"}
    (run,) = series.plan([], {"learning_rate": "2"}, folder=folder)
    assert type(run.parameters[folder / "01_one.ipynb"]["learning_rate"]) is float


def test_run_name_comes_from_option_parameter_file_or_default(folder, tmp_path):
    file = str(params(tmp_path, "epochs: 3"))
    named = str(params(tmp_path, "run_name: other", "named.yaml"))
    names = [
        series.plan(files, texts, run_name=name, folder=folder)[0].name
        for files, texts, name in [
            ([], {}, None), ([file], {}, None), ([named], {}, None),
            ([named], {"run_name": "cli"}, None), ([named], {}, "option"),
        ]
    ]
    assert names == ["quick", "tiny", "other", "cli", "option"]


def test_file_faults(folder, tmp_path):
    assert "did you mean 'seed.yaml'?" in refusal(folder, [tmp_path / "seeds.yaml"])
    assert "is not valid YAML" in refusal(folder, [params(tmp_path, "a: [1")])
    assert "must hold lines such as 'epochs: 20', got list" in refusal(
        folder, [params(tmp_path, "- 1")]
    )
    assert "got NoneType" in refusal(folder, [params(tmp_path, "# nothing")])


def test_names_that_clash(folder, tmp_path):
    files = [params(tmp_path, "run_name: same", name) for name in ("a.yaml", "b.yaml")]
    assert "have the same run_name 'same'" in refusal(folder, files)
    assert "--run names one run, got 2 parameter files" in refusal(folder, files, run_name="x")


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


def test_refused_request_exits_2_and_writes_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("UNET_LOWERED_WORKSPACE", str(tmp_path))
    monkeypatch.setattr(series, "declared_types", lambda notebook: {"epochs": "int"})
    monkeypatch.setattr(series, "select", lambda folder, only=(): [folder / "01.ipynb"])
    assert command.main(["run", "-p", "epoch", "3"]) == 2
    assert "Refused, nothing has run: no notebook here has" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_help_is_quick_because_nothing_heavy_is_imported():
    code = (
        "import sys\nfrom unet_lib import __main__\n"
        "try: __main__.main(['run', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'papermill', 'nbconvert', 'nbformat', 'tensorflow', 'keras', 'numpy', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=workspace.PROJECT, capture_output=True)


# ------------------------------------------------------------------------------------ execution


class Page(html.parser.HTMLParser):
    """Collects what a page refers to and the ids that it holds."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.images, self.opened = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if tag == "a" and "href" in attrs else []
        self.images += [attrs["src"]] if tag == "img" else []


FIGURE = (
    "import base64; from IPython.display import Image, display\n"
    "display(Image(data=base64.b64decode('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42m"
    "NkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==')))"
)
METRICS = {
    "validation": {"dice": {"mean": 0.9512}, "iou": {"mean": 0.9}, "accuracy": {"mean": 0.97}},
    "baselines": {"all_background": {"accuracy": {"mean": 0.7634}, "dice": {"mean": 0.0}}},
}


def test_run_executes_in_order_and_reports(folder, capsys):
    """Parameters, working directory, kernel, results table, report: one run shows them all."""
    run_dir = workspace.run_dir("mine")
    stale = run_dir / "notebooks" / "09_stale.ipynb"
    stale.parent.mkdir(parents=True)
    stale.write_text("{}")
    write_metrics = f"open(r'{run_dir}/metrics.json', 'w').write('''{json.dumps(METRICS)}''')"
    place = "import os, sys; print(os.getcwd(), sys.executable)"
    write_notebook(folder / "02_two.ipynb", place, FIGURE, write_metrics)
    runs = series.plan([], {"epochs": "7"}, run_name="mine", folder=folder)
    assert series.run_all(runs) == 0
    copies = sorted((run_dir / "notebooks").iterdir())
    assert [c.name for c in copies] == ["01_one.ipynb", "02_two.ipynb"]  # the stale one is gone
    assert printed(copies[0]) == "mine 7 0.1 False seed\n"
    assert f"{folder} {sys.executable}\n" in printed(copies[1])
    out = capsys.readouterr().out
    assert "01_one: 4 cells" in out and "4/4" in out
    for text in ("0.9512", "0.9700", "0.7634", "validation mean", "all background"):
        assert text in out
    assert str(copies[1]) in out and str(run_dir / "report.html") in out

    page = Page((run_dir / "report.html").read_text("utf-8"))
    assert {"#01_one", "#02_two"} <= set(page.links)
    assert [link for link in page.links if link.endswith(".ipynb")] == []
    assert len(page.ids) == len(set(page.ids)) and {"01_one", "02_two"} <= set(page.ids)
    assert {"cell-id=01_one-parameters", "cell-id=02_two-parameters"} <= set(page.ids)
    assert page.images and all(src.startswith("data:image/png;base64,") for src in page.images)


def test_kernel_is_this_python_though_another_is_registered(folder, tmp_path, monkeypatch):
    kernels = tmp_path / "jupyter" / "kernels" / "python3"
    kernels.mkdir(parents=True)
    spec = {"argv": ["/no/such/python", "-m", "x", "{connection_file}"], "display_name": "other"}
    (kernels / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    (run,) = series.plan([], {}, only=["02_two"], folder=folder)
    series.run_one(run)
    assert sys.executable in printed(workspace.run_dir("quick") / "notebooks" / "02_two.ipynb")


def test_only_keeps_what_ran_before_it_and_shows_no_old_metrics(folder, capsys):
    run_dir = workspace.run_dir("quick")
    series.run_one(series.plan([], {}, folder=folder)[0])
    (run_dir / "metrics.json").write_text(json.dumps(METRICS))
    os.utime(run_dir / "metrics.json", (1, 1))
    capsys.readouterr()
    series.run_one(series.plan([], {}, only=["01_one"], folder=folder)[0])
    assert [p.name for p in (run_dir / "notebooks").iterdir()] == ["01_one.ipynb"]
    assert "02_two" not in Page((run_dir / "report.html").read_text("utf-8")).ids
    assert "validation mean" not in capsys.readouterr().out


def test_failing_notebook_is_named_kept_and_stops_only_its_run(folder, tmp_path, capsys):
    stop = "if run_name == 'bad':\n    raise ValueError('image_size must be [a] multiple of 16')"
    write_notebook(folder / "02_two.ipynb", "print('before')", stop)
    write_notebook(folder / "03_three.ipynb", "print('last')")
    files = [params(tmp_path, "epochs: 2", name) for name in ("bad.yaml", "good.yaml")]
    assert series.run_all(series.plan([str(f) for f in files], {}, folder=folder)) == 1
    out, err = capsys.readouterr()
    assert "FAILED: 02_two, cell 'cell-1': ValueError: image_size must be [a] multiple of 16" in err
    bad, good = workspace.run_dir("bad"), workspace.run_dir("good")
    kept = bad / "notebooks" / "02_two.ipynb"
    assert str(kept) in err and "papermill-error-cell" in kept.read_text("utf-8")
    assert not (bad / "report.html").exists() and not (bad / "notebooks/03_three.ipynb").exists()
    assert (good / "report.html").exists() and (good / "notebooks/03_three.ipynb").exists()
    table = out[out.rindex("run ") :]
    assert re.search(r"bad +│ failed +│ +\d+ +│ -", table), table
    assert re.search(r"good +│ done +│ +\d+ +│ -", table), table


def test_dead_kernel_gives_a_memory_hint(folder):
    write_notebook(folder / "02_two.ipynb", "import os; os._exit(9)")
    (run,) = series.plan([], {}, only=["02_two"], folder=folder)
    with pytest.raises(series.NotebookFailed) as caught:
        series.run_one(run)
    assert "02_two, cell 'cell-0': the kernel died; mostly memory ran out" in str(caught.value)


def test_ctrl_c_exits_130_leaves_no_kernel_and_says_how_to_resume(folder, tmp_path):
    pid_file = tmp_path / "pid"
    wait = f"import os, time; open(r'{pid_file}', 'w').write(str(os.getpid())); time.sleep(60)"
    write_notebook(folder / "02_two.ipynb", wait)
    code = (
        "import pathlib, sys; from unet_lib import series\n"
        f"runs = series.plan([], {{}}, only=['02_two'], folder=pathlib.Path(r'{folder}'))\n"
        "sys.exit(series.run_all(runs))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=workspace.PROJECT, stderr=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted in run 'quick'. The same command goes on from here" in err
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
