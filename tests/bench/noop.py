"""What a run costs that finds nothing to do: the program beside a shell script with two `kubectl get`.

    make bench                     both, in turns, against a real API server on this machine
    tests/bench/run noop --runs 50

The script does what everybody writes first: read both keys, compare. The program reads the ConfigMap and its journal. Both run as
the same ServiceAccount with a token, over TLS. Wall and CPU time (user and system, children included) are those of wait4; the peak of memory is taken in further
runs by time(1), which is small itself. Nothing is asserted.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import yaml
from testbed.bed import owned
from testbed.cluster import Cluster
from testbed.control_plane import program

CHECKOUT = pathlib.Path(__file__).parents[2]
AT = "2024-12-10T00:00:00Z"
SPEC = "database: shop\nbackups: {location: 's3://backups/shop/'}\n"
SCRIPT = """#!/bin/sh
set -eu
desired=$(kubectl get configmap restore-state -o jsonpath='{.data.desiredBackupTimestamp}')
applied=$(kubectl get configmap restore-state -o jsonpath='{.data.lastAppliedTimestamp}')
[ "$desired" = "$applied" ]
"""


def measure(command: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Milliseconds of wall time, milliseconds of CPU time, MiB of memory."""
    begin = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} ended {process.returncode}")
    # A child counts the memory of its parent until exec, so the peak is asked of a small parent.
    told = subprocess.run(["/usr/bin/time", "--quiet", "-f", "%M", *command], env=environment, capture_output=True, text=True, check=True)
    return wall * 1000, (usage.ru_utime + usage.ru_stime) * 1000, int(told.stderr.splitlines()[-1]) / 1024


def arrange(cluster: Cluster, folder: pathlib.Path) -> dict[str, tuple[list[str], dict[str, str]]]:
    """A state in which nothing is to be done, and the two commands that find that out."""
    space = cluster.namespace("bench")
    role = next(yaml.safe_load_all((CHECKOUT / "manifests/base/role.yaml").read_text()))
    space.service_account("restore-reconciler", role["rules"])
    space.config_map("restore-state", {"desiredBackupTimestamp": AT, "lastAppliedTimestamp": AT, "restore.yaml": SPEC})
    space.apply({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "restore-state-journal", "labels": {"app.kubernetes.io/managed-by": "restore-reconciler"}},
        "data": {"phase": "Idle", "result": "Succeeded", "applied": AT, "published": "true", "target": "shop"},
    })
    kubeconfig = space.kubeconfig("restore-reconciler")
    script = folder / "script.sh"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    binary = os.environ.get("RESTORE_RECONCILER_BIN") or CHECKOUT / "build/static/restore-reconciler"
    environment = {"KUBECONFIG": str(kubeconfig), "HOME": str(folder), "PATH": "/usr/bin:/bin"}
    kubectl = pathlib.Path(program("kubectl", "1.37")).parent
    return {
        "shell script, two kubectl get": ([str(script)], {**environment, "PATH": f"{kubectl}:/usr/bin:/bin"}),
        "restore-reconciler": ([str(binary), "run"], environment),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder, owned(kubernetes="1.37", with_node=False, with_kwok=False) as bed:
        commands = arrange(Cluster(bed), pathlib.Path(folder))
        figures = {name: [] for name in commands}
        for number in range(runs + 2):
            for name, (command, environment) in commands.items():
                found = measure(command, environment)
                if number >= 2:  # the first two fill the caches
                    figures[name].append(found)
    print(f"{runs} runs each, in turns: median (minimum to maximum)\n")
    print("| a run with nothing to do | wall, ms | CPU, ms | memory, MiB |\n| --- | --- | --- | --- |")
    for name, rows in figures.items():
        cells = [f"{statistics.median(column):.1f} ({min(column):.1f} to {max(column):.1f})" for column in zip(*rows)]
        print(f"| {name} | {' | '.join(cells)} |")
    script, ours = ([statistics.median(column) for column in zip(*rows)] for rows in figures.values())
    print(f"\nwall: 1/{script[0] / ours[0]:.0f}, CPU: 1/{script[1] / ours[1]:.0f}")


main()
