"""Runs: parameters, place, kernel and surroundings of notebooks; failures; what stays on disk."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import nbformat
import pytest
from made import copies, names, params, printed, run, write_notebook

from unet_lib import console, datasets, workspace
from unet_lib.intake import safekeeping
from unet_lib.series import execute, plan

RUN_TWO = """
import pathlib, sys
from unet_lib.series import execute, plan
sys.exit(execute.run_all(plan.plan([], {{}}, only=["02_two"], folder=pathlib.Path(r"{}"))))
"""


def failure(folder, **more):
    with pytest.raises(execute.NotebookFailed) as caught:
        run(folder, **more)
    return str(caught.value)


def test_run_executes_in_order_and_reports(folder, capsys):
    """Parameters, working directory, kernel, report: one run shows them all."""
    runs = plan.plan([], {"epochs": "7"}, run_name="mine", folder=folder)
    assert execute.run_all(runs) == 0
    assert names("mine") == ["01_one.ipynb", "02_two.ipynb"]
    assert printed(copies("mine") / "01_one.ipynb") == "mine 7 0.1 False original\n"
    assert f"{folder} {sys.executable}\n" in printed(copies("mine") / "02_two.ipynb")
    out = capsys.readouterr().out
    assert "01_one: 4 cells" in out and "4/4" in out
    page = workspace.run_dir("mine") / "report.html"
    assert str(copies("mine") / "02_two.ipynb") in out and str(page) in out
    assert 'id="01_one"' in page.read_text("utf-8") and 'id="02_two"' in page.read_text("utf-8")
    notebook = nbformat.read(copies("mine") / "01_one.ipynb", 4)
    assert notebook.metadata.papermill.output_path == str(copies("mine") / "01_one.ipynb")


# ----------------------------------------------------------------------------- what stays


def test_only_replaces_its_own_copy(folder):
    """The page is made from the copies of all requests, but for what is not of the series."""
    run(folder)
    (copies() / "02_two-Copy1.ipynb").write_text("{}")
    (copies() / ".partial-abc.ipynb").write_text("{}")  # of a runner that was killed
    before = (copies() / "02_two.ipynb").read_bytes()
    run(folder, {"epochs": "5"}, only=["01_one"])
    assert printed(copies() / "01_one.ipynb").startswith("quick 5")
    assert names() == ["01_one.ipynb", "02_two-Copy1.ipynb", "02_two.ipynb"]
    assert (copies() / "02_two.ipynb").read_bytes() == before
    page = (workspace.run_dir("quick") / "report.html").read_text("utf-8")
    assert 'id="02_two"' in page and "Copy1" not in page


def test_failing_notebook_costs_nothing_that_was_good(folder, capsys):
    run(folder)
    good = (copies() / "02_two.ipynb").read_bytes()
    page = (workspace.run_dir("quick") / "report.html").read_bytes()
    write_notebook(folder / "02_two.ipynb", "print('before')", "raise ValueError('no')")
    text = failure(folder)
    failed = copies() / "02_two.failed.ipynb"
    assert text == (f"02_two, cell 'cell-1': ValueError: no\nwhat ran until then is in {failed}")
    assert "before" in printed(failed) and "papermill-error-cell" in failed.read_text("utf-8")
    assert (copies() / "02_two.ipynb").read_bytes() == good
    assert (workspace.run_dir("quick") / "report.html").read_bytes() == page
    write_notebook(folder / "02_two.ipynb", "print('after')")
    run(folder)
    assert names() == ["01_one.ipynb", "02_two.ipynb"]  # the failed one is gone
    assert printed(copies() / "02_two.ipynb") == "after\n"


def test_failing_notebook_is_named_and_stops_only_its_run(folder, tmp_path, capsys):
    stop = "if run_name == 'bad':\n    raise ValueError('image_size must be [a] multiple of 16')"
    write_notebook(folder / "02_two.ipynb", "print('before')", stop)
    write_notebook(folder / "03_three.ipynb", "print('last')")
    files = [params(tmp_path, "epochs: 2", name) for name in ("bad.yaml", "good.yaml")]
    assert execute.run_all(plan.plan([str(f) for f in files], {}, folder=folder)) == 1
    out, err = capsys.readouterr()
    assert "FAILED: 02_two, cell 'cell-1': ValueError: image_size must be [a] multiple of 16" in err
    assert names("bad") == ["01_one.ipynb", "02_two.failed.ipynb"]
    assert names("good") == ["01_one.ipynb", "02_two.ipynb", "03_three.ipynb"]
    assert not (workspace.run_dir("bad") / "report.html").exists()
    assert (workspace.run_dir("good") / "report.html").exists()
    table = out[out.rindex("run ") :]
    assert re.search(r"bad +│ failed +│ +\d+ +│ -", table), table
    assert re.search(r"good +│ done +│ +\d+ +│ -", table), table


@pytest.mark.parametrize("name, place, maker", [
    ("external_dataset", "data/mine", "01_restructure_dataset with this dataset"),
    ("other_run", "runs/mine", "04_train with this run_name")])
def test_what_a_run_is_compared_with_has_to_be_there(folder, tmp_path, name, place, maker):
    """Before anything runs: notebook 05 or 06 would say so after the training."""
    write_notebook(folder / "03_three.ipynb", f"print({name})", parameters=f"{name}: str = ''  #\n")
    told = failure(folder, texts={name: "mine"})
    assert told == (f"{name} 'mine' is not there: nothing in {place}; run {maker} first,"
                    " or leave it out")
    assert not workspace.run_dir("quick").exists()
    (tmp_path / "workspace" / place).mkdir(parents=True)
    run(folder, texts={name: "mine"})
    assert printed(copies() / "03_three.ipynb") == "mine\n"


def test_the_table_holds_the_seconds_of_each_run(monkeypatch):
    clock, tables = [1000.0], []

    def run_one(run):
        clock[0] += {"a": 12.4, "b": 75.6, "c": 0.2}[run.name]
        if run.name == "b":
            raise ValueError("no")

    monkeypatch.setattr(execute, "time", types.SimpleNamespace(time=lambda: clock[0]))
    monkeypatch.setattr(execute, "run_one", run_one)
    monkeypatch.setattr(execute, "show_table", lambda columns, rows: tables.append((columns, rows)))
    assert execute.run_all([plan.Run(name, {}) for name in "abc"]) == 1
    ((columns, rows),) = tables
    assert columns[:3] == ("run", "status", "seconds")
    assert [row[:3] for row in rows] == [
        ("a", "done", "12"), ("b", "failed", "76"), ("c", "done", "0")]  # fmt: skip


def test_the_same_run_twice_at_once(folder, capsys):
    """The second is told who has it, exits 1 and touches nothing."""
    home = workspace.run_dir("quick")
    code = ("import pathlib, sys; from unet_lib import workspace\n"
            f"workspace.claim(pathlib.Path(r'{home}'), purpose='runner')\n"
            "print('claimed', flush=True); sys.stdin.read()")
    other = subprocess.Popen([sys.executable, "-c", code], cwd=workspace.PROJECT, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == "claimed\n"
    before = sorted(home.rglob("*"))
    try:
        assert execute.run_all(plan.plan([], {}, folder=folder)) == 1
        err = capsys.readouterr().err
        assert f"FAILED: runs/quick is in use by process {other.pid} on " in err
        assert sorted(home.rglob("*")) == before
    finally:
        other.communicate("")
    run(folder, only=["02_two"])
    run(folder, only=["02_two"])  # it is given back


# ------------------------------------------------------------------------------------ data

ASKED = """source: str = "phantom"  # source
phantoms: int = 5  # pairs
dataset: str = "films"  # name
val_fraction: float = 0.2  # share
split_seed: int = 0  # seed
split: str = "last"  # rule
group_by: str = ""  # groups
mask_values: str = "auto"  # foreground
intensity: str = "auto"  # range
invert: str = "no"  # negatives
empty_masks: str = "exclude"  # empty ones
follow_links: bool = False  # links"""
MAKE = """from unet_lib import datasets, workspace
from unet_lib.intake import prepare
names = "val_fraction split_seed split group_by mask_values intensity invert empty_masks"
options = {name: globals()[name] for name in [*names.split(), "follow_links"]}
options["asked"] = datasets.source_name(source, phantoms=phantoms)
folder = prepare.find_source(source, workspace.data_dir(dataset), phantoms=phantoms)
print(prepare.restructure(folder, workspace.data_dir(dataset), **options)["written"])"""
READ = """from unet_lib import datasets, workspace
print(datasets.load_manifest(workspace.data_dir(dataset))["mask_values"])"""


