"""The whole way of the user, on a real node: image, manifests, Secrets, kubectl apply, the schedule, a Job by hand.

The folder manifests is copied and changed as docs/kubernetes.md says, and applied with kubectl into a namespace that
enforces the Pod Security Standard "restricted". PostgreSQL and the backups are outside of the cluster. The tests of this
file share one installation; each begins where the database is restored and says what it asks for.
"""

import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

from support.cluster import Doorway
from support.cluster_shop import APPLICATION, POST_STEPS, PRE_STEPS, SHORT_LEASE, ClusterShop
from support.cluster_state import MANAGER, ClusterState
from support.parts import CHECKOUT
from support.pg_proxy import PgProxy, Stall, sql
from support.reconciler import binary
from support.scenario import MONDAY, TUESDAY, Shop
from support.shop import OWNER
from support.waiting import wait_until
from testbed.control_plane import program
from testbed.layout import REAL_NODE
from testbed.node import PAUSE

IMAGE = "localhost/restore-reconciler:0.1.0"  # as in manifests/base
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
LOAD = sql("^ANALYZE")  # the end of the load
STEPS = {"application": APPLICATION, "preSteps": PRE_STEPS, "postSteps": POST_STEPS}
MAJOR = 17
USER = "restorer"  # no superuser

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 1
      securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: main
        image: IMAGE
        imagePullPolicy: Never
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""


class KustomizedState(ClusterState):
    """What stands in the folder of the user's repository, and gets into the cluster with kubectl apply -k."""

    def __init__(self, manifests: pathlib.Path, namespace, data: dict[str, str], spec: dict):
        self.folder = manifests / "example"
        self.take_comment_signs_off(namespace.name)
        super().__init__(namespace, data, spec)

    def take_comment_signs_off(self, namespace: str):
        """namespace, and the Role that print-rbac prints."""
        path = self.folder / "kustomization.yaml"
        text, namespaces = re.subn("^# namespace: shop$", f"namespace: {namespace}", path.read_text(), flags=re.M)
        text, patches = re.subn(r"^# (patches:)\n# (  - path: role.yaml)$", r"\1\n\2", text, flags=re.M)
        assert (namespaces, patches) == (1, 1)
        path.write_text(text)

    def write(self):
        state = self.folder / "restore-state.yaml"
        state.write_text(yaml.safe_dump(self.manifest(), sort_keys=False))
        role = subprocess.run([binary(), "print-rbac", state], capture_output=True, text=True, check=True)
        (self.folder / "role.yaml").write_text(role.stdout)
        self.namespace.kubectl("apply", "-k", self.folder)


