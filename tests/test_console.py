"""How the command line is called, seen and ended, whoever reads what it says."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from unet_lib import __main__, console, workspace

PRINT = """import sys, time
from unet_lib import console
with console.patient():
    for number in range(3):
        print("line\\u0416", number, flush=True)
        time.sleep(0.2)
open(sys.argv[1], "w").write("the work went on")"""


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        __main__.main([*arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("arguments, told", [
    (["predict", "x", "--out", "o", "--model", "a", "--model", "b"], "--model: is given twice, as"),
    (["predict", "x", "--out", "o", "--out", "p"], "--out: is given twice, as 'o' and as 'p'"),
    (["run", "--only", "04_train", "--only", "05_evaluate"], "name all behind one"),
    (["sweep", "s.yaml", "--cores", "1", "--cores", "2"], "--cores: is given twice"),
])
def test_an_option_that_is_given_twice_is_refused(capsys, arguments, told):
    assert told in refused(capsys, *arguments)


@pytest.mark.parametrize("command", [["run"], ["check", "phantom"]])
def test_a_parameter_that_is_given_twice_is_refused(capsys, command):
    name, values = ("epochs", "12") if command == ["run"] else ("invert", ["no", "yes"])
    given = [part for value in values for part in ("-p", name, value)]
    assert __main__.main([*command, *given]) == 2
    assert f"-p {name} is given twice, as" in capsys.readouterr().err


@pytest.mark.parametrize("option, values", [
    (["sweep", "s.yaml", "--cores"], ["-2", "0", "99999", "1.5", "two", ""]),
    (["sweep", "s.yaml", "--retries"], ["-1", "100000000"]),
    (["demo", "--port"], ["-1", "0", "70000"]),
])
def test_numbers_that_mean_nothing_are_refused(capsys, option, values):
    for value in values:
        told = refused(capsys, *option, value)
        assert f"{option[-1]}: must be a whole number from" in told and f"got {value!r}" in told


@pytest.mark.skipif(os.name != "posix", reason="a closed terminal gives EIO on Unix alone")
def test_the_work_goes_on_when_the_terminal_has_gone(tmp_path):
    import pty

    file = tmp_path / "done"
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", PRINT, file], stdout=theirs,
                          cwd=workspace.PROJECT) as process:
        os.close(theirs)
        os.read(ours, 5)
        os.close(ours)
        assert process.wait(60) == 0
    assert file.read_text() == "the work went on"


def test_another_thread_may_call_the_command_line():
    """It cannot set handlers of signals, and needs none."""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(__main__.main, ["run", "--params", "none.yaml"]).result() == 2


def test_the_work_goes_on_when_the_reader_has_gone(tmp_path):
    file = tmp_path / "done"
    with subprocess.Popen([sys.executable, "-c", PRINT, file], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, cwd=workspace.PROJECT) as job:  # fmt: skip
        job.stdout.close()
        assert job.wait(60) == 0 and job.stderr.read() == b""
    assert file.read_text() == "the work went on"


def test_a_reader_of_few_letters_gets_the_others_spelt(tmp_path):
    done = subprocess.run([sys.executable, "-c", PRINT, tmp_path / "done"], capture_output=True,
                          env={**os.environ, "PYTHONIOENCODING": "ascii"}, cwd=workspace.PROJECT)
    assert done.returncode == 0 and done.stdout.startswith(b"line\\u0416 0\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is always full: Linux")
def test_words_that_are_lost_to_a_full_disk_are_a_failure():
    code = ("import sys\nfrom unet_lib import __main__\n"
            "__main__._predict = lambda asked: print('said') or 0\n"
            "sys.exit(__main__.main(['predict', 'x', '--out', 'o']))")
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE,
                              text=True, cwd=workspace.PROJECT)
    assert done.returncode == 1
    assert done.stderr == "Stopped: [Errno 28] No space left on device\n"


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize("number, word", [
    (signal.SIGINT, "Interrupted."), (signal.SIGTERM, "Ended by SIGTERM."),
    (signal.SIGHUP, "Ended by SIGHUP."),
])
def test_a_signal_ends_a_command_in_order(monkeypatch, capsys, number, word):
    before = signal.signal(number, signal.default_int_handler if number == 2 else signal.SIG_DFL)
    try:
        monkeypatch.setattr(__main__, "_predict", lambda asked: os.kill(os.getpid(), number)
                            or time.sleep(5))
        assert __main__.main(["predict", "x", "--out", "o"]) == 128 + number
    finally:
        signal.signal(number, before)
    assert capsys.readouterr().err == f"\n{word}\n"


def test_handlers_of_signals_are_put_back():
    before = [signal.getsignal(number) for number in console.ENDS]
    with console.signals():
        pass
    assert [signal.getsignal(number) for number in console.ENDS] == before


def test_a_closed_stderr_is_no_obstacle(tmp_path):
    code = ("import os; os.close(2)\nfrom unet_lib import bootstrap\n"
            "with bootstrap.stderr_aside(): print('inside')")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=workspace.PROJECT)
    assert done.returncode == 0 and done.stdout == b"inside\n"