@pytest.fixture
def pair(folder, monkeypatch):
    """A notebook that makes data and one that reads them, both without what costs seconds."""
    monkeypatch.setenv("PYTHONPATH", str(workspace.PROJECT))  # installed or not
    for notebook in folder.iterdir():
        notebook.unlink()
    write_notebook(folder / "01_restructure_dataset.ipynb", MAKE, parameters=ASKED)
    named = "dataset: str = 'films'  # name\nrun_name: str = 'quick'  # run"
    write_notebook(folder / "04_train.ipynb", READ, parameters=named)
    return folder


def test_a_run_reads_the_data_that_it_asks_for(pair, tmp_path, capsys):
    """Beside a run that asks for other data of the same name, the second touches nothing."""
    run(pair, {"mask_values": "255"})
    assert printed(copies() / "04_train.ipynb") == "255\n"
    record = datasets.load_manifest(workspace.data_dir("films"))
    record = {name: record[name] for name in datasets.RECORDED}
    with safekeeping.using(workspace.data_dir("films"), record, who="run 'other'"):
        if workspace.fcntl:
            assert execute.run_all(plan.plan([], {}, folder=pair, run_name="second")) == 1
            told = capsys.readouterr().err
            assert "FAILED: data/films is in use by run 'other'" in told
            assert "mask_values is '255' there, here 'auto'. Wait until it ends, or choose" in told
            assert not copies("second").exists()
        run(pair, {"mask_values": "255"}, run_name="third")  # the same data: side by side
        run(pair, {"dataset": "own"}, run_name="fourth")
    run(pair, run_name="fifth")
    assert printed(copies("fifth") / "04_train.ipynb") == "auto\n"


