"""The state as a directory: the file that Git owns, and the two files that the program writes beside it."""

import json
import os
import pathlib

import yaml


class StateDir:
    def __init__(self, path: pathlib.Path, data: dict[str, str], spec: dict):
        """data: the ConfigMap's keys except restore.yaml; spec: restore.yaml. Change them, then write()."""
        path.mkdir(parents=True)
        self.path = path
        self.file = path / "restore-state.yaml"
        self.applied_file = path / "restore-state.applied.yaml"
        self.journal_file = path / "restore-state.journal.json"
        self.data = data
        self.spec = spec
        self.write()

    def write(self):
        restore_yaml = yaml.safe_dump(self.spec, sort_keys=False, allow_unicode=True)
        config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "restore-state"},
                      "data": {**self.data, "restore.yaml": restore_yaml}}
        self.write_text(yaml.dump(config_map, Dumper=_Readable, sort_keys=False, allow_unicode=True))

    def write_text(self, text: str | bytes):
        """Replaces restore-state.yaml by anything, as git checkout does: a new file under the old name."""
        new = self.file.with_suffix(".new")
        new.write_bytes(text if isinstance(text, bytes) else text.encode())
        new.rename(self.file)

    def desire(self, timestamp: str, request: str | None = None):
        """What somebody commits to ask for a restore."""
        self.data["desiredBackupTimestamp"] = timestamp
        self.data.pop("restoreRequest", None)
        if request is not None:
            self.data["restoreRequest"] = request
        self.write()

    def set(self, **data: str | None):
        """Sets keys of the ConfigMap; None takes one out."""
        for key, value in data.items():
            self.data.pop(key, None)
            if value is not None:
                self.data[key] = value
        self.write()

    def configure(self, **spec):
        """Sets keys of restore.yaml; None takes one out."""
        for key, value in spec.items():
            self.spec.pop(key, None)
            if value is not None:
                self.spec[key] = value
        self.write()

    # --- what the program wrote ----------------------------------------------------------------------------------------

    def applied(self) -> str | None:
        """lastAppliedTimestamp as the program published it; None when it never did."""
        if not self.applied_file.exists():
            return None
        return yaml.load(self.applied_file.read_text(), Loader=yaml.BaseLoader)["data"]["lastAppliedTimestamp"]

    def set_applied(self, timestamp: str | None):
        """Overwrites what the program published, as a sync tool or an operator would."""
        if timestamp is None:
            self.applied_file.unlink(missing_ok=True)
        else:
            self.applied_file.write_text(f'data:\n  lastAppliedTimestamp: "{timestamp}"\n')

    def journal(self) -> dict[str, str]:
        """The journal's keys; empty when there is none."""
        if not self.journal_file.exists():
            return {}
        return json.loads(self.journal_file.read_text())["data"]

    def lose_journal(self):
        self.journal_file.unlink(missing_ok=True)

    def snapshot(self) -> dict[str, bytes]:
        """Every file of the directory that matters, to compare."""
        return {entry.name: entry.read_bytes() for entry in sorted(self.path.iterdir()) if entry.suffix in (".yaml", ".json")}

    def change_journal(self, **keys: str):
        """Changes journal keys from outside, as no one should."""
        journal = json.loads(self.journal_file.read_text())
        journal["data"].update(keys)
        new = self.journal_file.with_suffix(".new")
        new.write_text(json.dumps(journal))
        os.rename(new, self.journal_file)


class _Readable(yaml.SafeDumper):
    """Writes several lines as a block, the way people do."""


def _text(dumper, value):
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else '"' if value[:1].isdigit() else None)


_Readable.add_representer(str, _text)
