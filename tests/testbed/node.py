"""The real node: containerd, kubelet and kube-proxy in the testbed's network namespace.

Everything has folders, sockets and control groups of its own, so that two testbeds do not meet, nor a containerd that the
machine runs for itself. Images are never pulled; they are imported from files.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess

import yaml

from . import image
from .control_plane import program
from .layout import REAL_NODE, Layout
from .parts import path_of
from .process import start_time
from .waiting import wait_until

PAUSE = "testbed.local/pause:1"
BUSYBOX = "testbed.local/busybox:1"  # a shell and its friends, for pods of tests

_CGROUPS = pathlib.Path("/sys/fs/cgroup")
_CRI = "io.containerd.grpc.v1.cri"


# --- containerd -----------------------------------------------------------------------------------------------------


def containerd(layout: Layout) -> list:
    folder = layout.run / "containerd"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(f"""version = 2
root = "{folder / 'root'}"
state = "{folder / 'state'}"
oom_score = 0
disabled_plugins = [{', '.join(f'"io.containerd.{name}"' for name in (
        'snapshotter.v1.aufs', 'snapshotter.v1.btrfs', 'snapshotter.v1.devmapper', 'snapshotter.v1.zfs', 'internal.v1.tracing'))}]

[grpc]
address = "{layout.containerd_socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{folder / 'opt'}"

