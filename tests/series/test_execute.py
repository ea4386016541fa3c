"""Runs: parameters, place, kernel and surroundings of notebooks; failures; what stays on disk."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import pytest
from made import params, printed, write_notebook

from unet_lib import workspace
from unet_lib.series import execute, plan

RUN_TWO = """
import pathlib, sys
from unet_lib.series import execute, plan
sys.exit(execute.run_all(plan.plan([], {{}}, only=["02_two"], folder=pathlib.Path(r"{}"))))
"""


def copies(run_name="quick"):
    return workspace.run_dir(run_name) / "notebooks"


def names(run_name="quick"):
    return sorted(p.name for p in copies(run_name).iterdir())


def run(folder, texts=None, **more):
    (run,) = plan.plan([], texts or {}, folder=folder, **more)
    execute.run_one(run)


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


def test_kernel_is_this_python_though_another_is_registered(folder, tmp_path, monkeypatch):
    kernels = tmp_path / "jupyter" / "kernels" / "python3"
    kernels.mkdir(parents=True)
    spec = {"argv": ["/no/such/python", "-m", "x", "{connection_file}"], "display_name": "other"}
    (kernels / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    run(folder, only=["02_two"])
    assert sys.executable in printed(copies() / "02_two.ipynb")


# ------------------------------------------------------------------------------ surroundings

SHOW = [  # what settings of the user would change
    "import os\nimport matplotlib\nfrom matplotlib import pyplot\n5\nprint('last')\n"
    "print(matplotlib.rcParams['figure.dpi'], matplotlib.get_backend())",
    "pyplot.plot([1, 2])\npyplot.show()",
    "print(open(os.path.join(os.environ['KERAS_HOME'], 'keras.json')).read())\n"
    "print('dataset' in globals(), os.environ.get('KERAS_BACKEND'))",
    "from ipykernel.connect import get_connection_info\n"
    "print(get_connection_info(unpack=True)['transport'], os.environ['IPYTHONDIR'])",
]


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """What a user may have set: each of it would change a notebook."""
    profile = tmp_path / "ipython" / "profile_default"
    (profile / "startup").mkdir(parents=True)
    (profile / "ipython_config.py").write_text(
        'c.InteractiveShell.ast_node_interactivity = "all"')
    (profile / "startup" / "00.py").write_text('dataset = "from startup"')
    (tmp_path / "start.py").write_text('dataset = "from PYTHONSTARTUP"')
    (tmp_path / "matplotlibrc").write_text("figure.dpi: 17\n")
    (tmp_path / "keras").mkdir()
    keras = {"backend": "theano", "image_data_format": "channels_first", "floatx": "float16"}
    (tmp_path / "keras" / "keras.json").write_text(json.dumps(keras))
    for name, value in {
        "MPLBACKEND": "agg", "IPYTHONDIR": profile.parent, "KERAS_HOME": tmp_path / "keras",
        "PYTHONSTARTUP": tmp_path / "start.py", "MATPLOTLIBRC": tmp_path / "matplotlibrc",
        "KERAS_BACKEND": "tensorflow",
    }.items():
        monkeypatch.setenv(name, str(value))


def check_surroundings(notebook):
    code = [c for c in nbformat.read(notebook, 4).cells if c.id.startswith("cell-")]
    texts = ["".join(o.get("text", "") for o in c.outputs) for c in code]
    assert texts[0].splitlines()[0] == "last" and "100.0" in texts[0] and "inline" in texts[0]
    assert [o.output_type for o in code[0].outputs] == ["stream"]  # 5 is not shown
    assert any("image/png" in o.get("data", {}) for o in code[1].outputs)
    assert '"channels_last"' in texts[2] and '"tensorflow"' in texts[2] and "theano" not in texts[2]
    assert "False tensorflow" in texts[2]
    transport, place = texts[3].split()
    assert transport == ("ipc" if os.name == "posix" else "tcp")
    assert not Path(place).exists()  # removed with its kernel


def test_settings_of_the_user_change_nothing(folder, hostile):
    write_notebook(folder / "02_two.ipynb", *SHOW)
    run(folder, only=["02_two"])
    check_surroundings(copies() / "02_two.ipynb")


def test_settings_of_the_user_change_nothing_in_nbval(folder, hostile):
    """A notebook that was executed elsewhere is compared by nbval under such settings."""
    write_notebook(folder / "02_two.ipynb", *SHOW[:3], SHOW[3].split(", os.environ")[0] + ")")
    with pytest.MonkeyPatch.context() as calm:
        for name in ("MPLBACKEND", "IPYTHONDIR", "PYTHONSTARTUP", "MATPLOTLIBRC"):
            calm.delenv(name)
        run(folder, only=["02_two"])
    target = folder / "02_two.ipynb"
    (copies() / "02_two.ipynb").replace(target)
    command = [sys.executable, "-m", "pytest", "-q", "--nbval", f"--confcutdir={workspace.PROJECT}",
               "-p", "conftest", str(target)]
    done = subprocess.run(command, cwd=workspace.PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b[56] passed", done.stdout)


def test_long_temporary_folders_are_left_aside(folder, tmp_path, monkeypatch):
    """The path of a socket has room for about a hundred characters."""
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    write_notebook(folder / "02_two.ipynb", "import os\n" + SHOW[3])
    run(folder, only=["02_two"])
    assert os.name != "posix" or "ipc" in printed(copies() / "02_two.ipynb")


@pytest.mark.skipif(os.name != "posix", reason="/tmp is a place of Unix")
@pytest.mark.parametrize(("length", "taken"), [(60, True), (61, False)])
def test_a_folder_for_sockets_is_at_most_60_characters_deep(tmp_path, monkeypatch, length, taken):
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        place = Path(short, "x" * (length - len(short) - 1))
        place.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        found = execute._short_folder()
        assert len(str(place)) == length and found.parent == (place if taken else Path("/tmp"))
        found.rmdir()


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
    began = time.monotonic()
    assert execute.run_all(plan.plan([str(f) for f in files], {}, folder=folder)) == 1
    out, err = capsys.readouterr()
    assert "FAILED: 02_two, cell 'cell-1': ValueError: image_size must be [a] multiple of 16" in err
    assert names("bad") == ["01_one.ipynb", "02_two.failed.ipynb"]
    assert names("good") == ["01_one.ipynb", "02_two.ipynb", "03_three.ipynb"]
    assert not (workspace.run_dir("bad") / "report.html").exists()
    assert (workspace.run_dir("good") / "report.html").exists()
    table = out[out.rindex("run ") :]
    assert (bad := re.search(r"bad +│ failed +│ +(\d+) +│ -", table)), table
    assert (good := re.search(r"good +│ done +│ +(\d+) +│ -", table)), table
    assert int(bad[1]) + int(good[1]) <= time.monotonic() - began + 1  # each is rounded


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


# ------------------------------------------------------------------------------------ kernels


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize(
    ("death", "message"),
    [
        ("os.kill(os.getpid(), 9)", "the kernel died of SIGKILL; mostly memory ran out: try a "
                                    "smaller batch_size or image_size"),
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


def test_ctrl_c_exits_130_leaves_no_kernel_and_says_how_to_resume(folder, tmp_path):
    pid_file = tmp_path / "pid"
    wait = f"import os, time; open(r'{pid_file}', 'w').write(str(os.getpid())); time.sleep(60)"
    write_notebook(folder / "02_two.ipynb", wait)
    process = subprocess.Popen(
        [sys.executable, "-c", RUN_TWO.format(folder)], cwd=workspace.PROJECT,
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted in run 'quick'. The same command goes on from here" in err
    assert names() == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