def test_data_that_were_made_otherwise_than_a_file_says_are_refused(pair, tmp_path):
    run(pair, {"mask_values": "255"}, only=["01_restructure_dataset"])
    other = params(tmp_path, "mask_values: '1'\ninvert: auto", "other.yaml")
    (refused,) = plan.plan([str(other)], {}, folder=pair, only=["04_train"])
    with pytest.raises(execute.NotebookFailed) as caught:
        execute.run_one(refused)
    assert "the data set 'films' was made differently: mask_values was '255', here it is '1'; " in (
        str(caught.value))
    same = params(tmp_path, "mask_values: '255'", "same.yaml")
    for files in ([str(same)], []):
        (good,) = plan.plan(files, {}, folder=pair, only=["04_train"])
        execute.run_one(good)
        assert printed(copies(good.name) / "04_train.ipynb") == "255\n"


@pytest.mark.skipif(workspace.fcntl is None, reason="needs flock")
def test_a_run_holds_its_data_to_the_end(pair):
    """Also if it did not make them: nobody changes them under it."""
    change = READ + """
from unet_lib.intake import prepare
try:
    prepare.restructure(prepare.find_source("phantom", workspace.data_dir(dataset), phantoms=5),
                        workspace.data_dir(dataset), asked="phantom (5 pairs)", invert="yes")
except BlockingIOError as error:
    print(error)"""
    run(pair, only=["01_restructure_dataset"])
    write_notebook(pair / "04_train.ipynb", change, parameters="dataset: str = 'films'  # name")
    run(pair, only=["04_train"])
    assert "is in use by run 'quick'" in printed(copies() / "04_train.ipynb")


