"""Snakemake's executor for Kubernetes, with a volume that all pods share.

By itself that executor takes it that nothing is shared: each job would install packages, fetch the
sources and bring its files from an object store, of which a run's folder has many that no rule
names. Here all pods mount one volume and use one image, which holds the project.
"""

from dataclasses import replace

import snakemake_executor_plugin_kubernetes as kubernetes

ExecutorSettings = kubernetes.ExecutorSettings
common_settings = replace(
    kubernetes.common_settings,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    auto_deploy_default_storage_provider=False,
)


class Executor(kubernetes.Executor):
    """The same, but for the log of a pod that failed.

    It asks for the log of a container before the last restart. These pods never restart: the API
    answers 400, and with that the whole sweep would end.
    """

    def __post_init__(self):
        super().__post_init__()
        read = self.kubeapi.read_namespaced_pod_log
        self.kubeapi.read_namespaced_pod_log = lambda *, previous, **pod: read(**pod)
