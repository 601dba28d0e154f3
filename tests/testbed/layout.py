"""Every port, address and path of a testbed, worked out from its first port, so that several can live side by side.

Without a network of its own everything listens on 127.0.0.1. With one, the control plane and the real node live in a
network namespace, and a veth pair joins it to the host: the host reaches the API server at node_ip, and pods reach what
the host serves at host_ip. The addresses come from 198.18.0.0/15, which is set aside for benchmarks: 1024 for each
testbed.
"""

import dataclasses
import ipaddress
import os
import pathlib

PORTS = ("api", "etcd", "etcd_peer", "controller_manager", "scheduler", "kwok", "kubelet", "kubelet_health",
         "proxy", "proxy_health", "s3", "postgresql")
STEP = 20  # how far apart the first ports of two testbeds are
ADDRESSES = ipaddress.ip_network("198.18.0.0/15")

FAKE_NODE = "fake-node"
REAL_NODE = "real-node"


def runtime_folder() -> pathlib.Path:
    return pathlib.Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp")


def run_folder(port: int) -> pathlib.Path:
    """Where the testbed of this first port lives, when nobody says otherwise."""
    return runtime_folder() / f"restore-reconciler-testbed-{port}"


@dataclasses.dataclass(frozen=True)
class Layout:
    run: pathlib.Path
    port: int
    has_network: bool

    def port_of(self, name: str) -> int:
        return self.port + PORTS.index(name)

    # --- addresses ------------------------------------------------------------------------------------------------

    @property
    def _block(self) -> ipaddress.IPv4Network:
        blocks = ADDRESSES.num_addresses // 1024
        return ipaddress.ip_network((int(ADDRESSES.network_address) + self.port // STEP % blocks * 1024, 22))

    def _part(self, number: int) -> ipaddress.IPv4Network:
        return list(self._block.subnets(new_prefix=24))[number]

    @property
    def link(self) -> ipaddress.IPv4Network:
        """The four addresses of the veth pair."""
        return ipaddress.ip_network((self._part(0).network_address, 30))

    @property
    def host_ip(self) -> str:
        """What pods call the host."""
        return str(self.link[1]) if self.has_network else "127.0.0.1"

    @property
    def node_ip(self) -> str:
        """What the host calls the API server and the real node."""
        return str(self.link[2]) if self.has_network else "127.0.0.1"

    @property
    def pods(self) -> ipaddress.IPv4Network:
        return self._part(1)

    @property
    def services(self) -> ipaddress.IPv4Network:
        return self._part(2)

    @property
    def fake_pods(self) -> ipaddress.IPv4Network:
        """Addresses that kwok gives to its pods; nobody answers there."""
        return self._part(3)

    @property
    def api_service_ip(self) -> str:
        """The ClusterIP of the Service "kubernetes"."""
        return str(self.services[1])

    @property
    def api_url(self) -> str:
        """The API server, from the host."""
        return f"https://{self.node_ip}:{self.port_of('api')}"

    @property
    def local_api_url(self) -> str:
        """The API server, from beside it."""
        return f"https://127.0.0.1:{self.port_of('api')}"

    @property
    def name(self) -> str:
        """The name of the network namespace, of the host's interface and of the control groups."""
        return f"rr{self.port}"

    @property
    def namespace(self) -> str | None:
        return self.name if self.has_network else None

    # --- paths ----------------------------------------------------------------------------------------------------

    @property
    def pki(self) -> pathlib.Path:
        return self.run / "pki"

    @property
    def logs(self) -> pathlib.Path:
        return self.run / "logs"

    @property
    def audit_log(self) -> pathlib.Path:
        return self.logs / "audit.jsonl"

    @property
    def containerd_socket(self) -> pathlib.Path:
        return self.run / "containerd" / "c.sock"

    def kubeconfig(self, user: str) -> pathlib.Path:
        return self.run / ("kubeconfig" if user == "admin" else f"kubeconfig-{user}")
