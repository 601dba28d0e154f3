"""A testbed: its processes, and the folder that they live in.

The folder holds the options, so that any later command knows what belongs to it, and owner, when the testbed is to go with
a process: a watcher takes it down when the owner dies, or whoever wants its ports next does.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import urllib3

from . import control_plane, kwok, network, node, pki, services
from .api import Api
from .layout import FAKE_NODE, REAL_NODE, STEP, Layout, run_folder
from .process import Process, identity, pid_of
from .waiting import wait_until

VERSIONS = ("1.37", "1.30")
_EARLY = ("etcd", "kube-apiserver", "containerd", "versitygw", "postgresql")  # wait for nobody; the others end without them
SIGNALS = {"STOP": signal.SIGSTOP, "CONT": signal.SIGCONT, "KILL": signal.SIGKILL}


@dataclasses.dataclass(frozen=True)
class Options:
    port: int = 16400  # the first of the testbed's ports
    kubernetes: str = "1.37"
    with_node: bool = False  # a real node, and a network of its own
    with_kwok: bool = True  # a simulated node
    with_services: bool = False  # PostgreSQL and S3, for people

    def __post_init__(self):
        if self.kubernetes not in VERSIONS:
            raise ValueError(f"there is no Kubernetes '{self.kubernetes}' here, only {' and '.join(VERSIONS)}")
        if self.with_node and self.kubernetes != "1.37":
            raise ValueError("a real node needs Kubernetes 1.37")


@dataclasses.dataclass(frozen=True)
class Component:
    process: Process
    command: Callable[[], list]  # writes its configuration, and returns its command line
    is_ready: Callable[[], bool] = lambda: True
    account: str | None = None
    is_on_host: bool = False  # outside of the testbed's network


class Testbed:
    __test__ = False  # pytest: this is no test

    def __init__(self, options: Options, run: pathlib.Path | None = None):
        self.options = options
        self.run = run or run_folder(options.port)
        self.layout = Layout(self.run, options.port, options.with_node)
        self.admin = Api(self.layout.api_url, self.layout.pki / "ca.crt", (self.layout.pki / "admin.crt", self.layout.pki / "admin.key"))
        self.components = {component.process.name: component for component in self._components()}

    @classmethod
    def at(cls, run: pathlib.Path) -> "Testbed":
        """The testbed that lives in this folder."""
        try:
            return cls(Options(**json.loads((run / "options.json").read_text())), run)
        except FileNotFoundError:
            raise LookupError(f"there is no testbed in {run}") from None

    # --- life -----------------------------------------------------------------------------------------------------

    def up(self):
        """Starts what does not run, and returns when everything is ready."""
        self.run.mkdir(parents=True, exist_ok=True)
        self.run.chmod(0o755)
        (self.run / "options.json").write_text(json.dumps(dataclasses.asdict(self.options)))
        pki.make(self.layout)
        if self.options.with_node:
            network.up(self.layout)
        self._launch(*_EARLY)
        self._await_ready(*_EARLY)
        if self.options.with_kwok and not self.admin.get("Node", FAKE_NODE):
            self.admin.create(kwok.node(beside_real_node=self.options.with_node))
        if self.options.with_node:
            node.import_own_images(self.layout)
        self._launch(*self.components)
        wait_until(lambda: self.admin.get("ServiceAccount", "default", "default"), "the controller-manager has made a ServiceAccount", 60, 0.05)
        for name in self.nodes:
            wait_until(lambda name=name: self._is_node_ready(name), f"node {name} is ready (see {self.layout.logs})", 60, 0.05)

    def down(self):
        """Kills everything and removes every trace; what is half there is fine."""
        for component in self.components.values():
            component.process.stop(grace=0)
        if self.options.with_node:
            node.remove_containers(self.layout)
            node.clean_up(self.layout)
            network.down(self.layout)
        shutil.rmtree(self.run, ignore_errors=True)

    def start(self, *names: str):
        """Starts these (all, when none is named) and waits until they are ready."""
        names = names or tuple(self.components)
        for name in names:
            self._component(name)  # known at all
        for group in ([name for name in names if name in _EARLY], [name for name in names if name not in _EARLY]):
            self._launch(*group)
            self._await_ready(*group)

    def stop(self, *names: str, grace: float = 2.0):
        """Stops these (all, when none is named); state and network stay. grace 0 is a crash."""
        # The API server waits long for clients that still watch, so it goes after them, and etcd last.
        for name in sorted(names or self.components, key=lambda name: {"etcd": 2, "kube-apiserver": 1}.get(name, 0)):
            self._component(name).process.stop(grace)

    def signal(self, number: int, *names: str):
        for name in names:
            if not self._component(name).process.signal(number):
                raise RuntimeError(f"{name} does not run")

    def is_complete(self) -> bool:
        return all(component.process.pid() for component in self.components.values())

    def keep_logs(self):
        """Copies the logs to where they stay, and says where."""
        kept = pathlib.Path("/tmp") / f"rr-testbed-logs-{self.options.port}"
        shutil.rmtree(kept, ignore_errors=True)
        with contextlib.suppress(OSError):
            shutil.copytree(self.layout.logs, kept)
            print(f"\nlogs of the testbed: {kept}")

    @property
    def nodes(self) -> list[str]:
        return [FAKE_NODE] * self.options.with_kwok + [REAL_NODE] * self.options.with_node

    # --- private --------------------------------------------------------------------------------------------------

    def _components(self) -> list[Component]:
        """In the order in which they are started."""
        layout, version = self.layout, self.options.kubernetes

        def component(name: str, command: Callable[[], list], **more) -> Component:
            return Component(Process(name, self.run), command, **more)

        found = [
            component("etcd", lambda: control_plane.etcd(layout)),
            component("kube-apiserver", lambda: control_plane.api_server(layout, version), is_ready=self.admin.answers),
            component("kube-controller-manager", lambda: control_plane.controller_manager(layout, version)),
            component("kube-scheduler", lambda: control_plane.scheduler(layout, version)),
        ]
        if self.options.with_kwok:
            found.append(component("kwok", self._kwok))
        if self.options.with_node:
            found += [
                component("containerd", lambda: node.containerd(layout), is_ready=lambda: node.containerd_answers(layout)),
                component("kubelet", lambda: node.kubelet(layout)),
                component("kube-proxy", lambda: node.kube_proxy(layout)),
            ]
        if self.options.with_services:
            found += [
                component("versitygw", lambda: services.versitygw(layout), is_ready=lambda: services.versitygw_answers(layout), is_on_host=True),
                component("postgresql", lambda: services.postgresql(layout), is_ready=lambda: services.postgresql_answers(layout),
                          is_on_host=True, account=services.account()),
            ]
        return found

    def _kwok(self) -> list:
        # Each kwok has a name of its own, and would wait for the Lease of the one before it to run out.
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            self.admin.delete("Lease", FAKE_NODE, "kube-node-lease")
        return kwok.command(self.layout)

    def _component(self, name: str) -> Component:
        if name not in self.components:
            raise LookupError(f"this testbed has no '{name}', only {' '.join(self.components)}")
        return self.components[name]

    def _launch(self, *names: str):
        for component in (self.components[name] for name in names if name in self.components):
            if not component.process.pid():
                namespace = None if component.is_on_host else self.layout.namespace
                component.process.start(component.command(), namespace, component.account)

    def _await_ready(self, *names: str):
        for component in (self.components[name] for name in names if name in self.components):
            wait_until(lambda component=component: component.process.check() or component.is_ready(),
                       f"{component.process.name} is ready (see {component.process.log_path})", 60, 0.05)

    def _is_node_ready(self, name: str) -> bool:
        for component in self.components.values():
            component.process.check()
        conditions = (self.admin.get("Node", name) or {}).get("status", {}).get("conditions", [])
        return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


# --- testbeds that go with the process that made them ---------------------------------------------------------------


@contextlib.contextmanager
def owned(**options):
    """A testbed on ports that nobody uses, which goes with the block, and with this process when it is killed."""
    run, port = _claim()
    bed = Testbed(Options(port=port, **options), run)
    watcher = _start_watcher(run)
    try:
        bed.up()
        yield bed
    except BaseException:
        bed.keep_logs()
        raise
    finally:
        watcher.kill()
        watcher.wait()
        bed.down()


def _start_watcher(run: pathlib.Path) -> subprocess.Popen:
    """PR_SET_PDEATHSIG would not do: it tells of the end of the thread, and tests start things in threads."""
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[1])}
    return subprocess.Popen([sys.executable, "-m", "testbed.watch", str(os.getpid()), str(run)], env=environment, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def _claim(first: int = 17000, count: int = 60) -> tuple[pathlib.Path, int]:
    for port in range(first, first + count * STEP, STEP):
        run = run_folder(port)
        if run.exists() and _is_abandoned(run):
            with contextlib.suppress(LookupError):
                Testbed.at(run).down()
            shutil.rmtree(run, ignore_errors=True)
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            continue
        (run / "owner").write_text(identity(os.getpid()) + "\n")
        return run, port
    raise RuntimeError(f"no free ports for a testbed from {first} on")


def _is_abandoned(run: pathlib.Path) -> bool:
    """Without an owner's name for a while it is one whose owner was killed before it could write it."""
    if (run / "owner").exists():
        return pid_of(run / "owner") is None
    return not (run / "options.json").exists() and time.time() - run.stat().st_mtime > 10
