"""A real S3 server: versitygw over a folder, with a bucket of its own for every test."""

import dataclasses
import errno
import os
import pathlib
import subprocess
import urllib.request

import boto3
import botocore.config

from .background import free_port
from .parts import path_of
from .waiting import wait_until

ACCESS_KEY = "testkey"
SECRET_KEY = "test/secret+key"
REGION = "us-east-1"


class S3:
    def __init__(self, folder: pathlib.Path):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = folder / "versitygw.log"
        for part in ("data", "iam", "sidecar"):
            (folder / part).mkdir(parents=True)
        command = [path_of("versitygw"), "--access", ACCESS_KEY, "--secret", SECRET_KEY, "--region", REGION,
                   "--port", f"127.0.0.1:{self.port}", "--health", "/healthz", "--keep-alive", "--iam-dir", folder / "iam", "--quiet", "posix"]
        if not _has_user_xattr(folder):
            command += ["--sidecar", folder / "sidecar"]
        with open(self.log_path, "wb") as log:
            words = ["setpriv", "--pdeathsig", "KILL", *map(str, command), str(folder / "data")]
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_until(self._answers, f"versitygw answers (see {self.log_path})")
        self.client = boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=REGION,
            config=botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"}))

    def bucket(self, name: str) -> "Bucket":
        self.client.create_bucket(Bucket=name)
        return Bucket(self, name)

    def environment(self, url: str | None = None) -> dict[str, str]:
        """The AWS variables for the program; url is that of a proxy in between."""
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_REGION": REGION, "AWS_ENDPOINT_URL_S3": url or self.url}

    def stop(self):
        self._process.kill()
        self._process.wait(10)

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"versitygw did not start:\n{self.log_path.read_text()}")
        try:
            with urllib.request.urlopen(self.url + "/healthz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False


@dataclasses.dataclass
class Bucket:
    s3: S3
    name: str

    def location(self, prefix: str = "") -> str:
        return f"s3://{self.name}/{prefix}"

    def environment(self) -> dict[str, str]:
        return self.s3.environment()

    def put(self, key: str, content: bytes | pathlib.Path, **more):
        """Stores an object; more goes to put_object (ChecksumAlgorithm="SHA256", …)."""
        body = content.read_bytes() if isinstance(content, pathlib.Path) else content
        self.s3.client.put_object(Bucket=self.name, Key=key, Body=body, **more)

    def get(self, key: str) -> bytes:
        return self.s3.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def delete(self, key: str):
        self.s3.client.delete_object(Bucket=self.name, Key=key)

    def keys(self) -> list[str]:
        pages = self.s3.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def _has_user_xattr(folder: pathlib.Path) -> bool:
    try:
        os.setxattr(folder, "user.probe", b"1")
        os.removexattr(folder, "user.probe")
        return True
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise
        return False
