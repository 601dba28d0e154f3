"""A shop in a cluster: its state is a ConfigMap, its lock a Lease, its application Deployments and an Ingress.

The program runs outside of pods, as the ServiceAccount restore-reconciler, bound to the shipped Role and nothing more:
with a kubeconfig, or (in_cluster()) with what a pod finds. Everything is named as in manifests/, so that the shipped
Role fits as it is; use_rules() is for another one.
"""

import pathlib

import yaml

from testbed import pki
from testbed.cluster import Namespace

from . import invariants
from .cluster_state import ClusterState
from .fault_proxy import FaultProxy, Kill
from .parts import CHECKOUT
from .reconciler import Run
from .scenario import TODAY, Shop
from .waiting import wait_until

ACCOUNT = "restore-reconciler"
DEPLOYMENTS = {"shop-web": 2, "shop-worker": 1}  # those that the shipped Role names, and their replicas
INGRESS, SERVICE, MAINTENANCE = "shop", "shop-web", "restore-reconciler-maintenance"
MARKS = "restore-reconciler/"  # what the annotations of the program begin with
SHORT_LEASE = ("--lease-duration", "6")  # where a lease has to run out

APPLICATION = {"deployments": list(DEPLOYMENTS), "ingresses": [INGRESS]}
PRE_STEPS = [{"disableIngress": True}, {"scaleDeployments": 0}]
POST_STEPS = [{"scaleDeployments": "auto"}, {"enableIngress": True}]


def writes(request) -> bool:
    """Requests that change something of the run: not its Lease, which is renewed by the clock, and no questions."""
    return request.method != "GET" and not any(f"/{what}" in request.path for what in ("leases", "selfsubject", "events"))


def patches(ending: str):
    """Changes of objects whose path ends so: patches("deployments/shop-web")."""
    return lambda request: request.method == "PATCH" and request.path.endswith(f"/{ending}")


def shipped_rules(state: str = "restore-state") -> list[dict]:
    """The rules of manifests/base/role.yaml; state: the name of the ConfigMap, where it is another one."""
    text = (CHECKOUT / "manifests/base/role.yaml").read_text()
    return yaml.safe_load(text.replace("restore-state", state))["rules"]


