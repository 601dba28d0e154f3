"""The simulated node. What becomes of a pod on it is written in kwok-stages.yaml, chosen by annotations of the pod."""

import pathlib

from .layout import FAKE_NODE, Layout
from .parts import path_of

READY = "testbed/ready"  # annotation of a pod template: how long until the pod is ready ("3s"), or "never"
GONE = "testbed/gone"  # how long a deleted pod stays ("20s"), or "never"
NEVER = "never"

TAINT = {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}
_RESOURCES = {"cpu": "64", "memory": "256Gi", "pods": "1000"}


def command(layout: Layout) -> list:
    return [path_of("kwok"), f"--kubeconfig={layout.kubeconfig('kwok')}", "--manage-all-nodes=false",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake", "--node-lease-duration-seconds=40",
            f"--server-address=127.0.0.1:{layout.port_of('kwok')}", f"--cidr={layout.fake_pods}", f"--node-ip={layout.fake_pods[-2]}",
            f"--config={pathlib.Path(__file__).with_name('kwok-stages.yaml')}"]


def node(beside_real_node: bool) -> dict:
    """The node's object. Beside a real node it has a taint, so that only pods that tolerate it come here."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": FAKE_NODE,
            "labels": {"type": "kwok", "kubernetes.io/hostname": FAKE_NODE, "kubernetes.io/os": "linux"},
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "spec": {"taints": [TAINT] if beside_real_node else []},
        "status": {"allocatable": _RESOURCES, "capacity": _RESOURCES},
    }
