"""Certificates and kubeconfigs of a testbed. The names in them are those that Kubernetes' built-in roles know."""

import concurrent.futures
import dataclasses
import pathlib
import subprocess

import yaml

from .layout import REAL_NODE, Layout

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_API_SERVER_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost")


@dataclasses.dataclass(frozen=True)
class Subject:
    file: str
    common_name: str
    organization: str = ""
    alternative_names: tuple[str, ...] = ()  # a server has them, a client has none


def _subjects(layout: Layout) -> list[Subject]:
    addresses = tuple(f"IP:{ip}" for ip in dict.fromkeys(("127.0.0.1", layout.node_ip, layout.api_service_ip)))
    return [
        Subject("apiserver", "kube-apiserver", alternative_names=(*(f"DNS:{name}" for name in _API_SERVER_NAMES), *addresses)),
        Subject("apiserver-kubelet-client", "apiserver-kubelet-client", "system:masters"),
        Subject("admin", "admin", "system:masters"),
        Subject("controller-manager", "system:kube-controller-manager"),
        Subject("scheduler", "system:kube-scheduler"),
        Subject("kwok", "kwok", "system:masters"),
        Subject("kube-proxy", "system:kube-proxy"),
        Subject("kubelet", f"system:node:{REAL_NODE}", "system:nodes"),
        Subject("kubelet-server", REAL_NODE, alternative_names=(f"DNS:{REAL_NODE}", "IP:127.0.0.1", f"IP:{layout.node_ip}")),
    ]


USERS = ("admin", "controller-manager", "scheduler", "kwok", "kube-proxy", "kubelet")  # those with a kubeconfig


def make(layout: Layout):
    """Makes every certificate and kubeconfig; a folder that is complete is left alone."""
    complete = layout.pki / ".complete"
    if complete.exists():
        return
    layout.pki.mkdir(parents=True, exist_ok=True)
    layout.pki.chmod(0o700)
    _authority(layout.pki, "ca")
    _authority(layout.pki, "front-proxy-ca")
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", layout.pki / "service-accounts.key")
    _openssl("pkey", "-in", layout.pki / "service-accounts.key", "-pubout", "-out", layout.pki / "service-accounts.pub")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda subject: _certificate(layout.pki, subject), _subjects(layout)))
    for user in USERS:
        server = layout.api_url if user == "admin" else layout.local_api_url
        write_kubeconfig(layout.kubeconfig(user), server, layout.pki / "ca.crt", {
            "client-certificate": str(layout.pki / f"{user}.crt"), "client-key": str(layout.pki / f"{user}.key")})
    complete.touch()


def write_kubeconfig(path: pathlib.Path, server: str, ca: pathlib.Path, user: dict, namespace: str = "default"):
    """A kubeconfig with one cluster, one user and one context; user holds the credentials' keys."""
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {"server": server, "certificate-authority": str(ca)}}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "user", "namespace": namespace}}],
        "current-context": "testbed",
    }, sort_keys=False))


def _authority(folder: pathlib.Path, name: str):
    _openssl("req", "-x509", *_KEY, "-days", "365", "-subj", f"/CN=testbed {name}", "-keyout", folder / f"{name}.key",
             "-out", folder / f"{name}.crt", "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature")


def _certificate(folder: pathlib.Path, subject: Subject):
    organization = f"/O={subject.organization}" if subject.organization else ""
    options = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "keyUsage=critical,digitalSignature",
               "-addext", f"extendedKeyUsage={'serverAuth' if subject.alternative_names else 'clientAuth'}"]
    if subject.alternative_names:
        options += ["-addext", f"subjectAltName={','.join(subject.alternative_names)}"]
    _openssl("req", "-x509", "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", *_KEY, "-days", "365",
             "-subj", f"{organization}/CN={subject.common_name}", *options,
             "-keyout", folder / f"{subject.file}.key", "-out", folder / f"{subject.file}.crt")


def _openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"openssl {words[0]} ended {done.returncode}: {done.stderr}")