[plugins."{_CRI}"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
enable_unprivileged_ports = false

[plugins."{_CRI}".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{_write_cni(layout)}"

[plugins."{_CRI}".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."{_CRI}".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."{_CRI}".containerd.runtimes.runc.options]
SystemdCgroup = false
""")
    return ["containerd", "--config", folder / "config.toml"]


def _write_cni(layout: Layout) -> pathlib.Path:
    """Pods hang on a bridge and keep their addresses on the way to the host, which has a route back."""
    folder = layout.run / "cni"
    folder.mkdir(exist_ok=True)
    (folder / "10-testbed.conflist").write_text(json.dumps({
        "cniVersion": "1.0.0",
        "name": "testbed",
        "plugins": [
            {"type": "bridge", "bridge": "pods0", "isGateway": True, "ipMasq": False, "hairpinMode": True,
             "ipam": {"type": "host-local", "dataDir": str(layout.run / "cni-addresses"), "ranges": [[{"subnet": str(layout.pods)}]],
                      "routes": [{"dst": "0.0.0.0/0"}]}},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }))
    return folder


def containerd_answers(layout: Layout) -> bool:
    return _ctr(layout, "version", check=False).returncode == 0


def import_image(layout: Layout, tar: pathlib.Path):
    _ctr(layout, "images", "import", tar)


def import_own_images(layout: Layout):
    """The sandbox's image, and a shell with the usual commands."""
    busybox = path_of("busybox")
    commands = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    pause_tar, busybox_tar = layout.run / "pause.tar", layout.run / "busybox.tar"
    image.write(pause_tar, PAUSE, {"/bin/pause": path_of("pause")}, ["/bin/pause"])
    image.write(busybox_tar, BUSYBOX, {"/bin/busybox": busybox}, links={f"/bin/{name}": "busybox" for name in commands if name != "busybox"})
    for tar in (pause_tar, busybox_tar):
        import_image(layout, tar)


def _ctr(layout: Layout, *words, check: bool = True) -> subprocess.CompletedProcess:
    command = ["ctr", "--address", layout.containerd_socket, "--namespace", "k8s.io", *words]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"ctr {' '.join(map(str, words))} ended {done.returncode}: {done.stderr}")
    return done


# --- kubelet and kube-proxy -----------------------------------------------------------------------------------------


def kubelet(layout: Layout) -> list:
    _make_cgroups(layout)
    (layout.run / "resolv.conf").write_text("nameserver 127.0.0.1\n")  # there is no cluster DNS
    folder = layout.run / "kubelet"
    config = layout.run / "kubelet.yaml"
    config.write_text(yaml.safe_dump({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.name}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": {"clientCAFile": str(layout.pki / "ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(layout.pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(layout.pki / "kubelet-server.key"),
        "port": layout.port_of("kubelet"),
        "healthzPort": layout.port_of("kubelet_health"),
        "readOnlyPort": 0,
        "resolvConf": str(layout.run / "resolv.conf"),
        "podLogsDir": str(layout.run / "pod-logs"),
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"},
        "imageGCHighThresholdPercent": 100,  # an image that is deleted could not be pulled again
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "10s",
    }))
    return [program("kubelet", "1.37"), f"--config={config}", f"--kubeconfig={layout.kubeconfig('kubelet')}", f"--hostname-override={REAL_NODE}",
            f"--node-ip={layout.node_ip}", f"--root-dir={folder}", f"--cert-dir={folder / 'pki'}"]


def kube_proxy(layout: Layout) -> list:
    config = layout.run / "kube-proxy.yaml"
    config.write_text(yaml.safe_dump({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": str(layout.pods),
        "clientConnection": {"kubeconfig": str(layout.kubeconfig("kube-proxy"))},
        "hostnameOverride": REAL_NODE,
        "bindAddress": layout.node_ip,
        "healthzBindAddress": f"127.0.0.1:{layout.port_of('proxy_health')}",
        "metricsBindAddress": f"127.0.0.1:{layout.port_of('proxy')}",
        # Zero leaves the machine's own settings of connection tracking alone.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }))
    return [program("kube-proxy", "1.37"), f"--config={config}"]


# --- what a node leaves behind --------------------------------------------------------------------------------------


def remove_containers(layout: Layout):
    """Kills what runs in containers, and the shims that containerd leaves beside them. kubelet and containerd must be dead."""
    pids = [int(line) for folder in _cgroups_of(layout) for path in folder.rglob("cgroup.procs") for line in path.read_text().split()]
    pids += [pid for pid in _all_pids() if _is_shim_of(layout, _command_line(pid))]
    for pid in set(pids):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(start_time(pid) for pid in pids), "containers and their shims are dead", 20)


def clean_up(layout: Layout):
    """Mounts below the run folder and control groups; everything that used them must be dead."""
    for _ in range(2):  # a mount may hide another
        mounts = [line.split()[1] for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
        for mount in reversed([path for path in mounts if path.startswith(f"{layout.run}/")]):
            subprocess.run(["umount", "--lazy", mount], capture_output=True)
    for top in _cgroups_of(layout):
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):  # busy while the kernel still buries a process
                os.rmdir(folder)


def _cgroups_of(layout: Layout) -> list[pathlib.Path]:
    return [path for path in (*_CGROUPS.glob(f"*/{layout.name}"), _CGROUPS / layout.name) if path.is_dir()]


def _is_shim_of(layout: Layout, command_line: str) -> bool:
    return "containerd-shim" in command_line and str(layout.containerd_socket) in command_line


def _all_pids() -> list[int]:
    return [int(path.name) for path in pathlib.Path("/proc").glob("[0-9]*")]


def _command_line(pid: int) -> str:
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""  # it has ended


def _make_cgroups(layout: Layout):
    """A control group for the kubelet to work in, in every hierarchy."""
    if (_CGROUPS / "cgroup.controllers").exists():  # version 2: a single one
        own = _CGROUPS / layout.name
        own.mkdir(exist_ok=True)
        for folder in (_CGROUPS, own):
            for controller in (folder / "cgroup.controllers").read_text().split():
                with contextlib.suppress(OSError):  # one that may not be delegated; kubelet says which it misses
                    (folder / "cgroup.subtree_control").write_text(f"+{controller}")
        return
    for hierarchy in (path for path in _CGROUPS.iterdir() if path.is_dir() and path.name != "unified"):
        own = hierarchy / layout.name
        own.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / name).exists():
                (own / name).write_text((hierarchy / name).read_text())
