"""A sweep through the Kubernetes executor, against a stand-in of the cluster's API on 127.0.0.1.

The stand-in keeps what it is sent and runs each job's command as a process of this machine, with
no environment but the one that the job asks for. No cluster, no pod and no image is in it.
"""

import base64
import csv
import json
import os
import subprocess
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "series"))

import toys  # noqa: E402

from unet_lib import workspace  # noqa: E402
from unet_lib.series import drive  # noqa: E402

pytest.importorskip("snakemake_executor_plugin_kubernetes", reason="pip install -e '.[batch]'")
IMAGE = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "PYTHONPATH": str(workspace.PROJECT)}
"""What the image's own environment stands for."""


class Cluster:
    """What the API keeps: secrets, jobs as they came, and the processes that run them."""

    def __init__(self, place):
        self.place, self.secrets, self.jobs, self.ended, self.gone = place, {}, {}, {}, []

    def start(self, job):
        """Run a job's only container as a process."""
        name, container = job["metadata"]["name"], job["spec"]["template"]["spec"]["containers"][0]
        environment = dict(IMAGE)
        for each in container["env"]:
            where = each["valueFrom"]["secretKeyRef"]
            secret = self.secrets[where["name"]][where["key"]]
            environment[each["name"]] = base64.b64decode(secret).decode()
        workdir = self.place / name
        workdir.mkdir()
        self.jobs[name] = job
        with (workdir / "log").open("w") as log:
            self.ended[name] = subprocess.Popen(
                container["command"] + container["args"], cwd=workdir, env=environment,
                stdout=log, stderr=subprocess.STDOUT)  # fmt: skip

    def status(self, name):
        code = self.ended[name].poll()
        return {} if code is None else {"succeeded": 1} if code == 0 else {"failed": 1}

    def pod(self, job):
        """Return a job's only pod, as far as Snakemake looks at it."""
        code = self.ended[job].poll()
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        container = {"name": "snakemake", "image": "", "imageID": "", "ready": False,
                     "restartCount": 0, "state": state}  # fmt: skip
        return {"metadata": {"name": f"{job}-pod"}, "status": {"containerStatuses": [container]}}

    def answer(self, method, path, sent):
        """Return code and what the API says; an unknown question is an error."""
        path, _, query = urllib.parse.unquote(path).partition("?")
        *_, kind, name = path.rsplit("/", 2)
        if method == "POST" and name == "secrets":
            self.secrets[sent["metadata"]["name"]] = sent["data"]
            return 201, sent
        if method == "POST" and name == "jobs":
            self.start(sent)
            return 201, sent
        if method == "GET" and name == "status":
            return 200, self.jobs[kind] | {"status": self.status(kind)}
        if method == "GET" and name == "pods":
            return 200, {"items": [self.pod(query.rpartition("job-name=")[2])]}
        if method == "GET" and name == "log":
            if "previous=true" in query.lower():  # so does the real one where nothing restarted
                return 400, {"message": "previous terminated container not found"}
            return 200, (self.place / kind.removesuffix("-pod") / "log").read_text()
        if method == "DELETE" and kind in ("jobs", "pods", "secrets"):
            self.gone.append(name)
            return 200, {"status": "Success"}
        raise ValueError(f"{method} {path}")


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A stand-in that Snakemake finds by KUBECONFIG."""
    (tmp_path / "pods").mkdir()
    cluster = Cluster(tmp_path / "pods")

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            size = int(self.headers.get("Content-Length") or 0)
            sent = json.loads(self.rfile.read(size)) if size else None
            code, said = cluster.answer(self.command, self.path, sent)
            said = json.dumps(said).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    access = {"current-context": "here", "users": [],
              "contexts": [{"name": "here", "context": {"cluster": "here", "user": ""}}],
              "clusters": [{"name": "here", "cluster": {
                  "server": f"http://127.0.0.1:{server.server_port}"}}]}  # fmt: skip
    (tmp_path / "kube.yaml").write_text(yaml.safe_dump(access))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kube.yaml"))
    yield cluster
    server.shutdown()
    thread.join()
    server.server_close()


def test_points_are_jobs_of_a_cluster(cluster, tmp_path, monkeypatch):
    folder = toys.write(tmp_path, monkeypatch)
    volume = tmp_path / "workspace"
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "config.yaml").write_text(
        "container-image: registry/unet-lowered:1\nkubernetes-volume-namespace: lungs\n"
        f"kubernetes-volume-persistent-volumes: [sweeps:{volume}]\n"
        "seconds-between-status-checks: 2\n")
    monkeypatch.setenv("SNAKEMAKE_PROFILE", str(tmp_path / "own"))
    file = toys.study(folder, "grid: {width: [4, 13]}")
    assert drive.run(file, cores=2, profile="kubernetes", folder=folder) == 1
    with (workspace.run_dir("study") / "results.csv").open() as table:
        good, bad = csv.DictReader(table)
    assert good["status"] == "done" and good["dice"] == "0.04"
    assert bad["status"] == "failed" and "MemoryError: 13 is unlucky" in bad["reason"]
    assert len(cluster.jobs) == 3  # data and two points: a failure has no second try
    assert {*cluster.jobs, *cluster.secrets} <= set(cluster.gone)  # nothing is left on the cluster
    logs = workspace.run_dir("study") / ".snakemake" / "auxiliary" / "kubernetes-logs"
    (log,) = logs.iterdir()
    assert "CalledProcessError" in log.read_text()  # of the pod that failed
    for job in cluster.jobs.values():
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["image"] == "registry/unet-lowered:1"
        assert pod["restartPolicy"] == "Never" and job["spec"]["backoffLimit"] == 0
        assert {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"]
                if "persistentVolumeClaim" in v} == {"sweeps": "sweeps"}  # fmt: skip
        assert {m["name"]: m["mountPath"] for m in container["volumeMounts"]}["sweeps"] == (
            str(volume))
        assert container["resources"]["requests"]["cpu"] == "1900m"  # Snakemake leaves a little
        assert container["resources"]["requests"]["memory"] == "3000M"
        assert "pip install" not in " ".join(container["args"])


class Answer:
    """What the client reads its objects from."""

    def __init__(self, data):
        self.data = json.dumps(data)


def test_what_a_cluster_needs_besides_is_what_kubernetes_knows_and_asks_for_enough():
    from kubernetes import client

    kinds = {"Role": "V1Role", "RoleBinding": "V1RoleBinding", "Job": "V1Job"}
    text = (workspace.PROJECT / "workflow/profiles/kubernetes/driver.yaml").read_text()
    found = {}
    for each in yaml.safe_load_all(text):
        kind = kinds.get(each["kind"], f"V1{each['kind']}")
        found[each["kind"]] = read = client.ApiClient().deserialize(Answer(each), kind)
        assert client.ApiClient().sanitize_for_serialization(read) == each  # no word is unknown
    assert found["RoleBinding"].role_ref.name == found["Role"].metadata.name
    own = yaml.safe_load(found["ConfigMap"].data["config.yaml"])
    pod = found["Job"].spec.template.spec
    (driver,) = pod.containers
    assert own["container-image"] == driver.image
    claim = found["PersistentVolumeClaim"].metadata.name
    assert own["kubernetes-volume-persistent-volumes"] == [f"{claim}:/sweeps"]
    assert {m.mount_path for m in driver.volume_mounts} == {"/sweeps", "/profile"}
    dockerfile = (workspace.PROJECT / "workflow/Dockerfile").read_text()
    assert "UNET_LOWERED_WORKSPACE=/sweeps" in dockerfile
    copied = [word for line in dockerfile.splitlines() if line.startswith("COPY")
              for word in line.split()[1:-1]]  # fmt: skip
    assert [name for name in copied if not (workspace.PROJECT / name).exists()] == []
