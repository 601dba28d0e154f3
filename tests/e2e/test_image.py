"""The image: what is in it, that its digests are right, and that it comes out the same wherever it is made."""

import gzip
import hashlib
import io
import json
import os
import pathlib
import platform
import re
import shutil
import ssl
import subprocess
import tarfile

import pytest

from support.parts import CHECKOUT
from support.reconciler import binary

NAME = "testbed.local/restore-reconciler:dev"
MAKE_IMAGE = CHECKOUT / "scripts" / "make-image"
DOCKERFILE = CHECKOUT / "scripts" / "Dockerfile"
USER = "65532:65532"
FILES = {"restore-reconciler": 0o755, "etc/ssl/certs/ca-certificates.crt": 0o644, "etc/passwd": 0o644, "etc/group": 0o644}


def run_script(*words, script: pathlib.Path = MAKE_IMAGE, **options) -> subprocess.CompletedProcess:
    return subprocess.run([script, *map(str, words)], capture_output=True, text=True, **options)


def make(out: pathlib.Path, *words, environment: dict[str, str] | None = None, **options) -> pathlib.Path:
    words = ["--name", NAME, "--binary", binary(), "--version", "1.2.3", "--revision", "0123456789ab", "--out", out, *words]
    made = run_script(*words, env={"PATH": "/usr/bin:/bin", "SOURCE_DATE_EPOCH": "1700000000", **(environment or {})}, **options)
    assert made.returncode == 0, made.stderr
    return out


class Image:
    """An archive, read as the OCI image layout says."""

    def __init__(self, path: pathlib.Path):
        with tarfile.open(path) as archive:
            self.members = archive.getmembers()
            self.files = {member.name: archive.extractfile(member).read() for member in self.members if member.isfile()}
        self.index = json.loads(self.files["index.json"])
        [self.entry] = self.index["manifests"]
        self.manifest = json.loads(self.blob(self.entry))
        self.config = json.loads(self.blob(self.manifest["config"]))
        [self.layer] = self.manifest["layers"]

    def blob(self, descriptor: dict) -> bytes:
        algorithm, _, digest = descriptor["digest"].partition(":")
        data = self.files[f"blobs/{algorithm}/{digest}"]
        assert algorithm == "sha256" and hashlib.sha256(data).hexdigest() == digest and len(data) == descriptor["size"]
        return data

    def tree(self) -> tarfile.TarFile:
        return tarfile.open(fileobj=io.BytesIO(gzip.decompress(self.blob(self.layer))))


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return Image(make(tmp_path_factory.mktemp("image") / "image.tar"))