class ClusterShop(Shop):
    def __init__(self, namespace: Namespace, *words, **more):
        """words, more: those of Shop."""
        self.namespace = namespace
        self.cluster = namespace.cluster
        self._before: dict | None = None  # the application as it was made
        self.flags: tuple[str, ...] = ()  # of every run
        super().__init__(*words, **more)
        namespace.service_account(ACCOUNT, shipped_rules())
        self.identify()

    def make_state(self, data: dict[str, str], spec: dict) -> ClusterState:
        return ClusterState(self.namespace, data, spec)

    def where(self) -> list:
        return list(self.flags)  # KUBECONFIG, or the variables of a pod, says the rest

    # --- arrange: who the program is --------------------------------------------------------------------------------

    def token(self, seconds: int = 3600) -> str:
        return self.cluster.token(self.namespace.name, ACCOUNT, seconds)

    def identify(self, url: str | None = None, ca: pathlib.Path | None = None, user: dict | None = None) -> pathlib.Path:
        """A kubeconfig; user: credentials other than a token of the ServiceAccount. Returns its path."""
        path = self.folder / "kubeconfig"
        user = user or {"token": self.token()}
        self.current_token = user.get("token", "")
        pki.write_kubeconfig(path, url or self.cluster.url, ca or self.cluster.ca, user, self.namespace.name)
        self._environment(KUBECONFIG=str(path))
        return path

    def token_file(self, url: str | None = None) -> pathlib.Path:
        """A kubeconfig that names a file with the token; returns that file."""
        path = self.folder / "token"
        path.write_text(self.token())
        self.identify(url=url, user={"tokenFile": str(path)})
        return path

    def in_cluster(self):
        """What a pod finds: variables, and the folder of its ServiceAccount, which is returned."""
        folder = self.namespace.in_cluster_folder(self.folder / "serviceaccount", ACCOUNT)
        self._environment(KUBECONFIG=None, RESTORE_RECONCILER_SERVICE_ACCOUNT_FOLDER=str(folder.path), **folder.environment)
        return folder

    def use_rules(self, rules: list[dict]):
        """The rights of the ServiceAccount, from now on. The API server learns of a changed Role a moment later."""
        self.namespace.service_account(ACCOUNT, rules)
        api, wanted = self.namespace.api_as(ACCOUNT), sorted(map(_comparable, rules))
        wait_until(lambda: sorted(map(_comparable, _rules_of(api, self.namespace.name))) == wanted, "the API server knows the new rights")

    def rename_state(self, name: str):
        """Another name for the ConfigMap, and the rights for it."""
        applied = self.state.applied()
        self.namespace.delete("ConfigMap", self.state.name)
        self.state.name = name
        self.state.write()
        self.state.set_applied(applied)
        self.use_rules(shipped_rules(name))
        self.flags = ("--name", name)

    def delete_namespace_and_make_it_again(self):
        """What Git and an administrator put into a new namespace of the same name; the rest is lost."""
        api, name = self.cluster.api, self.namespace.name
        api.delete("Namespace", name)
        wait_until(lambda: api.get("Namespace", name) is None, "the namespace is gone", 60)
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self.namespace.service_account(ACCOUNT, shipped_rules())
        self.use_rules(shipped_rules())
        self.identify()
        self.state.write()

    def _environment(self, **changes: str | None):
        for name, value in changes.items():
            self.reconciler.environment.pop(name, None)
            if value is not None:
                self.reconciler.environment[name] = value

    # --- arrange: the application -----------------------------------------------------------------------------------

    def with_application(self, **workload) -> "ClusterShop":
        """Makes the application, and steps that take it away and bring it back; workload: as for Namespace.workload()."""
        for name, replicas in DEPLOYMENTS.items():
            self.namespace.workload(name, replicas, **workload)
        self.make_ingress()
        self.namespace.apply((CHECKOUT / "manifests/base/maintenance-service.yaml").read_text())
        self.state.configure(application=dict(APPLICATION), preSteps=list(PRE_STEPS), postSteps=list(POST_STEPS))
        self.remember_application()
        return self

    def make_ingress(self):
        self.namespace.apply([_service(SERVICE), _ingress(INGRESS, SERVICE)])

    def use_printed_rules(self):
        """The rights that print-rbac prints for the ConfigMap as it is, and nothing more."""
        path = self.folder / "state.yaml"
        path.write_text(yaml.safe_dump(self.state.manifest()))
        printed = self.reconciler.run("print-rbac", path).expect(0).stdout
        self.use_rules(yaml.safe_load(printed)["rules"])

    def remember_application(self):
        """What the application is now is what it has to be after every run."""
        self._before = self.application()

    # --- act --------------------------------------------------------------------------------------------------------

    def run_killed_at(self, proxy: FaultProxy, which, when: str = "after", skip: int = 0, command: str = "run") -> Run:
        """A run that is killed "before" or "after" a request to the API server. Its locks are free when this returns."""
        proxy.reset()
        self.identify(url=proxy.url)
        victim = []
        fault = proxy.on(which, Kill(when, lambda: wait_until(lambda: victim, "the program is started")[0]), skip=skip)
        with self.start(command=command) as running:
            victim.append(running)
            run = running.wait()
        proxy.reset()
        self.identify()
        if fault.reached.is_set():
            self.wait_for_locks()
            self.free_lease()
        return run

    def free_lease(self):
        """What time does to the Lease of a dead run; nobody wants to wait for it."""
        if self.holder():
            self.namespace.patch("Lease", self.lease_name, {"spec": {"holderIdentity": ""}})

    def scale_back(self):
        """Replicas by hand to what they were."""
        for name, replicas in self._before["replicas"].items():
            self.namespace.scale(*name.split("/"), replicas)

    # --- look -------------------------------------------------------------------------------------------------------

    def journal(self) -> dict[str, str]:
        return self.state.journal()

    @property
    def lease_name(self) -> str:
        return f"restore-reconciler-{self.state.name}"

    def lease(self) -> dict | None:
        """The Lease's spec; None when there is none."""
        found = self.namespace.get("Lease", self.lease_name)
        return found and found["spec"]

    def holder(self) -> str:
        """Who holds the Lease; empty: nobody."""
        return (self.lease() or {}).get("holderIdentity", "")

    def events(self) -> list[dict]:
        """Events about the state, in the order in which they were posted."""
        found = self.namespace.find("event.events.k8s.io")
        return sorted((event for event in found if event.get("regarding", {}).get("name") == self.state.name),
                      key=lambda event: int(event["metadata"]["resourceVersion"]))

    def event_reasons(self) -> list[str]:
        return [event["reason"] for event in self.events()]

    def replicas(self) -> dict[str, int]:
        """What Deployments and StatefulSets are asked to have: {"Deployment/shop-web": 2}."""
        return {f"{kind}/{found['metadata']['name']}": found["spec"]["replicas"]
                for kind in ("Deployment", "StatefulSet") for found in self.namespace.find(kind)}

    def backends(self) -> dict[str, list[str]]:
        """The Services that Ingresses point at, each as NAME:PORT."""
        return {found["metadata"]["name"]: _backends(found["spec"]) for found in self.namespace.find("Ingress")}

    def application(self) -> dict:
        return {"replicas": self.replicas(), "backends": self.backends()}

    def before(self) -> dict:
        """application() as it was when it was made."""
        return self._before

    def marks(self) -> dict[str, dict[str, str]]:
        """The program's annotations on workloads and Ingresses."""
        found = {}
        for kind in ("Deployment", "StatefulSet", "Ingress"):
            for entry in self.namespace.find(kind):
                marks = {key: value for key, value in entry["metadata"].get("annotations", {}).items() if key.startswith(MARKS)}
                if marks:
                    found[f"{kind}/{entry['metadata']['name']}"] = marks
        return found

    def requests(self, since: int = 0):
        """What the API server answered the program since a mark of cluster.audit."""
        return self.namespace.requests_of(ACCOUNT, since)

    def writes(self, since: int = 0) -> list[str]:
        """Those that changed something, as "verb resource/name"."""
        reads = ("get", "list", "watch")
        return [f"{request.verb} {request.resource}/{request.name}" for request in self.requests(since)
                if request.verb not in reads and request.code < 300 and not request.resource.startswith("selfsubject")]

    # --- assert -----------------------------------------------------------------------------------------------------

    def assert_cluster_at_rest(self):
        """The application is what it was, nothing is marked, nobody holds the lock, the journal is idle."""
        assert not self.marks(), f"still marked: {self.marks()}"
        if self._before is not None:
            assert self.application() == self._before, f"the application is {self.application()}, and was {self._before}"
        assert not self.holder(), f"the Lease is held: {self.lease()}"
        assert self.journal().get("phase", "Idle") == "Idle", f"journal not idle: {self.journal()}"
        assert not self.journal().get("undo"), f"the journal knows something to undo: {self.journal()}"

    def assert_consistent(self, *editions: int, allow_staging: bool = False):
        super().assert_consistent(*editions, allow_staging=allow_staging)
        self.assert_cluster_at_rest()

    def assert_untouched(self):
        """Live is the same database with the same contents, nothing of ours lies around, nothing is published."""
        assert self.server.oid(self.database) == self.live_oid, "the live database has been replaced"
        self.assert_live_is(TODAY)
        assert not self.ours(), f"left over: {self.ours()}"
        assert self.state.published() is None, f"published {self.state.published()}"
        assert not self.marks(), f"marked: {self.marks()}"
        assert not invariants.locks_held(self.server, self.control)