class NodeShop(ClusterShop):
    """A shop whose program runs in pods. run() of the shop is somebody with a kubeconfig, outside."""

    def __init__(self, namespace, database_door: Doorway, backups_door: Doorway, server, editions, backups, folder: pathlib.Path, database: str):
        self.namespace, self.cluster = namespace, namespace.cluster
        self.flags = ()
        self.manifests = folder / "manifests"
        self._jobs = itertools.count(1)
        shutil.copytree(CHECKOUT / "manifests", self.manifests)
        Shop.__init__(self, server, editions, backups, folder, database, USER)
        self.make_application()
        self.make_secrets(database_door, backups_door)
        self.identify()

    def make_state(self, data: dict[str, str], spec: dict) -> KustomizedState:
        """At first nobody has said that the database may go: no lastAppliedTimestamp."""
        return KustomizedState(self.manifests, self.namespace, {"desiredBackupTimestamp": data["desiredBackupTimestamp"]}, {**spec, **STEPS})

    def make_application(self):
        self.make_ingress()
        for name, replicas in (("shop-web", 2), ("shop-worker", 1)):
            self.namespace.apply(DEPLOYMENT.replace("NAME", name).replace("REPLICAS", str(replicas)).replace("IMAGE", PAUSE))
        for name, replicas in (("shop-web", 2), ("shop-worker", 1)):
            self.namespace.wait_ready("Deployment", name, replicas, 60)
        self.remember_application()

    def make_secrets(self, database_door: Doorway, backups_door: Doorway):
        """Two files, as in the docs."""
        database = {**self.server.environment(USER), "PGHOST": database_door.host, "PGPORT": str(database_door.port)}
        backups = {**self.store.environment(), "AWS_ENDPOINT_URL_S3": f"http://{backups_door.host}:{backups_door.port}"}
        for name, values in (("database", database), ("backups", backups)):
            path = self.folder / f"{name}.env"
            path.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
            self.namespace.kubectl("create", "secret", "generic", f"restore-reconciler-{name}", f"--from-env-file={path}")

    # --- act ----------------------------------------------------------------------------------------------------------

    def create_job(self, limit: str | None = None, args: list[str] | None = None) -> str:
        """kubectl create job --from=cronjob/…; limit: another one for its memory; args: of the program. Its name."""
        name = f"restore-now-{next(self._jobs)}"
        words = ["create", "job", "--from=cronjob/restore-reconciler", name]
        if not limit and not args:
            self.namespace.kubectl(*words)
            return name
        job = json.loads(self.namespace.kubectl(*words, "--dry-run=client", "-o", "json"))
        [container] = job["spec"]["template"]["spec"]["containers"]
        if limit:
            container["resources"] = {"limits": {"memory": limit}}
        if args:
            container["args"] = args
        self.namespace.kubectl("create", "-f", "-", stdin=json.dumps(job))
        return name

    def job(self, expected: str = "Complete", **more) -> dict:
        """A Job by hand that ends as expected with one pod. What its termination message says."""
        return self.ended(self.create_job(**more), expected)

    def ended(self, name: str, expected: str = "Complete", seconds: float = 60) -> dict:
        state = self.namespace.wait_job(name, seconds)
        found = self.namespace.terminations(name)
        assert state == expected and found, f"{name} is {state}: {found}\n{self.logs(name)}"
        code, message = found[-1]
        report = json.loads(message)
        assert report["exitCode"] == code, f"{found}\n{self.logs(name)}"
        return report

    def logs(self, job: str) -> str:
        return self.namespace.kubectl("logs", f"job/{job}", check=False)

    def pods_of(self, job: str) -> list[dict]:
        return self.namespace.pods(f"batch.kubernetes.io/job-name={job}")

    def the_pod_of(self, job: str) -> str:
        """The name of its pod that is not about to go."""
        found = wait_until(lambda: [pod for pod in self.pods_of(job) if "deletionTimestamp" not in pod["metadata"]], f"{job} has a pod", 40)
        return found[0]["metadata"]["name"]


@pytest.fixture(scope="module")
def image(node_cluster, tmp_path_factory):
    """What make image makes, on the node."""
    tar = tmp_path_factory.mktemp("image") / "image.tar"
    subprocess.run([CHECKOUT / "scripts/make-image", "--name", IMAGE, "--binary", binary(), "--out", tar], check=True, capture_output=True)
    node_cluster.import_image(tar)
    return IMAGE


@pytest.fixture(scope="module")
def make_node_shop(image, node_cluster, servers, s3, background, tmp_path_factory):
    """Installs: a shop in a namespace of its own. Returns it and the proxy between its pods and the database."""
    made = []
    server, editions = servers.get(MAJOR), servers.editions(MAJOR)
    server.create_restorer(USER, OWNER)
    outside = Doorway(background, node_cluster, s3.port)

    def make(name: str):
        proxy = PgProxy(background, server.port)
        door = Doorway(background, node_cluster, proxy.port)
        made.extend((door, proxy))
        backups = s3.bucket(f"{name}-{os.getpid()}")
        namespace = node_cluster.namespace(name, RESTRICTED)
        return NodeShop(namespace, door, outside, server, editions, backups, tmp_path_factory.mktemp(name), f"app_{name}"), proxy

    yield make
    for opened in (outside, *made):
        opened.close()
    servers.clean()


@pytest.fixture(scope="module")
def by_the_clock(make_node_shop):
    """A second installation, whose CronJob is to restore MONDAY at the next minute while other tests run."""
    shop, _ = make_node_shop("clock")
    shop.state.set(desiredBackupTimestamp=MONDAY.at, allowInitialRestore=MONDAY.at)
    shop.namespace.kubectl("patch", "cronjob", "restore-reconciler", "-p", '{"spec":{"schedule":"* * * * *"}}')
    return shop


