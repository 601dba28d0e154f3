"""What a test asks of a testbed: namespaces with things in them, tokens, outages, and what the API server was asked."""

import contextlib
import itertools
import os
import pathlib
import signal
import subprocess

import yaml

from . import kwok, node, pki
from .api import Api
from .audit import AuditLog, Request, service_account_user
from .bed import Testbed
from .control_plane import program
from .layout import FAKE_NODE
from .service_account import ServiceAccountFolder
from .waiting import wait_until

_numbers = itertools.count(1)
_SERVER, _CLIENTS = {"kube-apiserver", "etcd"}, ("kube-controller-manager", "kube-scheduler", "kwok")


class Cluster:
    def __init__(self, bed: Testbed):
        self.bed = bed
        self.api = bed.admin  # as an administrator
        self.url = bed.layout.api_url
        self.ca = bed.layout.pki / "ca.crt"
        self.kubeconfig = bed.layout.kubeconfig("admin")
        self.host_ip = bed.layout.host_ip  # where pods of the real node find what this machine serves
        self.audit = AuditLog(bed.layout.audit_log, self.api)
        self._has_missed_server = False  # the control plane's own clients have, and wait before they ask again

    # --- objects --------------------------------------------------------------------------------------------------

    def kubectl(self, *words, namespace: str | None = None, stdin: str | None = None, check: bool = True,
                kubeconfig: pathlib.Path | None = None, seconds: float = 60) -> str:
        """Runs kubectl; returns what it printed (both streams when it failed and check is off)."""
        command = [program("kubectl", "1.37"), *(["--namespace", namespace] if namespace else []), *words]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.bed.run), "KUBECONFIG": str(kubeconfig or self.kubeconfig)}
        done = subprocess.run([str(word) for word in command], input=stdin, env=environment, capture_output=True, text=True, timeout=seconds)
        if done.returncode and check:
            raise RuntimeError(f"kubectl {' '.join(map(str, words))} ended {done.returncode}: {done.stderr}")
        return done.stdout + (done.stderr if done.returncode else "")

    def apply(self, manifest: str | dict | list, namespace: str | None = None) -> list[dict]:
        """Makes or changes objects (YAML text, one object, several) by server-side apply: milliseconds each."""
        if isinstance(manifest, str):
            manifest = [document for document in yaml.safe_load_all(manifest) if document]
        return [self.api.apply(entry, namespace) for entry in (manifest if isinstance(manifest, list) else [manifest])]

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict | None:
        return self.api.get(kind, name, namespace)

    def namespace(self, prefix: str = "test", labels: dict[str, str] | None = None) -> "Namespace":
        """A new namespace with a name of its own, ready for pods."""
        space = Namespace(self, f"{prefix}-{next(_numbers)}")
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space.name, "labels": labels or {}}})
        wait_until(lambda: space.get("ServiceAccount", "default") and space.get("ConfigMap", "kube-root-ca.crt"),
                   f"namespace {space.name} has its ServiceAccount and its certificate", 30)
        return space

    # --- identities -----------------------------------------------------------------------------------------------

    def token(self, namespace: str, service_account: str, seconds: int = 3600) -> str:
        """A token of a ServiceAccount. seconds: at least 600, says the API server."""
        path = self.api.resource("ServiceAccount").path(namespace, service_account) + "/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
        return self.api.request("POST", path, request)["status"]["token"]

    def service_account_kubeconfig(self, namespace: str, service_account: str, token_file: pathlib.Path | None = None) -> pathlib.Path:
        """A kubeconfig with a token of the ServiceAccount, or one that names a file with it; it goes with the testbed."""
        path = self.bed.run / f"kubeconfig-{namespace}-{service_account}"
        user = {"tokenFile": str(token_file)} if token_file else {"token": self.token(namespace, service_account)}
        pki.write_kubeconfig(path, self.url, self.ca, user, namespace)
        return path

    def in_cluster_folder(self, path: pathlib.Path, namespace: str, service_account: str) -> ServiceAccountFolder:
        """Makes path what a pod of this ServiceAccount sees; the answer has the environment that goes with it."""
        address = (self.bed.layout.node_ip, self.bed.layout.port_of("api"))
        return ServiceAccountFolder(path, self.token(namespace, service_account), self.ca.read_bytes(), namespace, address)

    def api_as(self, namespace: str, service_account: str) -> Api:
        """Requests as this ServiceAccount."""
        return Api(self.url, self.ca, token=self.token(namespace, service_account))

    # --- troubles -------------------------------------------------------------------------------------------------

    def stop(self, *components: str, grace: float = 2.0):
        """Stops kube-apiserver, etcd, kubelet, …; grace 0 is a crash. start() brings them back."""
        self._has_missed_server |= bool(_SERVER & set(components))
        self.bed.stop(*components, grace=grace)

    def start(self, *components: str):
        self.bed.start(*components)

    def pause(self, *components: str):
        """Freezes them: connections stay, nobody answers."""
        self._has_missed_server |= bool(_SERVER & set(components))
        self.bed.signal(signal.SIGSTOP, *components)

    def resume(self, *components: str):
        self.bed.signal(signal.SIGCONT, *components)

    @contextlib.contextmanager
    def outage(self, *components: str):
        """These are gone within the block, at once: connections break, new ones are refused."""
        self.stop(*components, grace=0)
        try:
            yield
        finally:
            self.start(*components)

    @contextlib.contextmanager
    def paused(self, *components: str):
        """These are frozen within the block."""
        self.pause(*components)
        try:
            yield
        finally:
            self.resume(*components)
            if "kube-apiserver" in components:
                self.bed.start("kube-apiserver")  # waits until it is ready

    def repair(self):
        """Everything thawed and running again, whatever a test left.

        After an outage controllers ask again after up to half a minute only; started anew they ask at once.
        """
        for component in self.bed.components.values():
            component.process.signal(signal.SIGCONT)
        if self._has_missed_server:
            self.bed.stop(*(name for name in _CLIENTS if name in self.bed.components), grace=0)
            self._has_missed_server = False
        if not self.bed.is_complete():
            self.bed.start()

    # --- real node ------------------------------------------------------------------------------------------------

    def import_image(self, tar: pathlib.Path):
        """Puts the image of an OCI archive onto the real node; pods need imagePullPolicy Never or IfNotPresent."""
        node.import_image(self.bed.layout, tar)


