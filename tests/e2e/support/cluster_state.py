"""The state as a ConfigMap of a namespace: what support/state_dir.py is for a folder, with the same words.

Git owns the ConfigMap, except lastAppliedTimestamp; what write() does is `kubectl apply --server-side --force-conflicts`.
"""

import json

import yaml

from testbed.cluster import Namespace

APPLIED = "lastAppliedTimestamp"
MANAGER = "restore-reconciler"  # of the program
SOMEBODY = "somebody"  # the field manager of people and tools that write where they should not


class ClusterState:
    def __init__(self, namespace: Namespace, data: dict[str, str], spec: dict, name: str = "restore-state"):
        """data: the ConfigMap's keys except restore.yaml; spec: restore.yaml. Change them, then write()."""
        self.namespace = namespace
        self.name = name
        self.data = dict(data)
        self.spec = spec
        applied = self.data.pop(APPLIED, None)
        self.write()
        self.set_applied(applied)

    # --- what Git does ----------------------------------------------------------------------------------------------

    def manifest(self, **data: str) -> dict:
        """What stands in Git, with more keys where somebody put them there."""
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": self.name},
                "data": {**self.data, "restore.yaml": yaml.safe_dump(self.spec, sort_keys=False, allow_unicode=True), **data}}

    def write(self):
        self.namespace.cluster.api.apply(self.manifest(), self.namespace.name, manager="kubectl")

    def apply(self, *flags: str, command: str = "apply", **data: str) -> str:
        """kubectl apply, as people and tools do it; what it says, also when it is refused."""
        return self.namespace.kubectl(command, *flags, "-f", "-", stdin=json.dumps(self.manifest(**data)), check=False)

    def desire(self, timestamp: str, request: str | None = None):
        """What somebody commits to ask for a restore."""
        self.data["desiredBackupTimestamp"] = timestamp
        self.data.pop("restoreRequest", None)
        if request is not None:
            self.data["restoreRequest"] = request
        self.write()

    def set(self, **data: str | None):
        """Sets keys of the ConfigMap; None takes one out."""
        if APPLIED in data:
            self.set_applied(data.pop(APPLIED))
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

    # --- what the program wrote -------------------------------------------------------------------------------------

    def applied(self) -> str | None:
        """lastAppliedTimestamp, whoever wrote it."""
        return self.namespace.data(self.name).get(APPLIED)

    def applied_manager(self) -> str | None:
        """Who owns it."""
        found = (self.namespace.get("ConfigMap", self.name) or {"metadata": {}})["metadata"].get("managedFields", [])
        return next((entry["manager"] for entry in found if f"f:{APPLIED}" in entry.get("fieldsV1", {}).get("f:data", {})), None)

    def published(self) -> str | None:
        """lastAppliedTimestamp if the program wrote it."""
        return self.applied() if self.applied_manager() == MANAGER else None

    def set_applied(self, timestamp: str | None, manager: str = SOMEBODY):
        """Overwrites it, as a sync tool or an operator would; None takes it out."""
        self._merge(self.name, {APPLIED: timestamp}, manager)

    def journal(self) -> dict[str, str]:
        """The journal's keys; empty when there is none."""
        return self.namespace.data(self.journal_name)

    @property
    def journal_name(self) -> str:
        return f"{self.name}-journal"

    def lose_journal(self):
        self.namespace.delete("ConfigMap", self.journal_name)

    def change_journal(self, **keys: str):
        """Changes journal keys from outside, as no one should."""
        self._merge(self.journal_name, keys, SOMEBODY)

    def snapshot(self) -> dict[str, dict]:
        """Data and version of state and journal, to compare."""
        found = {name: self.namespace.get("ConfigMap", name) for name in (self.name, self.journal_name)}
        return {name: {"version": map_["metadata"]["resourceVersion"], "data": map_.get("data", {})} for name, map_ in found.items() if map_}

    def _merge(self, name: str, data: dict, manager: str):
        api = self.namespace.cluster.api
        api.request("PATCH", api.resource("ConfigMap").path(self.namespace.name, name), {"data": data}, "application/merge-patch+json",
                    query={"fieldManager": manager})