@pytest.fixture(scope="module")
def installed(make_node_shop, by_the_clock):
    shop, proxy = make_node_shop("shop")
    shop.namespace.kubectl("patch", "cronjob", "restore-reconciler", "-p", '{"spec":{"suspend":true}}')  # only by hand
    return shop, proxy


@pytest.fixture
def shop(installed):
    return installed[0]


@pytest.fixture
def proxy(installed):
    yield installed[1]
    installed[1].reset()
    assert not installed[1].errors, installed[1].errors


def test_a_refusal_fails_the_job_at_once_with_one_pod(shop):
    """FirstContact. Never: a database that nobody handed over is overwritten (danger 5); pod after pod that says the same."""
    shop.state.desire(MONDAY.at)
    name = shop.create_job()
    report = shop.ended(name, "Failed")
    assert (report["exitCode"], report["reason"]) == (12, "FirstContact")
    assert f'allowInitialRestore: "{MONDAY.at}"' in report["message"], report
    conditions = {found["type"]: found for found in shop.namespace.get("Job", name)["status"]["conditions"]}
    assert conditions["Failed"]["reason"] == "PodFailurePolicy" and len(shop.pods_of(name)) == 1
    assert [(event["type"], event["reason"]) for event in shop.events()] == [("Warning", "RestoreRefused")]
    shop.assert_untouched()
    shop.assert_cluster_at_rest()


def test_a_job_by_hand_restores(shop):
    """With a quarter of the memory that the manifest allows."""
    shop.state.set(allowInitialRestore=MONDAY.at)
    name = shop.create_job(limit="64Mi")
    report = shop.ended(name)
    assert (report["exitCode"], report["result"], report["desired"]) == (0, "Succeeded", MONDAY.at)
    assert report["downtimeSeconds"] > 0
    assert (shop.state.applied(), shop.state.applied_manager()) == (MONDAY.at, MANAGER)
    shop.assert_consistent(MONDAY.edition)
    for word in ("scaled to 0", "pointed at the maintenance Service", "swapped", "scaled up again"):
        assert f'"msg":"{word}' in shop.logs(name)
    assert shop.event_reasons()[-1] == "RestoreSucceeded" and len(shop.event_reasons()) >= 3
    assert "restore-reconciler" == shop.events()[-1]["reportingController"].split("/")[-1]
    all_ready = [found["status"].get("readyReplicas") for found in shop.namespace.find("Deployment")]
    assert sorted(all_ready) == [1, 2]


def test_a_job_with_nothing_to_do_asks_two_questions(shop):
    """In 16 MiB."""
    mark = shop.cluster.audit.mark()
    report = shop.job(limit="16Mi")
    assert report["exitCode"] == 0
    assert sorted(str(request).split("/")[-1] for request in shop.requests(mark)) == ["restore-state 200", "restore-state-journal 200"]


GOES = {"deleted": ([], TUESDAY), "deleted by force": (["--force", "--grace-period=0"], MONDAY)}


@pytest.mark.parametrize("how", GOES)
def test_a_pod_that_goes_in_mid_load_is_undone_and_the_next_one_finishes(shop, proxy, how):
    """A drained node: SIGTERM, it undoes what it did and gives the Lease back. By force: SIGKILL at once, and the Job's
    next pod waits for the Lease to run out and undoes it."""
    flags, wanted = GOES[how]
    stall = Stall()
    trap = proxy.before(LOAD, stall)
    shop.state.desire(wanted.at, request=how)
    before = len(shop.history())
    name = shop.create_job(args=["run", *SHORT_LEASE])
    trap.wait(40)
    pod, holder = shop.the_pod_of(name), shop.holder()
    shop.namespace.kubectl("delete", "pod", pod, "--wait=false", *flags)
    if not flags:
        wait_until(lambda: shop.holder() != holder, "the run has given its Lease back", 30)
    report = shop.ended(name)
    assert report["result"] == "Succeeded" and shop.lease()["leaseTransitions"] > 0
    assert shop.the_pod_of(name) != pod
    assert [row["desired"] for row in shop.history()[before:]] == [wanted.at], "restored twice"
    shop.assert_consistent(wanted.edition)


