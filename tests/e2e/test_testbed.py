"""The testbed itself: what the tests of the cluster rely on. Needs no binary of ours."""

import os
import pathlib
import socket
import subprocess
import threading
import time

import pytest
import urllib3

from support.cluster import KUBERNETES
from support.waiting import wait_until
from testbed.api import ApiError
from testbed.audit import service_account_user
from testbed.node import BUSYBOX
from testbed.service_account import MOUNT_POINT

READ_STATE = [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["state"], "verbs": ["get", "patch"]}]


# --- simulated node -------------------------------------------------------------------------------------------------


def test_version_is_the_one_asked_for(cluster):
    assert cluster.api.request("GET", "/version")["gitVersion"].startswith(f"v{KUBERNETES}.")
    assert KUBERNETES in cluster.kubectl("version")


def test_workers_share_one_cluster(request, cluster):
    """All that ask for one are in a group, which goes to one worker; else each worker would start its own."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@cluster")


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_workload_goes_to_zero_and_comes_back(namespace, kind):
    namespace.workload("web", 3, kind)
    assert len(namespace.pods("app=web")) == 3
    namespace.scale(kind, "web", 0)
    namespace.wait_no_pods("app=web")
    namespace.scale(kind, "web", 3)
    namespace.wait_ready(kind, "web", 3)
    assert all(condition["status"] == "True" for pod in namespace.pods() for condition in pod["status"]["conditions"])


def test_pod_that_is_slow_to_get_ready(namespace):
    namespace.workload("slow", ready="2s", wait=False)
    began = time.monotonic()
    wait_until(lambda: namespace.pods(), "there is a pod")
    namespace.wait_ready("Deployment", "slow", 1)
    assert 1.5 < time.monotonic() - began < 10


def test_pod_that_never_becomes_ready_runs(namespace):
    namespace.workload("broken", ready="never")
    wait_until(lambda: [pod["status"]["phase"] for pod in namespace.pods()] == ["Running"], "the pod runs")
    time.sleep(1)
    assert namespace.get("Deployment", "broken")["status"]["unavailableReplicas"] == 1


def test_pod_that_is_slow_to_go(namespace):
    namespace.workload("slow", gone="2s")
    began = time.monotonic()
    namespace.scale("Deployment", "slow", 0)
    wait_until(lambda: "deletionTimestamp" in namespace.pods()[0]["metadata"], "the pod is told to go")
    namespace.wait_no_pods()
    assert 1.5 < time.monotonic() - began < 10


def test_pod_that_never_goes_is_there_until_it_is_forced(namespace):
    namespace.workload("stuck", gone="never")
    namespace.scale("Deployment", "stuck", 0)
    wait_until(lambda: "deletionTimestamp" in namespace.pods()[0]["metadata"], "the pod is told to go")
    time.sleep(1)
    [pod] = namespace.pods()
    namespace.delete("Pod", pod["metadata"]["name"], grace=0)
    namespace.wait_no_pods()


def test_job_from_cronjob_completes(namespace):
    namespace.kubectl("create", "cronjob", "tick", "--image=testbed.local/none:1", "--schedule=0 0 1 1 *")
    namespace.kubectl("create", "job", "now", "--from=cronjob/tick")
    assert namespace.wait_job("now") == "Complete"


def test_token_may_do_what_its_role_says_and_no_more(namespace):
    namespace.config_map("state", {"a": "1"})
    namespace.config_map("other", {})
    namespace.service_account("reader", READ_STATE)
    api = namespace.api_as("reader")
    assert api.get("ConfigMap", "state", namespace.name)["data"] == {"a": "1"}
    for denied in (lambda: api.get("ConfigMap", "other", namespace.name), lambda: api.find("Secret", namespace.name),
                   lambda: api.delete("ConfigMap", "state", namespace.name)):
        with pytest.raises(ApiError) as refused:
            denied()
        assert refused.value.status == 403


def test_kubeconfig_of_a_service_account(namespace):
    namespace.config_map("state", {"a": "1"})
    namespace.service_account("reader", READ_STATE)
    kubeconfig = namespace.kubeconfig("reader")
    assert "1" in namespace.cluster.kubectl("get", "configmap", "state", "-o", "jsonpath={.data.a}", kubeconfig=kubeconfig)
    assert "Forbidden" in namespace.cluster.kubectl("get", "secrets", kubeconfig=kubeconfig, check=False)


def test_folder_of_a_service_account_changes_in_one_step(namespace, tmp_path):
    folder = namespace.in_cluster_folder(tmp_path / "serviceaccount", "default")
    assert (folder.path / "namespace").read_text() == namespace.name
    token = (folder.path / "token").read_text()
    folder.replace(token="another")
    assert (folder.path / "token").read_text() == "another" != token
    assert (folder.path / "ca.crt").read_bytes() == namespace.cluster.ca.read_bytes()
    assert len([entry for entry in folder.path.iterdir() if entry.is_dir() and not entry.is_symlink()]) == 1


def test_folder_of_a_service_account_stands_where_a_pod_finds_it(namespace, tmp_path):
    folder = namespace.in_cluster_folder(tmp_path / "serviceaccount", "default")
    seen = subprocess.run([*folder.wrapper, "cat", f"{MOUNT_POINT}/namespace"], check=True, capture_output=True, text=True)
    assert seen.stdout == namespace.name
    assert not pathlib.Path(MOUNT_POINT).exists()


def test_audit_log_counts_the_requests_of_one_user(namespace):
    namespace.config_map("state", {"a": "1"})
    namespace.service_account("reader", READ_STATE)
    api = namespace.api_as("reader")
    api.get("ConfigMap", "state", namespace.name)
    mark = namespace.cluster.audit.mark()
    api.get("ConfigMap", "state", namespace.name)
    with pytest.raises(ApiError):
        api.get("ConfigMap", "other", namespace.name)
    found = namespace.requests_of("reader", mark)
    path = f"/api/v1/namespaces/{namespace.name}/configmaps"
    assert [str(request) for request in found] == [f"get {path}/state 200", f"get {path}/other 403"]
    assert {request.user for request in found} == {service_account_user(namespace.name, "reader")}


def test_outage_of_the_api_server_and_its_return(cluster, namespace):
    namespace.config_map("state", {"a": "1"})
    namespace.workload("web")
    with cluster.outage("kube-apiserver"):
        with pytest.raises(urllib3.exceptions.MaxRetryError):
            namespace.get("ConfigMap", "state")
    assert namespace.data("state") == {"a": "1"}
    namespace.scale("Deployment", "web", 2)
    namespace.wait_ready("Deployment", "web", 2)


def test_outage_begun_in_a_thread_ends_well(cluster, namespace):
    """What a thread starts lives on after the thread."""
    def interrupt():
        with cluster.outage("kube-scheduler"):
            pass

    thread = threading.Thread(target=interrupt)
    thread.start()
    thread.join()
    namespace.workload("web")
    assert cluster.bed.is_complete()


def test_frozen_api_server_takes_connections_and_does_not_answer(cluster, namespace):
    with cluster.paused("kube-apiserver"):
        with pytest.raises(urllib3.exceptions.HTTPError, match="timed out"):
            cluster.api.request("GET", "/readyz", seconds=0.5)
    assert cluster.api.answers()


def test_what_a_test_left_stopped_and_frozen_is_repaired(cluster, namespace):
    cluster.stop("kwok", grace=0)
    cluster.pause("kube-scheduler")
    cluster.repair()
    namespace.workload("web")


# --- real node ------------------------------------------------------------------------------------------------------

CRONJOB = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: work}
spec:
  schedule: "0 0 1 1 *"
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        spec:
          restartPolicy: Never
          securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
          containers:
          - name: main
            image: IMAGE
            imagePullPolicy: Never
            command: [sh, -c, SCRIPT]
            securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
            resources: {limits: {memory: 64Mi}}
"""