# ------------------------------------------------------------------------------------ kernels


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize(
    ("death", "message"),
    [
        ("os.kill(os.getpid(), 9)", "the kernel died of SIGKILL; mostly memory ran out: try a "
                                    "smaller batch_size or image_size, or one notebook"
                                    " at a time with --only"),
        ("os.kill(os.getpid(), signal.SIGBUS)", "SIGBUS; mostly the disk is full, or a file was"),
        ("os.kill(os.getpid(), signal.SIGILL)", "SIGILL; this TensorFlow needs instructions (AVX)"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "the kernel died of SIGSEGV; a library crashed"),
        ("os._exit(9)", "the kernel ended by itself with exit code 9"),
    ],
)
def test_dead_kernel_is_told_by_its_signal(folder, death, message):
    write_notebook(folder / "02_two.ipynb", f"import os, signal; print('before'); {death}")
    text = failure(folder, only=["02_two"])
    assert text.startswith("02_two, cell 'cell-0': ") and message in text
    assert (copies() / "02_two.failed.ipynb").exists()


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_kernel_that_does_not_come_up_is_started_once_more(folder, tmp_path, monkeypatch, deaths):
    """Python itself ends so often before a kernel answers; a kernel that dies later is not begun
    again (see above): its cells may have done something."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import os, pathlib, sys\n"
        f"place = pathlib.Path(r'{tmp_path / 'starts'}')\n"
        "if 'ipykernel_launcher' in sys.orig_argv:\n"
        "    place.open('a').write('x')\n"
        f"    if len(place.read_text()) <= {deaths}:\n"
        "        os._exit(3)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}{os.pathsep}{workspace.PROJECT}")
    if deaths == 1:
        run(folder, only=["02_two"])
        assert sys.executable in printed(copies() / "02_two.ipynb")
    else:
        assert "the kernel ended by itself with exit code 3" in failure(folder, only=["02_two"])
    assert (tmp_path / "starts").read_text() == "xx"


def test_papermill_does_not_speak_amid_the_progress(folder):
    write_notebook(folder / "02_two.ipynb", "import os; os._exit(9)")
    done = subprocess.run([sys.executable, "-c", RUN_TWO.format(folder)], cwd=workspace.PROJECT,
                          capture_output=True, text=True)
    assert done.returncode == 1 and "Kernel died" not in done.stdout
    assert done.stderr == (
        "\nFAILED: 02_two, cell 'cell-0': the kernel ended by itself with exit code 9\n"
        f"what ran until then is in {copies() / '02_two.failed.ipynb'}\n"
    )


def test_a_busy_machine_is_given_time(folder):
    """That a cell printed all may be said long after it is done: papermill waits 4 s by itself."""
    write_notebook(
        folder / "02_two.ipynb",
        "import sys, time\n"
        "sys.stdout.flush_timeout = sys.stderr.flush_timeout = 0.1  # the cell does not wait\n"
        "get_ipython().kernel.iopub_thread.io_loop.add_callback(lambda: time.sleep(6))",
    )
    run(folder, only=["02_two"])


# ------------------------------------------------------------------------------- side by side

WAIT = """
import os, pathlib, time
def wait_for(path):
    end = time.monotonic() + 60
    while not pathlib.Path(path).exists():
        assert time.monotonic() < end, f"{path} has not come"
        time.sleep(0.05)
"""


@pytest.fixture
def place(folder, tmp_path, monkeypatch):
    """An empty folder of notebooks, on a machine of two cores; beside it notebooks leave files."""
    monkeypatch.setattr(execute, "_at_once", lambda: 2)
    for notebook in folder.iterdir():
        notebook.unlink()

    def add(name, *sources):
        code = WAIT + f"place, name = pathlib.Path(r'{tmp_path}'), '{name}'"
        write_notebook(folder / f"{name}.ipynb", code, *sources)

    add.folder, add.path = folder, tmp_path
    return add


def test_notebooks_that_do_not_need_one_another_overlap(place):
    """Each waits for a file that the other writes."""
    pair = ("01_restructure_dataset", "03_build_unet")
    for mine, theirs in (pair, pair[::-1]):
        place(mine, f"(place / '{mine}').touch()\nwait_for(place / '{theirs}')\nos.getcwd()")
    here = os.getcwd()
    run(place.folder)
    assert names() == ["01_restructure_dataset.ipynb", "03_build_unet.ipynb"]
    for path in copies().iterdir():
        assert str(place.folder) in str(nbformat.read(path, 4).cells[-1].outputs)
    assert os.getcwd() == here


SERIES = ["01_restructure_dataset", "02_explore_images", "03_build_unet", "04_train", "05_evaluate",
          "09_mine", "10_other"]
LOG = """
def log(what):
    with open(place / "log", "a") as file:
        file.write(f"{what} {name}\\n")