def _rules_of(api, namespace: str) -> list[dict]:
    """What whoever asks may do, beyond what every ServiceAccount may."""
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
    found = api.request("POST", path, review)["status"]["resourceRules"]
    everybodys = {"authorization.k8s.io", "authentication.k8s.io", "certificates.k8s.io"}
    return [rule for rule in found if not everybodys & set(rule["apiGroups"])]


def _comparable(rule: dict) -> str:
    return str([sorted(rule.get(key) or []) for key in ("apiGroups", "resources", "resourceNames", "verbs")])


def _service(name: str) -> dict:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}]}}


def _ingress(name: str, service: str) -> dict:
    """One default backend, and one of a path with a port by name."""
    def backend(**port) -> dict:
        return {"service": {"name": service, "port": port}}

    rule = {"host": "shop.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend(name="http")}]}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
            "spec": {"defaultBackend": backend(number=80), "rules": [rule]}}


def _backends(spec: dict) -> list[str]:
    found = [spec["defaultBackend"]] if "defaultBackend" in spec else []
    found += [path["backend"] for rule in spec.get("rules", []) for path in rule.get("http", {}).get("paths", [])]
    return [_backend_text(entry) for entry in found]


def _backend_text(backend: dict) -> str:
    if "service" not in backend:
        return f"{backend['resource']['kind']}/{backend['resource']['name']}"
    return f"{backend['service']['name']}:{next(iter(backend['service']['port'].values()))}"
