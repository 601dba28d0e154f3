"""Where scripts/test-parts put the real parts; it is the only one who knows."""

import functools
import pathlib
import subprocess

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


@functools.cache
def _where() -> dict[str, pathlib.Path]:
    command = [CHECKOUT / "scripts" / "test-parts", "where"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {key: pathlib.Path(path) for key, _, path in (line.partition("=") for line in lines)}


def path_of(part: str) -> pathlib.Path:
    """The path of "versitygw" or of "postgresql-17"; an error that says what to run when it is not there."""
    path = _where()[part]
    if not path.exists():
        raise RuntimeError(f"{part} is not in {path}: run scripts/test-parts first")
    return path
