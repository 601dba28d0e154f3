"""PostgreSQL and an S3 server beside the cluster, for people who try things; pods reach them at the host's address."""

import os
import pathlib
import pwd
import secrets
import shutil
import socket
import subprocess

from .layout import ADDRESSES, Layout
from .parts import path_of

MAJOR = 17
ACCESS_KEY, SECRET_KEY, REGION = "testbed", "testbed-secret", "us-east-1"


def _addresses(layout: Layout) -> list[str]:
    return list(dict.fromkeys(("127.0.0.1", layout.host_ip)))


# --- S3 -------------------------------------------------------------------------------------------------------------


def versitygw(layout: Layout) -> list:
    folder = layout.run / "s3"
    for name in ("data", "iam", "sidecar"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    listen = [word for ip in _addresses(layout) for word in ("--port", f"{ip}:{layout.port_of('s3')}")]
    return [path_of("versitygw"), "--access", ACCESS_KEY, "--secret", SECRET_KEY, "--region", REGION, *listen, "--health", "/healthz",
            "--keep-alive", "--iam-dir", folder / "iam", "--quiet", "posix", "--sidecar", folder / "sidecar", folder / "data"]


def versitygw_answers(layout: Layout) -> bool:
    return _accepts(layout.port_of("s3"))


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


def account() -> str | None:
    """The user that the server runs as: it refuses root."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return "nobody"


def password(layout: Layout) -> str:
    """The password of user postgres, made once."""
    path = layout.run / "postgresql.password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(12))
    return path.read_text()


def postgresql(layout: Layout) -> list:
    folder = layout.run / "postgresql"
    programs = folder / "installed"
    if not folder.exists():
        _make_data(layout, folder, programs)
    return [programs / "bin" / "postgres", "-D", folder / "data", "-p", layout.port_of("postgresql"), "-k", folder, "-cfsync=off",
            f"-clisten_addresses={','.join(_addresses(layout))}", "-cshared_buffers=64MB"]


def _make_data(layout: Layout, folder: pathlib.Path, programs: pathlib.Path):
    folder.mkdir()
    # Not from where test-parts put it: the server's user may not enter root's home.
    shutil.copytree(path_of(f"postgresql-{MAJOR}"), programs, symlinks=True)
    secret = folder / "password"
    secret.write_text(password(layout))
    user = account()
    if user:
        entry = pwd.getpwnam(user)
        for path in (folder, secret):
            os.chown(path, entry.pw_uid, entry.pw_gid)
    become = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"] if user else []
    words = [*become, programs / "bin" / "initdb", "-D", folder / "data", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8",
             "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}", "--no-sync"]
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    with open(folder / "data" / "pg_hba.conf", "a") as hba:
        hba.write(f"host all all {ADDRESSES} scram-sha-256\n")


def postgresql_answers(layout: Layout) -> bool:
    return _accepts(layout.port_of("postgresql"))


def environment(layout: Layout) -> dict[str, str]:
    """What a program on the host needs to find both."""
    return {
        "PGHOST": "127.0.0.1", "PGPORT": str(layout.port_of("postgresql")), "PGUSER": "postgres", "PGPASSWORD": password(layout),
        "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{layout.port_of('s3')}",
    }


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False
