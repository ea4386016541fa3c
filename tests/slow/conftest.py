"""What slow tests share: a picture without symmetry, and a SLURM cluster of this machine."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from unet_lib import phantom

HERE = Path(__file__).with_name("slurm_here.sh")
NEEDED = ("slurmctld", "slurmd", "munged")
OWN = """# what a cluster's user would write: this one keeps no accounts, and jobs take seconds
slurm-status-command: squeue
slurm-init-seconds-before-status-checks: 3
"""


@pytest.fixture
def image():
    """Higher than wide, and with no symmetry: a patch of metal in one corner."""
    drawn = phantom.draw(77, size=(230, 150))[0]
    drawn[10:40, 5:30] = 255
    return drawn


@pytest.fixture
def slurm(tmp_path_factory, monkeypatch):
    """SLURM on 127.0.0.1, found by whatever this test starts."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can start SLURM")
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        pytest.skip(f"there is no {', '.join(missing)}; on Debian: apt install slurm-wlm munge")
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run([HERE, "start", folder], check=True)
    monkeypatch.setenv("SLURM_CONF", f"{folder}/slurm.conf")
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    (folder / "config.yaml").write_text(OWN)
    monkeypatch.setenv("SNAKEMAKE_PROFILE", str(folder))
    yield
    subprocess.run(["scancel", "--user=root"], check=False)
    subprocess.run([HERE, "stop", folder], check=True)
