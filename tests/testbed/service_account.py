"""The folder that a pod finds its ServiceAccount in, as the kubelet writes and replaces it."""

import os
import pathlib
import shutil
import uuid


MOUNT_POINT = "/var/run/secrets/kubernetes.io/serviceaccount"

# In a mount namespace of the command's own: nothing is made on this machine.
_MOUNT = f"""mount -t tmpfs none /run && mkdir -p {MOUNT_POINT} && mount --bind "$0" {MOUNT_POINT} && exec "$@" """


class ServiceAccountFolder:
    """token, ca.crt and namespace are links through ..data, which is swapped when the files change."""

    def __init__(self, path: pathlib.Path, token: str, ca: bytes, namespace: str, address: tuple[str, int]):
        """address: host and port of the API server."""
        self.path = path
        self.environment = {"KUBERNETES_SERVICE_HOST": address[0], "KUBERNETES_SERVICE_PORT": str(address[1])}
        path.mkdir(parents=True)
        self._files = {"token": token.encode(), "ca.crt": ca, "namespace": namespace.encode()}
        self.replace()
        for name in self._files:
            (path / name).symlink_to(f"..data/{name}")

    @property
    def wrapper(self) -> list[str]:
        """Put before a command line: the command finds the folder where a pod would. Needs root."""
        return ["unshare", "--mount", "sh", "-c", _MOUNT, str(self.path)]

    def replace(self, token: str | None = None, ca: bytes | None = None):
        """Puts new files in the place of the old ones, all at once, as the kubelet does when a token is about to expire."""
        if token is not None:
            self._files["token"] = token.encode()
        if ca is not None:
            self._files["ca.crt"] = ca
        version = self.path / f"..{uuid.uuid4().hex}"
        version.mkdir()
        for name, content in self._files.items():
            (version / name).write_bytes(content)
        data, new = self.path / "..data", self.path / "..data_tmp"
        before = data.readlink() if data.is_symlink() else None
        new.symlink_to(version.name)
        os.rename(new, data)
        if before:
            shutil.rmtree(self.path / before)