def test_a_pod_whose_node_falls_silent_finishes_alone(shop, proxy):
    """The kubelet stops, the node is declared dead and its pods are evicted; but the run goes on, cut off from Kubernetes
    only. Never: a second one beside it, a second restore."""
    stall = Stall()
    trap = proxy.before(LOAD, stall)
    shop.state.configure(**dict.fromkeys(STEPS))  # without a kubelet no pod of the application would ever go
    patience = [{"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0} for what in ("unreachable", "not-ready")]
    shop.namespace.patch("CronJob", "restore-reconciler", {"spec": {"jobTemplate": {"spec": {"template": {"spec": {"tolerations": patience}}}}}})
    shop.state.desire(TUESDAY.at, request="with a dead node")
    before = len(shop.history())
    name = shop.create_job()
    trap.wait(40)
    with shop.cluster.outage("kubelet"):
        declare_dead(shop.cluster)
        wait_until(lambda: all("deletionTimestamp" in pod["metadata"] for pod in shop.pods_of(name)), "its pod is evicted", 40)
        assert len(shop.pods_of(name)) == 1, "another pod beside one that may still run"
        run = shop.run().expect(0, "Locked")  # somebody tries, elsewhere
        assert shop.holder() in run.report["message"] or name in run.report["message"]
        stall.release()
        wait_until(lambda: shop.journal().get("phase") == "Idle" and shop.state.applied() == TUESDAY.at, "the run has finished", 60)
    shop.cluster.api.patch("Node", REAL_NODE, {"spec": {"taints": None}})
    wait_until(lambda: is_ready(shop.cluster), "the node is back", 60)
    assert shop.namespace.wait_job(name, 90) == "Complete"
    assert [row["desired"] for row in shop.history()[before:]] == [TUESDAY.at], "restored twice"
    shop.state.configure(**STEPS)
    shop.job()
    assert len(shop.history()) == before + 1
    shop.assert_consistent(TUESDAY.edition)


def declare_dead(cluster):
    """What the node controller does after most of a minute, where there is another node that lives."""
    cluster.api.patch("Node", REAL_NODE, {"spec": {"taints": [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]}})


def is_ready(cluster) -> bool:
    found = cluster.get("Node", REAL_NODE)
    return not found["spec"].get("taints") and any(each["type"] == "Ready" and each["status"] == "True" for each in found["status"]["conditions"])


def test_a_rollback_as_the_docs_say(shop, tmp_path):
    """By the shell function that docs/kubernetes.md shows."""
    function = re.search(r"^ask\(\) \{.*?^\}$", (CHECKOUT / "docs/kubernetes.md").read_text(), re.M | re.S)[0]
    (tmp_path / "kubectl").symlink_to(program("kubectl", "1.37"))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "KUBECONFIG": str(shop.cluster.kubeconfig), "HOME": str(tmp_path)}
    done = subprocess.run(["bash", "-euc", f"{function}\nask {shop.namespace.name} rollback"], env=environment, capture_output=True, text=True, check=True)
    name = re.search(r"job.batch/(\S+) created", done.stdout)[1]
    report = shop.ended(name)
    assert report["result"] == "RolledBack"
    assert shop.job()["reason"] == "RolledBack", "the timestamp that Git still asks for is held"
    shop.assert_consistent(MONDAY.edition)


def test_the_schedule_restores(by_the_clock):
    """Nobody started it."""
    shop = by_the_clock
    wait_until(lambda: shop.state.applied() == MONDAY.at, "the CronJob has restored", 100)
    wait_until(lambda: shop.journal().get("phase") == "Idle", "the run has ended")
    shop.namespace.kubectl("patch", "cronjob", "restore-reconciler", "-p", '{"spec":{"suspend":true}}')
    jobs = sorted(shop.namespace.find("Job"), key=lambda job: job["metadata"]["creationTimestamp"])
    assert all(job["metadata"]["ownerReferences"][0]["kind"] == "CronJob" for job in jobs)
    for job in jobs:
        assert shop.namespace.wait_job(job["metadata"]["name"]) == "Complete"
    assert [row["desired"] for row in shop.history()] == [MONDAY.at]
    assert "RestoreSucceeded" in shop.event_reasons()
    shop.assert_consistent(MONDAY.edition)
