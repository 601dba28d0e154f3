"""The program under test, as a CronJob would start it: no terminal, nothing in the environment that is not given."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

from .parts import CHECKOUT


def binary() -> pathlib.Path:
    """The shipped static binary, or the one that RESTORE_RECONCILER_BIN names. Missing is a failure, never a skip."""
    path = pathlib.Path(os.environ.get("RESTORE_RECONCILER_BIN") or CHECKOUT / "build" / "static" / "restore-reconciler")
    path = path if path.is_absolute() else CHECKOUT / path
    if not os.access(path, os.X_OK):
        raise AssertionError(f"there is no program at {path}: run make static, or set RESTORE_RECONCILER_BIN")
    return path


@dataclasses.dataclass
class Run:
    """A run that has ended."""

    words: list[str]
    exit: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def report(self) -> dict:
        """The last line of standard output, which is JSON; empty when there is none."""
        lines = self.stdout.strip().splitlines()
        try:
            report = json.loads(lines[-1]) if lines else {}
        except ValueError:
            return {}
        return report if isinstance(report, dict) else {}

    @property
    def events(self) -> list[dict]:
        """The lines of the log. A line that is not JSON is a failure."""
        return [json.loads(line) for line in self.stderr.splitlines()]

    def warnings(self) -> str:
        return "\n".join(json.dumps(event) for event in self.events if event.get("level") in ("warn", "warning", "error"))

    @property
    def text(self) -> str:
        """Everything that a person could read."""
        return self.stdout + self.stderr

    def expect(self, exit: int = 0, reason: str | None = None, result: str | None = None) -> "Run":
        """Fails with the whole output unless the run ended like this."""
        assert self.exit == exit, f"exit {self.exit}, expected {exit}\n{self}"
        for key, expected in (("reason", reason), ("result", result)):
            found = self.report.get(key)
            assert expected is None or found == expected, f"{key} {found!r}, expected {expected!r}\n{self}"
        return self

    def __str__(self):
        return f"{' '.join(self.words)} ended {self.exit} after {self.seconds:.2f} s\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


class Running:
    """A run that goes on."""

    def __init__(self, words: list[str], environment: dict[str, str], wrapper: list[str]):
        self.words = words
        self._started = time.monotonic()
        self._stdout, self._stderr = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self._process = subprocess.Popen([*wrapper, *words], env=environment, stdin=subprocess.DEVNULL, stdout=self._stdout, stderr=self._stderr)

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self):
        """SIGKILL; returns when it is dead. One that has ended already is fine."""
        self._process.kill()
        self._process.wait(30)

    def signal(self, number: int):
        self._process.send_signal(number)

    def terminate(self):
        self.signal(signal.SIGTERM)

    def wait(self, seconds: float = 90) -> Run:
        """Waits for the end; a run that takes longer is killed and fails the test."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {seconds} s\n{self._ended(-9)}") from None
        return self._ended(code)

    def stderr_so_far(self) -> str:
        return _read(self._stderr)

    def _ended(self, code: int) -> Run:
        return Run(self.words, code, _read(self._stdout), _read(self._stderr), time.monotonic() - self._started)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def _read(file) -> str:
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode("utf-8", "replace")


class Reconciler:
    """How to start the program. environment is all that it gets, beside PATH and a HOME of its own."""

    def __init__(self, home: pathlib.Path, environment: dict[str, str]):
        home.mkdir(parents=True, exist_ok=True)
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), **environment}

    def start(self, *words, environment: dict[str, str | None] | None = None, wrapper: list[str] | None = None) -> Running:
        """environment: changes to it; None takes a variable out."""
        changed = {**self.environment, **(environment or {})}
        return Running([str(binary()), *map(str, words)], {k: v for k, v in changed.items() if v is not None}, wrapper or [])

    def run(self, *words, environment: dict[str, str | None] | None = None, wrapper: list[str] | None = None, seconds: float = 90) -> Run:
        with self.start(*words, environment=environment, wrapper=wrapper) as running:
            return running.wait(seconds)
