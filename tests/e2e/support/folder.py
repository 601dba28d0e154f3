"""Backups in a folder, with the same face as a bucket."""

import pathlib


class Folder:
    def __init__(self, path: pathlib.Path):
        path.mkdir(parents=True)
        self.path = path

    def location(self, prefix: str = "") -> str:
        return f"file://{self.path}/{prefix}"

    def put(self, key: str, content: bytes | pathlib.Path):
        """A new file under the name, as a backup job that is careful would leave it."""
        target = self.path / key
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_suffix(".new")
        new.write_bytes(content.read_bytes() if isinstance(content, pathlib.Path) else content)
        new.rename(target)

    def get(self, key: str) -> bytes:
        return (self.path / key).read_bytes()

    def delete(self, key: str):
        (self.path / key).unlink()

    def keys(self) -> list[str]:
        return sorted(str(entry.relative_to(self.path)) for entry in self.path.rglob("*") if entry.is_file())

    def environment(self) -> dict[str, str]:
        return {}
