"""The network namespace of a testbed with a real node, and the veth pair that joins it to the host.

Node, pods, ClusterIPs, iptables rules and bridges live inside and never touch the host. The host gets one interface and two
routes (to pods and ClusterIPs), which go with the interface. There is no default route inside: nothing leaves the machine.
"""

import pathlib
import subprocess

from .layout import Layout

_INNER = "host0"  # the end inside


def up(layout: Layout):
    if pathlib.Path("/run/netns", layout.name).exists():
        return
    length = layout.link.prefixlen
    _run("ip", "netns", "add", layout.name)
    _run("ip", "link", "add", layout.name, "type", "veth", "peer", "name", _INNER, "netns", layout.name)
    _run("ip", "address", "add", f"{layout.host_ip}/{length}", "dev", layout.name)
    _run("ip", "link", "set", layout.name, "up")
    inside(layout, "ip", "link", "set", "lo", "up")
    inside(layout, "ip", "address", "add", f"{layout.node_ip}/{length}", "dev", _INNER)
    inside(layout, "ip", "link", "set", _INNER, "up")
    # The node's own processes need a route to a ClusterIP before kube-proxy's rules can change where the packet goes.
    inside(layout, "ip", "route", "add", layout.services, "dev", _INNER)
    inside(layout, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
    for network in (layout.pods, layout.services):
        _run("ip", "route", "add", network, "via", layout.node_ip)


def down(layout: Layout):
    """Takes both away; what is not there is fine."""
    if pathlib.Path("/sys/class/net", layout.name).exists():
        _run("ip", "link", "delete", layout.name)
    if pathlib.Path("/run/netns", layout.name).exists():
        _run("ip", "netns", "delete", layout.name)


def inside(layout: Layout, *words) -> str:
    """Runs a command in the namespace."""
    return _run("nsenter", f"--net=/run/netns/{layout.name}", *words)


def _run(*words) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))} ended {done.returncode}: {done.stderr}")
    return done.stdout
