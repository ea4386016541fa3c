"""JupyterLab driven as a person would: open, run, stop, restart, save."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"
CELL = f"{PANEL} .jp-Notebook .jp-Cell"
WIDTH, HEIGHT = 1280, 900  # px of the window
SETTINGS = {  # every cell is laid out, seen or not, and no news are asked for
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


def wait_for(holds, *, seconds: float, what: str, steady: float = 0.0) -> None:
    """Wait until holds() is true, and stays so for a while; TimeoutError says what did not come."""
    end, since = time.monotonic() + seconds, None
    while time.monotonic() < end:
        since = (since or time.monotonic()) if holds() else None
        if since is not None and time.monotonic() - since >= steady:
            return
        time.sleep(0.1)
    raise TimeoutError(f"{what} did not come in {seconds:.0f} s")


class Lab:
    """A server on the loopback address, and the one page that looks at it."""

    def __init__(self, project: Path, folder: Path):
        """Copy what git knows of the project into the folder, and start the server there."""
        self.root, self.token, self.page = folder / "project", secrets.token_hex(16), None
        names = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=project,
                               check=True, capture_output=True, text=True).stdout  # fmt: skip
        for name in filter(None, names.split("\0")):
            if (project / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(project / name, self.root / name)
        for name, values in SETTINGS.items():
            path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values), encoding="utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"http://127.0.0.1:{free.getsockname()[1]}"
        own = {f"JUPYTER_{what}_DIR": str(folder / what) for what in ("CONFIG", "DATA", "RUNTIME")}
        own |= {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
                "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
                "UNET_LOWERED_WORKSPACE": str(self.root)}  # fmt: skip
        self.log = (folder / "server.log").open("w")
        self.server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--ip=127.0.0.1", "--no-browser", "--allow-root",
             f"--port={self.address.rsplit(':', 1)[1]}", f"--notebook-dir={self.root}",
             f"--IdentityProvider.token={self.token}",
             "--LabApp.app_settings_dir=docs/lab"],  # as `make lab`
            cwd=self.root,
            env={k: v for k, v in os.environ.items() if k != "MPLBACKEND"} | own,
            stdout=self.log, stderr=subprocess.STDOUT)  # fmt: skip
        wait_for(lambda: self.ask("status") is not None, seconds=180, what="the server")

    def ask(self, what: str):
        """Return the answer of the server's REST interface, None while there is none."""
        try:
            with urllib.request.urlopen(self.request(what), timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            return None

    def request(self, what: str, *, method: str = "GET") -> urllib.request.Request:
        """Return a request to the server's REST interface."""
        return urllib.request.Request(f"{self.address}/api/{what}", method=method,
                                      headers={"Authorization": f"token {self.token}"})  # fmt: skip

    def stop(self) -> None:
        """End the page and the server with its kernels."""
        if self.page is not None:
            self.page.context.close()
        self.server.terminate()
        try:
            self.server.wait(30)
        except subprocess.TimeoutExpired:
            self.server.kill()
        self.log.close()

    def open(self, browser) -> None:
        """Open the one page."""
        self.page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        self.page.set_default_timeout(120_000)
        self.page.goto(f"{self.address}/lab?token={self.token}")
        self.page.wait_for_selector(".lm-MenuBar-itemLabel")

    def notebook(self, stem: str) -> dict:
        """Return a notebook as it lies on the disk."""
        return json.loads((self.root / "notebooks" / f"{stem}.ipynb").read_text(encoding="utf-8"))

    def show(self, stem: str) -> None:
        """Open a notebook, alone, and wait until all its cells are there and the kernel is idle.

        On a busy machine a kernel may not come up: once it is started again.
        """
        place = f"{self.address}/lab/workspaces/{stem[:2]}/tree/notebooks/{stem}.ipynb?reset"
        count = len(self.notebook(stem)["cells"])
        for last in (False, True):
            self.page.goto(place)
            wait_for(lambda: self.page.locator(CELL).count() == count, seconds=60,
                     what=f"{count} cells of {stem}")  # fmt: skip
            try:
                return self.wait_idle(90)
            except TimeoutError:
                if last:
                    raise
                self.end_kernels()

    def choose(self, menu: str, entry: str) -> None:
        """Choose an entry of a menu, and accept the dialog that may follow."""
        self.page.locator(".lm-MenuBar-itemLabel", has_text=menu).first.click()
        self.page.locator(".lm-Menu-itemLabel").get_by_text(entry, exact=True).first.click()
        if entry.endswith("…"):
            self.page.locator(".jp-Dialog .jp-mod-accept").click()

    def cell(self, name: str):
        """Return the cell with this id, of the notebook that is shown."""
        stem = self.page.url.split("/")[-1].split(".ipynb")[0]
        ids = [cell["id"] for cell in self.notebook(stem)["cells"]]
        return self.page.locator(CELL).nth(ids.index(name))

    def waiting(self) -> int:
        """Return how many cells run or wait to."""
        return self.page.locator(f"{PANEL} .jp-InputPrompt", has_text="[*]:").count()

    def idle(self) -> bool:
        """Say whether nothing runs, by the page and by the server."""
        sessions = self.ask("sessions") or []
        states = {session["kernel"]["execution_state"] for session in sessions}
        return bool(sessions) and states == {"idle"} and not self.waiting()

    def wait_idle(self, seconds: float) -> None:
        """Wait until the kernel has been idle for a while: between two cells it is for a moment."""
        wait_for(self.idle, seconds=seconds, what="an idle kernel", steady=2.5)

    def run_all(self, seconds: float = 1800) -> None:
        """Run all cells, wait, save."""
        self.choose("Run", "Run All Cells")
        wait_for(lambda: self.waiting() > 0, seconds=30, what="a running cell")
        self.wait_idle(seconds)
        self.save()

    def save(self) -> None:
        """Save what is shown, and wait until it is on the disk."""
        self.page.locator(f"{PANEL} .jp-Notebook").click(position={"x": 2, "y": 2})
        self.page.keyboard.press("Control+s")
        wait_for(lambda: not self.page.locator(".lm-mod-current.jp-mod-dirty").count(),
                 seconds=20, what="a saved notebook")  # fmt: skip

    def end_kernels(self) -> None:
        """End all kernels, so that the next notebook has the memory for itself."""
        for session in self.ask("sessions") or []:
            request = self.request(f"sessions/{session['id']}", method="DELETE")
            urllib.request.urlopen(request, timeout=30).close()

    def picture(self, path: Path) -> None:
        """Take a screenshot of the whole notebook: the window grows for it."""
        tall = self.page.evaluate(
            "() => Math.max(...[...document.querySelectorAll('.jp-WindowedPanel-outer')]"
            ".map(e => e.scrollHeight))")  # fmt: skip
        self.page.set_viewport_size({"width": WIDTH, "height": min(int(tall) + 160, 16_000)})
        self.page.wait_for_timeout(1000)
        self.page.evaluate(
            "() => document.querySelectorAll('.jp-WindowedPanel-outer')"
            ".forEach(e => e.scrollTop = 0)")  # fmt: skip
        self.page.wait_for_timeout(500)
        self.page.screenshot(path=str(path))
        self.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
