"""The API server's audit log: which requests were made, by whom, and how they were answered.

What the control plane, kwok and the nodes ask for themselves is not in it.
"""

import dataclasses
import json
import pathlib
import urllib.parse
import uuid

from .api import Api
from .waiting import wait_until


@dataclasses.dataclass(frozen=True)
class Request:
    verb: str  # as in RBAC: get, list, create, patch, …
    path: str
    code: int
    user: str
    user_agent: str
    namespace: str
    resource: str  # "pods", "deployments/scale"; empty for paths that are no resource
    name: str
    query: dict[str, str]
    at: str  # when it was received

    def __str__(self):
        return f"{self.verb} {self.path} {self.code}"


class AuditLog:
    def __init__(self, path: pathlib.Path, admin: Api):
        self._path = path
        self._admin = admin

    def mark(self) -> int:
        """A place in the log to read from later: everything that was answered before this call stands before it."""
        word = uuid.uuid4().hex
        self._admin.request("GET", f"/version?mark={word}")
        needle = word.encode()

        def place():
            content = self._path.read_bytes()
            found = content.find(needle)
            return content.index(b"\n", found) + 1 if found >= 0 and b"\n" in content[found:] else None

        return wait_until(place, "the API server has written its audit log")

    def requests(self, since: int = 0, user: str = "") -> list[Request]:
        """What was answered since a mark, in that order; user: only those of this one."""
        end = self.mark()
        with open(self._path, "rb") as log:
            log.seek(since)
            lines = log.read(end - since).splitlines()
        found = [_request(json.loads(line)) for line in lines]
        return [request for request in found if (not user or request.user == user) and not (request.path == "/version" and "mark" in request.query)]


def service_account_user(namespace: str, name: str) -> str:
    """The user that a ServiceAccount is in the log."""
    return f"system:serviceaccount:{namespace}:{name}"


def _request(event: dict) -> Request:
    url = urllib.parse.urlsplit(event["requestURI"])
    target = event.get("objectRef", {})
    resource = "/".join(filter(None, (target.get("resource"), target.get("subresource"))))
    return Request(
        event["verb"], url.path, event.get("responseStatus", {}).get("code", 0), event["user"]["username"], event.get("userAgent", ""),
        target.get("namespace", ""), resource, target.get("name", ""), dict(urllib.parse.parse_qsl(url.query)), event["requestReceivedTimestamp"])
