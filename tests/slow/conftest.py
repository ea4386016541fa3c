"""A SLURM cluster of this one machine, for the tests that send jobs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).with_name("slurm_here.sh")
NEEDED = ("slurmctld", "slurmd", "munged")
OWN = """# what a cluster's user would write: this one keeps no accounts, and jobs take seconds
slurm-status-command: squeue
slurm-init-seconds-before-status-checks: 3
"""


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
