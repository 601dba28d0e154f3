"""The command line of a testbed.

    testbed up [--node] [--no-kwok] [--services] [--kubernetes 1.30]     starts what does not run; milliseconds when all does
    testbed env                                   how to use it, as lines for a shell: eval "$(tests/testbed/testbed env)"
    testbed status                                what runs, and how much memory it takes
    testbed stop [NAME...]                        an outage: of these, or of all; state stays
    testbed start [NAME...]                       brings them back
    testbed signal STOP|CONT|KILL NAME...         a hang, its end, a crash
    testbed down                                  kills everything and removes every trace

Several live side by side: --port says which (the first of its 20 ports, a multiple of 20).
"""

import argparse
import pathlib
import shlex
import subprocess
import sys
import time

from . import services
from .api import ApiError
from .bed import SIGNALS, VERSIONS, Options, Testbed
from .layout import STEP, run_folder
from .parts import path_of


def main() -> int:
    arguments = _parse()
    run = arguments.run or run_folder(arguments.port)
    try:
        _COMMANDS[arguments.command](arguments, run)
        return 0
    except (RuntimeError, LookupError, ValueError, OSError, ApiError, subprocess.CalledProcessError) as error:
        print(f"testbed: error: {error}", file=sys.stderr)
        return 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="testbed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=_COMMANDS)
    parser.add_argument("names", nargs="*", metavar="NAME", help="processes, as status calls them")
    parser.add_argument("--port", type=int, default=Options.port, help=f"the first of its {STEP} ports (%(default)s)")
    parser.add_argument("--run", type=pathlib.Path, help="its folder (a short path: sockets live below it)")
    parser.add_argument("--kubernetes", choices=VERSIONS, default=Options.kubernetes)
    parser.add_argument("--node", action="store_true", help="with a real node")
    parser.add_argument("--no-kwok", action="store_true", help="without the simulated node")
    parser.add_argument("--services", action="store_true", help="with PostgreSQL and an S3 server")
    arguments = parser.parse_args()
    if arguments.port % STEP:
        parser.error(f"--port must be a multiple of {STEP}")
    if arguments.names and arguments.command not in ("stop", "start", "signal"):
        parser.error(f"{arguments.command} takes no names")
    return arguments


def _up(arguments: argparse.Namespace, run: pathlib.Path):
    began = time.monotonic()
    if (run / "options.json").exists():
        bed = Testbed.at(run)  # as it was made
    else:
        bed = Testbed(Options(arguments.port, arguments.kubernetes, arguments.node, not arguments.no_kwok, arguments.services), run)
    bed.up()
    print(f"testbed: ready after {time.monotonic() - began:.1f} s in {run}", file=sys.stderr)


def _down(_: argparse.Namespace, run: pathlib.Path):
    if not run.exists():
        print(f"testbed: there is none in {run}", file=sys.stderr)
        return
    Testbed.at(run).down()


def _env(_: argparse.Namespace, run: pathlib.Path):
    bed = Testbed.at(run)
    variables = {"KUBECONFIG": str(bed.layout.kubeconfig("admin")), "TESTBED_HOST": bed.layout.host_ip}
    if bed.options.with_node:
        variables |= {"CONTAINERD_ADDRESS": str(bed.layout.containerd_socket), "CONTAINERD_NAMESPACE": "k8s.io"}
    if bed.options.with_services:
        variables |= services.environment(bed.layout)
    for key, value in variables.items():
        print(f"export {key}={shlex.quote(value)}")
    print(f"export PATH={shlex.quote(str(path_of('kubernetes')))}:$PATH")


def _status(_: argparse.Namespace, run: pathlib.Path):
    for name, component in Testbed.at(run).components.items():
        pid = component.process.pid()
        print(f"{name:24} {_describe(pid) if pid else 'does not run'}")


def _describe(pid: int) -> str:
    fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return f"pid {pid:<8} {int(fields['VmRSS'].split()[0]) // 1024:>5} MB   {fields['State'].split('(')[1].rstrip(')')}"


def _signal(arguments: argparse.Namespace, run: pathlib.Path):
    word, *names = arguments.names or [""]
    if word not in SIGNALS or not names:
        raise ValueError(f"signal needs one of {' '.join(SIGNALS)} and the names of processes")
    Testbed.at(run).signal(SIGNALS[word], *names)


_COMMANDS = {
    "up": _up,
    "down": _down,
    "status": _status,
    "stop": lambda arguments, run: Testbed.at(run).stop(*arguments.names),
    "start": lambda arguments, run: Testbed.at(run).start(*arguments.names),
    "signal": _signal,
    "env": _env,
}

if __name__ == "__main__":
    sys.exit(main())
