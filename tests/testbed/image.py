"""Container images without a container engine: an OCI layout with one layer in a tar file, the same bytes every time."""

import hashlib
import io
import json
import pathlib
import platform
import tarfile

_TYPE = "application/vnd.oci.image."


def write(path: pathlib.Path, name: str, files: dict[str, pathlib.Path | bytes], entrypoint: list[str] | None = None,
          links: dict[str, str] | None = None, user: str = ""):
    """Writes an image to path.

    name: a full one, "testbed.local/pause:1". files: from the path in the image to what is in it (a file on disk, or
    bytes); all of them executable. links: from the path in the image to where it points.
    """
    layer = _layer(files, links or {})
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    config = _json({
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], **({"Entrypoint": entrypoint} if entrypoint else {}), **({"User": user} if user else {})},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    })
    manifest = _json({
        "schemaVersion": 2,
        "mediaType": _TYPE + "manifest.v1+json",
        "config": {"mediaType": _TYPE + "config.v1+json", "digest": _digest(config), "size": len(config)},
        "layers": [{"mediaType": _TYPE + "layer.v1.tar", "digest": _digest(layer), "size": len(layer)}],
    })
    index = _json({
        "schemaVersion": 2,
        "mediaType": _TYPE + "index.v1+json",
        "manifests": [{
            "mediaType": _TYPE + "manifest.v1+json", "digest": _digest(manifest), "size": len(manifest),
            "platform": {"architecture": architecture, "os": "linux"},
            "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]},
        }],
    })
    blobs = {f"blobs/sha256/{_digest(blob).removeprefix('sha256:')}": blob for blob in (config, layer, manifest)}
    path.write_bytes(_tar({"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index, **blobs}, {}))


def _layer(files: dict[str, pathlib.Path | bytes], links: dict[str, str]) -> bytes:
    content = {name.lstrip("/"): body if isinstance(body, bytes) else body.read_bytes() for name, body in files.items()}
    return _tar(content, {name.lstrip("/"): target for name, target in links.items()}, folders=("tmp",))


def _tar(files: dict[str, bytes], links: dict[str, str], folders: tuple[str, ...] = ()) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        parents = {str(parent) for name in (*files, *links) for parent in pathlib.PurePath(name).parents if str(parent) != "."}
        for name in sorted(parents | set(folders)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)
        for name, body in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(body), 0o755
            tar.addfile(entry, io.BytesIO(body))
        for name, target in sorted(links.items()):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
            tar.addfile(entry)
    return out.getvalue()


def _json(value) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()
