"""etcd, API server, controller-manager, scheduler: their command lines."""

import json
import pathlib

from .layout import Layout
from .parts import path_of

# One line for each request that has been answered. What the control plane does for itself is left out.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "None", "users": ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy", "kwok",
                                    "system:anonymous"]},
        {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"]},
        {"level": "Metadata"},
    ],
}


def program(name: str, version: str) -> pathlib.Path:
    """A program of a Kubernetes release; kubectl, kubelet and kube-proxy are always those of the newest."""
    is_old = version != "1.37" and name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    return path_of(f"kubernetes-{version}" if is_old else "kubernetes") / name


def etcd(layout: Layout) -> list:
    url = f"http://127.0.0.1:{layout.port_of('etcd')}"
    return [path_of("etcd"), "--name=testbed", f"--data-dir={layout.run / 'etcd'}", f"--listen-client-urls={url}", f"--advertise-client-urls={url}",
            f"--listen-peer-urls=http://127.0.0.1:{layout.port_of('etcd_peer')}", "--unsafe-no-fsync=true", "--log-level=warn"]


def api_server(layout: Layout, version: str) -> list:
    """Listens everywhere when it has a network namespace to itself."""
    pki = layout.pki
    policy = layout.run / "audit-policy.json"
    policy.write_text(json.dumps(_AUDIT_POLICY))
    where = ["--bind-address=0.0.0.0", f"--advertise-address={layout.node_ip}"] if layout.has_network else \
        ["--bind-address=127.0.0.1", "--endpoint-reconciler-type=none"]  # loopback may not be an endpoint
    return [
        program("kube-apiserver", version), *where,
        f"--secure-port={layout.port_of('api')}",
        f"--etcd-servers=http://127.0.0.1:{layout.port_of('etcd')}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",  # ServiceAccount and the rest are on by default
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--cert-dir={pki}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
        f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        # Without these, controller-manager and scheduler complain for ever.
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--service-cluster-ip-range={layout.services}",
        "--allow-privileged=true",
        "--profiling=false",
        f"--audit-policy-file={policy}",
        f"--audit-log-path={layout.audit_log}",
    ]


def controller_manager(layout: Layout, version: str) -> list:
    return [
        program("kube-controller-manager", version), *_client(layout, "controller-manager"),
        f"--secure-port={layout.port_of('controller_manager')}",
        f"--service-account-private-key-file={layout.pki / 'service-accounts.key'}",
        f"--root-ca-file={layout.pki / 'ca.crt'}",
        "--use-service-account-credentials=true",
        f"--cluster-cidr={layout.pods}",
        f"--service-cluster-ip-range={layout.services}",
        "--kube-api-qps=500", "--kube-api-burst=1000",  # with the default of 20 a second the first start takes 5 s longer
    ]


def scheduler(layout: Layout, version: str) -> list:
    return [program("kube-scheduler", version), *_client(layout, "scheduler"), f"--secure-port={layout.port_of('scheduler')}"]


def _client(layout: Layout, user: str) -> list[str]:
    kubeconfig = layout.kubeconfig(user)
    return [f"--kubeconfig={kubeconfig}", f"--authentication-kubeconfig={kubeconfig}", f"--authorization-kubeconfig={kubeconfig}",
            "--leader-elect=false", "--bind-address=127.0.0.1", f"--cert-dir={layout.pki}", "--profiling=false"]
