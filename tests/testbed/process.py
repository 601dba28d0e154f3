"""A process that may outlive the command that started it, known by a file with its pid and its start time."""

import os
import pathlib
import signal
import subprocess

from .waiting import wait_until


def start_time(pid: int) -> str | None:
    """When a process was started, in ticks since boot; None when it has gone.

    A zombie counts as gone: where process 1 is slow to collect orphans, they stay for seconds.
    """
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def identity(pid: int) -> str:
    """What tells this process from a later one with the same pid."""
    return f"{pid} {start_time(pid)}"


def pid_of(identity_file: pathlib.Path) -> int | None:
    """The pid in a file that holds an identity, if that very process still runs."""
    try:
        text = identity_file.read_text().strip()
        pid = int(text.split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if identity(pid) == text else None


class Process:
    """One process of a testbed. run is the testbed's folder."""

    def __init__(self, name: str, run: pathlib.Path):
        self.name = name
        self.log_path = run / "logs" / f"{name}.log"
        self._run = run
        self._pid_file = run / "pids" / name
        self._child: subprocess.Popen | None = None  # when this very Python started it

    def pid(self) -> int | None:
        if self._child is not None:
            self._child.poll()  # collects it
        return pid_of(self._pid_file)

    def start(self, command: list, namespace: str | None = None, account: str | None = None):
        """Starts it unless it runs, in a network namespace and as another user than root when they are named."""
        if self.pid():
            return
        wrapper = ["setpriv", "--reuid", account, "--regid", account, "--clear-groups"] if account else []
        if namespace:  # not `ip netns exec`, which mounts another /sys, without the control groups
            wrapper += ["nsenter", f"--net=/run/netns/{namespace}"]
        for path in (self.log_path, self._pid_file):
            path.parent.mkdir(parents=True, exist_ok=True)
        environment = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "HOME": str(self._run)}
        with open(self.log_path, "ab") as log:
            self._child = subprocess.Popen([*wrapper, *map(str, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                           env=environment, cwd=self._run, start_new_session=True)
        self._pid_file.write_text(identity(self._child.pid) + "\n")

    def check(self):
        """An error with the end of the log when it has ended by itself."""
        if not self.pid():
            log = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
            raise RuntimeError(f"{self.name} does not run; the end of {self.log_path}:\n{log[-3000:]}")

    def signal(self, number: int):
        """Sends a signal; False when nobody is there to get it."""
        pid = self.pid()
        if pid:
            os.kill(pid, number)
        return bool(pid)

    def stop(self, grace: float = 2.0):
        """SIGTERM, and SIGKILL after the grace; 0 kills at once. One that is frozen dies of SIGKILL only."""
        if grace and self.signal(signal.SIGTERM):
            try:
                wait_until(lambda: not self.pid(), f"{self.name} ends", grace)
            except TimeoutError:
                pass  # killed below
        if self.signal(signal.SIGKILL):
            wait_until(lambda: not self.pid(), f"{self.name} is dead", 20)
        self._pid_file.unlink(missing_ok=True)