def test_the_layout_is_an_oci_image(image):
    assert json.loads(image.files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    kind = "application/vnd.oci.image"
    assert image.index["mediaType"] == f"{kind}.index.v1+json" and image.entry["mediaType"] == f"{kind}.manifest.v1+json"
    assert image.manifest["config"]["mediaType"] == f"{kind}.config.v1+json" and image.layer["mediaType"] == f"{kind}.layer.v1.tar+gzip"
    blobs = {name.rpartition("/")[2] for name in image.files if name.startswith("blobs/")}
    assert blobs == {descriptor["digest"].partition(":")[2] for descriptor in (image.entry, image.manifest["config"], image.layer)}
    layer = gzip.decompress(image.blob(image.layer))
    assert image.config["rootfs"] == {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}
    assert len(image.config["history"]) == 1


def test_every_reader_finds_the_name(image):
    annotations = image.entry["annotations"]
    assert annotations["io.containerd.image.name"] == annotations["org.opencontainers.image.ref.name"] == NAME
    [docker] = json.loads(image.files["manifest.json"])
    digest = {key: image.manifest[key]["digest"].partition(":")[2] for key in ["config"]} | {"layer": image.layer["digest"].partition(":")[2]}
    assert docker == {"RepoTags": [NAME], "Config": f"blobs/sha256/{digest['config']}", "Layers": [f"blobs/sha256/{digest['layer']}"]}


def test_the_configuration(image):
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    assert (image.config["os"], image.config["architecture"]) == ("linux", machine)
    assert image.entry["platform"] == {"os": "linux", "architecture": machine}
    assert image.config["created"] == "2023-11-14T22:13:20Z"
    labels = image.config["config"].pop("Labels")
    assert image.config["config"] == {"User": USER, "Entrypoint": ["/restore-reconciler"], "WorkingDir": "/"}
    assert labels == image.manifest["annotations"]
    assert {key.removeprefix("org.opencontainers.image."): value for key, value in labels.items()} == {
        "title": "restore-reconciler", "version": "1.2.3", "revision": "0123456789ab", "licenses": "Apache-2.0",
        "description": "Restores a PostgreSQL database to the backup that a timestamp in Git asks for"}


def test_it_holds_the_program_and_little_else(image):
    with image.tree() as tree:
        members = tree.getmembers()
        content = {member.name: tree.extractfile(member).read() for member in members if member.isfile()}
    assert {member.name: member.mode for member in members if not member.isdir()} == FILES
    assert {member.name for member in members if member.isdir()} == {"etc", "etc/ssl", "etc/ssl/certs"}
    assert all(member.mode == 0o755 for member in members if member.isdir())
    assert content["restore-reconciler"] == binary().read_bytes()
    assert re.fullmatch(rb"nonroot:x:65532:65532:[^:\n]*:/:[^:\n]*\n", content["etc/passwd"])
    assert content["etc/group"] == b"nonroot:x:65532:\n"


def test_authorities_are_the_packages_and_not_the_machines(image):
    with image.tree() as tree:
        bundle = tree.extractfile("etc/ssl/certs/ca-certificates.crt").read().decode()
    context = ssl.create_default_context(cadata=bundle)
    package = sorted(pathlib.Path("/usr/share/ca-certificates/mozilla").glob("*.crt"))
    assert len(context.get_ca_certs()) == len(package) > 100
    assert bundle == "".join(path.read_text() for path in package)


def test_another_bundle_can_be_given(tmp_path):
    own = sorted(pathlib.Path("/usr/share/ca-certificates/mozilla").glob("*.crt"))[0]
    with Image(make(tmp_path / "image.tar", "--ca-bundle", own)).tree() as tree:
        assert tree.extractfile("etc/ssl/certs/ca-certificates.crt").read() == own.read_bytes()


def test_the_same_input_gives_the_same_bytes(tmp_path, workdir):
    """Another folder, user, umask, time zone, language, age of the files, and variables that change what tar and gzip do."""
    here = make(tmp_path / "image.tar", umask=0o022)
    folder = workdir / "another folder"  # not below tmp_path, which is root's alone
    folder.mkdir()
    program, script = shutil.copy(binary(), folder / "program"), shutil.copy(MAKE_IMAGE, folder)
    os.utime(program, (1, 1))
    os.chmod(program, 0o700)
    who = {}
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
        os.chown(program, 65534, 65534)
        who = {"user": 65534, "group": 65534, "extra_groups": []}
    strange = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8", "TAR_OPTIONS": "--mode=600 --owner=7", "GZIP": "-1", "TMPDIR": str(folder)}
    there = make(folder / "image.tar", "--binary", program, script=script, environment=strange, umask=0o077, cwd=folder, **who)
    assert here.read_bytes() == there.read_bytes()
    for member in Image(here).members:
        assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", 0)
    assert sorted(os.listdir(folder)) == ["image.tar", "make-image", "program"]  # nothing is left behind


def test_another_program_gives_another_image(tmp_path, image):
    program = tmp_path / "program"
    program.write_bytes(binary().read_bytes() + b"\0")
    other = Image(make(tmp_path / "image.tar", "--binary", program))
    assert other.entry["digest"] != image.entry["digest"] and other.layer["digest"] != image.layer["digest"]


@pytest.mark.parametrize("words, said", [
    (["--name", "no-tag", "--binary", __file__, "--out", "x"], "no name of an image"), (["--name", "Upper:1", "--binary", __file__, "--out", "x"], "no name of an image"),
    (["--name", 'a"b:1', "--binary", __file__, "--out", "x"], "no name of an image"), (["--name", "a//b:1", "--binary", __file__, "--out", "x"], "no name of an image"),
    (["--name", "a:1", "--binary", __file__], "--out is missing"), (["--name", "a:1", "--out", "x"], "--binary is missing"), (["--nmae", "a:1"], "unknown word"), (["--name"], "wants a value"),
    (["--name", "a:1", "--binary", "/nonexistent", "--out", "x"], "make static"), (["--name", "a:1", "--binary", __file__, "--out", "x", "--version", 'a"b'], "version"),
    (["--name", "a:1", "--binary", __file__, "--out", "x", "--ca-bundle", "/dev/null"], "no certificate"), (["--root", "x", "--binary", __file__, "--name", "a:1"], "--root goes with neither")])
def test_wrong_input_is_refused(tmp_path, words, said):
    made = run_script(*words, cwd=tmp_path)
    assert made.returncode in (1, 2) and said in made.stderr, made
    assert not (tmp_path / "x").exists()


def test_the_program_needs_nothing_beside_the_image(image, tmp_path):
    """Its files are all of the file system, and it runs as the image's user."""
    if os.geteuid() != 0:
        pytest.fail("chroot needs root")
    with image.tree() as tree:
        tree.extractall(tmp_path / "root", filter="fully_trusted")
    command = ["chroot", f"--userspec={USER}", tmp_path / "root", "/restore-reconciler", "version"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": "/usr/sbin:/usr/bin:/bin"}).stdout)
    assert told["version"] == (CHECKOUT / "lib/VERSION").read_text().strip()


def test_the_dockerfile_makes_the_same(image, tmp_path):
    """No engine here: its last stage is read, and the folder that it copies is made."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    last = text[text.rindex("FROM scratch"):]
    assert json.loads(re.search(r"^ENTRYPOINT (.*)$", last, re.M)[1]) == image.config["config"]["Entrypoint"]
    assert re.search(r"^USER (.*)$", last, re.M)[1] == USER
    labels = dict(re.findall(r'(org\.opencontainers\.image\.\w+)="([^"]*)"', last))
    expected = image.manifest["annotations"] | {"org.opencontainers.image.version": "$VERSION", "org.opencontainers.image.revision": "$COMMIT"}
    assert labels == expected
    assert re.findall(r"^COPY .*$", last, re.M) == ["COPY --from=build /image /"]
    assert "scripts/make-image --root /image --binary build/static/restore-reconciler" in text
    laid = run_script("--root", tmp_path / "image", "--binary", binary(), umask=0o077)
    assert laid.returncode == 0, laid.stderr
    with image.tree() as tree:
        for member in tree.getmembers():
            path = tmp_path / "image" / member.name
            assert path.stat().st_mode & 0o7777 == member.mode
            assert path.is_dir() or path.read_bytes() == tree.extractfile(member).read()
        assert {str(path.relative_to(tmp_path / "image")) for path in (tmp_path / "image").rglob("*")} == set(tree.getnames())