WEB = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: IMAGE, imagePullPolicy: Never, command: [httpd, -f, -p, "8080"]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 8080}]}
"""


def run_on_node(namespace, script: str) -> tuple[str, list[tuple[int, str]]]:
    """A Job made from a CronJob by hand: how it ended, and its containers' exit codes and messages."""
    namespace.apply(CRONJOB.replace("IMAGE", BUSYBOX).replace("SCRIPT", "'" + script.replace("'", "''") + "'"))
    namespace.kubectl("create", "job", "now", "--from=cronjob/work")
    return namespace.wait_job("now"), namespace.terminations("now")


def test_exit_code_and_message_of_a_pod_on_the_real_node(node_namespace):
    ended = run_on_node(node_namespace, "echo nothing changed >/dev/termination-log; exit 4")
    assert ended == ("Failed", [(4, "nothing changed\n")])


def test_pod_reaches_the_api_server_and_what_listens_on_this_machine(node_namespace, doorway, s3):
    """By ClusterIP, and through a doorway."""
    door = doorway(s3.port)
    script = f"""
        cd /var/run/secrets/kubernetes.io/serviceaccount && test -s token && test -s ca.crt && test -s namespace &&
        nc -w 5 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT </dev/null &&
        wget -q -O /dev/null http://{door.host}:{door.port}/healthz"""
    assert run_on_node(node_namespace, script) == ("Complete", [(0, "")])


def test_this_machine_reaches_a_pod_and_its_service(node_namespace):
    """By the pod's address and by its ClusterIP."""
    node_namespace.apply(WEB.replace("IMAGE", BUSYBOX))
    pod = wait_until(lambda: (found := node_namespace.get("Pod", "web"))["status"].get("podIP") and found, "the pod has an address")
    service = node_namespace.get("Service", "web")["spec"]["clusterIP"]
    for host in (pod["status"]["podIP"], service):
        wait_until(lambda host=host: accepts(host, 8080), f"{host} answers")


def accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), 1):
            return True
    except OSError:
        return False


def test_kubelet_that_is_away_comes_back(node_cluster, node_namespace):
    with node_cluster.outage("kubelet"):
        pass
    assert run_on_node(node_namespace, "exit 0") == ("Complete", [(0, "")])