log("begin"); time.sleep(0.3); log("end")
"""


def events(place, chosen):
    """Run notebooks that write down when they begin and end; return the lines."""
    for name in chosen:
        place(name, LOG)
    run(place.folder)
    log = (place.path / "log").read_text().splitlines()
    assert sorted(log) == sorted(f"{what} {name}" for what in ("begin", "end") for name in chosen)
    return log


def test_each_begins_when_those_it_needs_have_ended(place):
    """Also those that are needed through another, and one that may need all before it."""
    log = events(place, SERIES)
    full = {name[:2]: name for name in SERIES}
    for pair in ("01 02", "01 04", "04 05", "05 09", "03 09", "02 09", "09 10"):
        first, then = pair.split()
        assert log.index(f"end {full[first]}") < log.index(f"begin {full[then]}"), log
    running = [sum(1 if line.startswith("begin") else -1 for line in log[:k]) for k in range(14)]
    assert max(running) <= 2


def test_one_at_a_time_is_reading_order(place, monkeypatch):
    monkeypatch.setattr(execute, "_at_once", lambda: 1)
    chosen = SERIES[:3]
    assert events(place, chosen) == [f"{w} {name}" for name in chosen for w in ("begin", "end")]


def test_the_page_is_in_reading_order_whoever_ends_first(place, capsys):
    last = f"wait_for(r'{copies() / '03_build_unet.ipynb'}')\nprint('last')"
    place("01_restructure_dataset", last)
    place("03_build_unet", "print('first')")
    run(place.folder)
    page = (workspace.run_dir("quick") / "report.html").read_text("utf-8")
    assert page.index('id="01_restructure_dataset"') < page.index('id="03_build_unet"')
    lines = capsys.readouterr().out.splitlines()
    told = [line.split(",")[0] for line in lines if " cells" in line]
    assert sorted(told[:2]) == ["01_restructure_dataset: 5 cells", "03_build_unet: 5 cells"]
    assert told[2:] == ["03_build_unet: 5/5 cells", "01_restructure_dataset: 5/5 cells"]


def test_after_a_failure_nothing_begins_and_what_runs_ends_properly(place, capsys):
    page = workspace.run_dir("quick") / "report.html"
    page.parent.mkdir(parents=True)
    page.write_text("earlier")
    failed = copies() / "03_build_unet.failed.ipynb"
    place("01_restructure_dataset", f"(place / 'begun').touch()\nwait_for(r'{failed}')",
          "time.sleep(0.5)\nprint('to its end')")
    place("02_explore_images", "print('never')")
    place("03_build_unet", "wait_for(place / 'begun')", "raise ValueError('no')")
    assert execute.run_all(plan.plan([], {}, folder=place.folder)) == 1
    out, err = capsys.readouterr()
    assert names() == ["01_restructure_dataset.ipynb", failed.name]
    assert printed(copies() / "01_restructure_dataset.ipynb") == "to its end\n"
    assert err == (f"\nFAILED: 03_build_unet, cell 'cell-2': ValueError: no\n"
                   f"what ran until then is in {failed}\n")
    assert "03_build_unet has failed; the run stops when 01_restructure_dataset has ended\n" in out
    assert re.search("^03_build_unet: 5/6 cells, .* s, stopped in cell-2$", out, re.M)
    assert page.read_text() == "earlier"


def test_two_failures_are_both_told(place):
    place("01_restructure_dataset", "(place / 'a').touch(); wait_for(place / 'b')", "1 / 0")
    place("03_build_unet", "(place / 'b').touch(); wait_for(place / 'a')", "{}['x']")
    text = failure(place.folder)
    assert "01_restructure_dataset, cell 'cell-2': ZeroDivisionError: division by zero\n" in text
    assert "03_build_unet, cell 'cell-2': KeyError: 'x'\n" in text
    assert names() == ["01_restructure_dataset.failed.ipynb", "03_build_unet.failed.ipynb"]


def test_one_core_runs_one_at_a_time(monkeypatch):
    for cores, at_once in (({0}, 1), ({3, 5}, 2), (set(range(64)), 2)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, c=cores: c, raising=False)
        assert execute._at_once() == at_once
    monkeypatch.delattr(os, "sched_getaffinity")
    for cores, at_once in ((None, 1), (1, 1), (8, 2)):
        monkeypatch.setattr(os, "cpu_count", lambda c=cores: c)
        assert execute._at_once() == at_once


# ------------------------------------------------------------------------------ ended from outside

RUN_BOTH = """
import pathlib, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup has set aside
from unet_lib.series import execute, kernels, plan
execute._at_once = lambda: 2
kernels._PATIENCE = {patience}
sys.exit(execute.run_all(plan.plan([], {{}}, folder=pathlib.Path(r"{folder}"))))
"""


@pytest.fixture
def ended(place, monkeypatch):
    """Give a function that starts a run of two notebooks, sends signals, and returns its words."""
    temporary = tempfile.mkdtemp(prefix="t-", dir="/tmp")  # short: sockets lie in it
    monkeypatch.setenv("TMPDIR", temporary)

    def end(numbers, *, patience, code):
        begun = [place.path / name for name in ("01_restructure_dataset", "03_build_unet")]
        for path in begun:
            place(path.name, f"(place / '_').write_text(str(os.getpid()))\n"
                             f"(place / '_').rename(place / '{path.name}')\n{code}".replace(
                                 "'_'", f"'_{path.name}'"), "(place / 'later').touch()")
        process = subprocess.Popen(
            [sys.executable, "-c", RUN_BOTH.format(folder=place.folder, patience=patience)],
            cwd=workspace.PROJECT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while not all(path.exists() for path in begun) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.3)
        for number in numbers:
            os.killpg(process.pid, number)
            time.sleep(0.3)
        _, err = process.communicate(timeout=120)
        for path in begun:
            with pytest.raises(ProcessLookupError):
                os.kill(int(path.read_text()), 0)
        assert names() == [] and not list(Path(temporary).glob("unet-*"))
        assert not (place.path / "later").exists()
        return process.returncode, err

    yield end
    shutil.rmtree(temporary)


GOES_ON = "in run 'quick'. The same command goes on from here: training resumes at its last"


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize(
    ("numbers", "code", "word"),
    [
        ([signal.SIGINT], 130, "Interrupted"),
        ([signal.SIGINT, signal.SIGINT], 130, "Interrupted"),
        ([signal.SIGTERM, signal.SIGINT], 143, "Ended by SIGTERM"),
        ([signal.SIGHUP], 129, "Ended by SIGHUP"),
    ],
)
def test_a_signal_ends_both_kernels_and_says_how_to_go_on(ended, place, numbers, code, word):
    """Cells may tidy up; no kernel, partial copy or folder of sockets stays."""
    tidy = ("try:\n    time.sleep(300)\nfinally:\n    time.sleep(1)\n"  # the second signal comes
            "    (place / f'{name}-tidied').touch()")
    returned, err = ended(numbers, patience=30, code=tidy)
    assert returned == code
    assert err == f"\n{word} {GOES_ON} finished epoch.\n"
    assert len(list(place.path.glob("*-tidied"))) == 2


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
def test_a_kernel_that_does_not_listen_is_killed(ended):
    deaf = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(60)"
    returned, err = ended([signal.SIGINT], patience=0.5, code=deaf)
    assert returned == 130 and err == f"\nInterrupted {GOES_ON} finished epoch.\n"


def test_handlers_of_signals_are_put_back(folder):
    before = [signal.getsignal(number) for number in console.ENDS]
    run_all = execute.run_all(plan.plan([], {}, only=["02_two"], folder=folder))
    assert run_all == 0 and [signal.getsignal(number) for number in console.ENDS] == before