class Namespace:
    """A namespace of one test."""

    def __init__(self, cluster: Cluster, name: str):
        self.cluster = cluster
        self.name = name

    def kubectl(self, *words, **more) -> str:
        return self.cluster.kubectl(*words, namespace=self.name, **more)

    def apply(self, manifest: str | dict | list) -> list[dict]:
        return self.cluster.apply(manifest, self.name)

    def get(self, kind: str, name: str) -> dict | None:
        """The object, or None when there is none."""
        return self.cluster.api.get(kind, name, self.name)

    def find(self, kind: str, selector: str = "") -> list[dict]:
        return self.cluster.api.find(kind, self.name, selector)

    def patch(self, kind: str, name: str, patch, how: str = "merge", subresource: str = "") -> dict:
        return self.cluster.api.patch(kind, name, patch, self.name, how, subresource)

    def delete(self, kind: str, name: str, grace: int | None = None) -> bool:
        return self.cluster.api.delete(kind, name, self.name, grace)

    def config_map(self, name: str, data: dict[str, str], annotations: dict[str, str] | None = None) -> dict:
        """Makes a ConfigMap, or sets these keys of it."""
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "annotations": annotations or {}}, "data": data}
        return self.apply(manifest)[0]

    def data(self, config_map: str) -> dict[str, str]:
        """What a ConfigMap holds; empty when there is none."""
        return (self.get("ConfigMap", config_map) or {}).get("data", {})

    # --- workloads on the simulated node --------------------------------------------------------------------------

    def workload(self, name: str, replicas: int = 1, kind: str = "Deployment", labels: dict[str, str] | None = None,
                 ready: str | None = None, gone: str | None = None, wait: bool = True) -> dict:
        """A Deployment or StatefulSet whose pods are simulated.

        ready, gone: how long it takes until a pod is ready and until a deleted one has gone ("3s"), or "never". wait: until
        all are ready (not with ready="never").
        """
        chosen = {kwok.READY: ready, kwok.GONE: gone}
        template = {
            "metadata": {"labels": {"app": name}, "annotations": {key: value for key, value in chosen.items() if value}},
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": FAKE_NODE},
                "tolerations": [{"key": kwok.TAINT["key"], "operator": "Exists"}],
                "containers": [{"name": "main", "image": "testbed.local/none:1"}],
            },
        }
        self.apply({
            "apiVersion": "apps/v1", "kind": kind,
            "metadata": {"name": name, "labels": labels or {"app": name}},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template,
                     **({"serviceName": name} if kind == "StatefulSet" else {})},
        })
        if wait and ready != kwok.NEVER:
            self.wait_ready(kind, name, replicas)
        return self.get(kind, name)

    def scale(self, kind: str, name: str, replicas: int):
        self.patch(kind, name, {"spec": {"replicas": replicas}}, subresource="scale")

    def pods(self, selector: str = "") -> list[dict]:
        return self.find("Pod", selector)

    def wait_ready(self, kind: str, name: str, replicas: int, seconds: float = 30):
        """Until the workload says that so many pods are ready, of the newest description."""
        def is_so():
            found = self.get(kind, name)
            status = found["status"]
            return status.get("observedGeneration") == found["metadata"]["generation"] and status.get("readyReplicas", 0) == replicas

        wait_until(is_so, f"{kind} {name} has {replicas} ready", seconds)

    def wait_no_pods(self, selector: str = "", seconds: float = 30):
        """Until no pod is left, not even one that is about to go."""
        wait_until(lambda: not self.pods(selector), f"no pods '{selector}' in {self.name}", seconds)

    # --- Jobs -----------------------------------------------------------------------------------------------------

    def wait_job(self, name: str, seconds: float = 60) -> str:
        """Until a Job has ended: "Complete" or "Failed"."""
        def ended():
            conditions = (self.get("Job", name) or {}).get("status", {}).get("conditions", [])
            return next((found["type"] for found in conditions if found["type"] in ("Complete", "Failed") and found["status"] == "True"), None)

        return wait_until(ended, f"Job {name} has ended", seconds)

    def terminations(self, job: str) -> list[tuple[int, str]]:
        """Exit code and termination message of the containers of a Job's pods that have ended, oldest first."""
        pods = sorted(self.pods(f"batch.kubernetes.io/job-name={job}"), key=lambda pod: pod["metadata"]["creationTimestamp"])
        states = [status["state"].get("terminated") for pod in pods for status in pod["status"].get("containerStatuses", [])]
        return [(state["exitCode"], state.get("message", "")) for state in states if state]

    # --- identities and what they did -----------------------------------------------------------------------------

    def service_account(self, name: str, rules: list[dict] | None = None):
        """Makes a ServiceAccount; rules are those of a Role that is bound to it."""
        self.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
        if rules is not None:
            group = "rbac.authorization.k8s.io"
            self.apply([
                {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules},
                {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": {"name": name},
                 "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
                 "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.name}]},
            ])

    def kubeconfig(self, service_account: str, token_file: pathlib.Path | None = None) -> pathlib.Path:
        return self.cluster.service_account_kubeconfig(self.name, service_account, token_file)

    def in_cluster_folder(self, path: pathlib.Path, service_account: str) -> ServiceAccountFolder:
        return self.cluster.in_cluster_folder(path, self.name, service_account)

    def api_as(self, service_account: str) -> Api:
        return self.cluster.api_as(self.name, service_account)

    def requests_of(self, service_account: str, since: int = 0) -> list[Request]:
        """What the API server answered this ServiceAccount since a mark of cluster.audit."""
        return self.cluster.audit.requests(since, service_account_user(self.name, service_account))

    def abandon(self):
        """Lets it go without waiting for it: that takes seconds. Simulated pods go at once, stuck ones too."""
        path = self.cluster.api.resource("Pod").path(self.name)
        fields = f"spec.nodeName={FAKE_NODE}"
        self.cluster.api.delete("Namespace", self.name)
        self.cluster.api.request("DELETE", path, query={"gracePeriodSeconds": "0", "fieldSelector": fields})
