"""Requests to the API server from a test: JSON in, JSON out, with one connection that is kept."""

import dataclasses
import json
import pathlib
import urllib.parse

import urllib3

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_CONTENT_TYPES = {"merge": "application/merge-patch+json", "json": "application/json-patch+json",
                  "strategic": "application/strategic-merge-patch+json", "apply": "application/apply-patch+yaml"}


class ApiError(Exception):
    """An answer other than 2xx."""

    def __init__(self, request: str, status: int, body: dict | str):
        self.status = status
        self.reason = body.get("reason", "") if isinstance(body, dict) else ""
        self.body = body
        message = body.get("message", "") if isinstance(body, dict) else body
        super().__init__(f"{request}: {status} {self.reason} {message}")


@dataclasses.dataclass(frozen=True)
class Resource:
    """A kind of object and where it lives."""

    group: str
    version: str
    kind: str
    plural: str
    is_namespaced: bool

    def path(self, namespace: str | None, name: str = "") -> str:
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        within = f"/namespaces/{namespace}" if self.is_namespaced and namespace else ""
        return f"{root}{within}/{self.plural}" + (f"/{urllib.parse.quote(name, safe='')}" if name else "")


class Api:
    def __init__(self, url: str, ca: pathlib.Path, certificate: tuple[pathlib.Path, pathlib.Path] | None = None, token: str = ""):
        """certificate: a client's certificate and key; token: a bearer's."""
        self.url = url
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        cert_file, key_file = certificate or (None, None)
        self._pool = urllib3.PoolManager(ca_certs=str(ca), cert_file=cert_file and str(cert_file), key_file=key_file and str(key_file))
        self._resources: dict[str, Resource] = {}

    # --- plain requests -------------------------------------------------------------------------------------------

    def request(self, method: str, path: str, body=None, content_type: str = "application/json", accept: str = "application/json",
                query: dict[str, str] | None = None, seconds: float = 15.0):
        """One request; returns the decoded body. A GET is repeated when a kept connection turns out to be dead."""
        if query:
            path += "?" + urllib.parse.urlencode(query)
        retries = urllib3.Retry(connect=0, read=1, other=0, status=0, redirect=0, allowed_methods={"GET"})
        answer = self._pool.request(method, self.url + path, body=None if body is None else json.dumps(body).encode(), retries=retries,
                                    timeout=seconds, headers={**self._headers, "content-type": content_type, "accept": accept})
        text = answer.data.decode("utf-8", "replace")
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        decoded = json.loads(text) if is_json else text
        if not 200 <= answer.status < 300:
            raise ApiError(f"{method} {path}", answer.status, decoded)
        return decoded

    def answers(self, path: str = "/readyz") -> bool:
        """Whether the API server says that it is ready."""
        try:
            self.request("GET", path, seconds=2)
            return True
        except (urllib3.exceptions.HTTPError, ApiError):
            return False

    # --- objects --------------------------------------------------------------------------------------------------

    def resource(self, kind: str) -> Resource:
        """By kind, plural or short name, in any case; "event.events.k8s.io" where two groups have the same."""
        key = kind.lower()
        if key not in self._resources:
            self._discover()
        if key not in self._resources:
            raise LookupError(f"the API server knows no '{kind}'")
        return self._resources[key]

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict | None:
        """The object, or None when there is none."""
        try:
            return self.request("GET", self.resource(kind).path(namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def find(self, kind: str, namespace: str | None = None, selector: str = "", fields: str = "") -> list[dict]:
        query = {key: value for key, value in (("labelSelector", selector), ("fieldSelector", fields)) if value}
        return self.request("GET", self.resource(kind).path(namespace), query=query)["items"]

    def create(self, manifest: dict, namespace: str | None = None) -> dict:
        return self.request("POST", self._of(manifest).path(_namespace(manifest, namespace)), manifest)

    def replace(self, manifest: dict, namespace: str | None = None) -> dict:
        return self.request("PUT", self._of(manifest).path(_namespace(manifest, namespace), manifest["metadata"]["name"]), manifest)

    def apply(self, manifest: dict, namespace: str | None = None, manager: str = "test") -> dict:
        """Server-side apply, forced: the object is there afterwards, as the manifest says."""
        path = self._of(manifest).path(_namespace(manifest, namespace), manifest["metadata"]["name"])
        return self.request("PATCH", path, manifest, _CONTENT_TYPES["apply"], query={"fieldManager": manager, "force": "true"})

    def patch(self, kind: str, name: str, patch, namespace: str | None = None, how: str = "merge", subresource: str = "") -> dict:
        """how: merge, json or strategic."""
        path = self.resource(kind).path(namespace, name) + (f"/{subresource}" if subresource else "")
        return self.request("PATCH", path, patch, _CONTENT_TYPES[how])

    def delete(self, kind: str, name: str, namespace: str | None = None, grace: int | None = None) -> bool:
        """Asks for deletion; whether there was something to delete. grace 0 takes a pod away at once."""
        query = {} if grace is None else {"gracePeriodSeconds": str(grace)}
        try:
            self.request("DELETE", self.resource(kind).path(namespace, name), query={**query, "propagationPolicy": "Background"})
            return True
        except ApiError as error:
            if error.status == 404:
                return False
            raise

    # --- private --------------------------------------------------------------------------------------------------

    def _of(self, manifest: dict) -> Resource:
        group = manifest["apiVersion"].rpartition("/")[0]
        return self.resource(f"{manifest['kind']}.{group}" if group else manifest["kind"])

    def _discover(self):
        found: dict[str, Resource] = {}
        for path in ("/api", "/apis"):
            for group in self.request("GET", path, accept=_DISCOVERY)["items"]:
                for entry in group["versions"][0]["resources"]:  # the version that the server prefers
                    _add(found, group["metadata"].get("name", ""), group["versions"][0]["version"], entry)
        self._resources = found


def _add(found: dict[str, Resource], group: str, version: str, entry: dict):
    kind = entry["responseKind"]["kind"]
    resource = Resource(group, version, kind, entry["resource"], entry["scope"] == "Namespaced")
    for word in (kind, entry["resource"], entry.get("singularResource", ""), *entry.get("shortNames", [])):
        if word:
            found.setdefault(word.lower(), resource)
            found.setdefault(f"{word.lower()}.{group}", resource)


def _namespace(manifest: dict, namespace: str | None) -> str | None:
    return manifest["metadata"].get("namespace") or namespace
