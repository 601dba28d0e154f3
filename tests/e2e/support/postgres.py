"""A throw-away PostgreSQL server of one major version.

The server trusts its unix socket, which the tests use, and asks for a password on 127.0.0.1, which the program uses.
It runs as user postgres (or nobody) when the tests run as root, because servers refuse root; since such a user may
not enter root's home, the binaries are hard-linked (or copied) into the session's folder.
"""

import contextlib
import hashlib
import os
import pathlib
import pwd
import shutil
import signal
import subprocess

import psycopg
from psycopg import sql as _sql

from .background import free_port
from .parts import path_of
from .waiting import wait_until

PASSWORD = "test 'secret' %41\\"  # with everything that a careless connection string trips over

INITDB_OPTIONS = ["--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust", "--no-sync", "--wal-segsize=1"]

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "wal_level": "logical",
    "max_prepared_transactions": "5",
    "max_replication_slots": "5",
    "max_wal_senders": "5",
    "log_line_prefix": "%m [%p] %u@%d %a: ",
    "log_statement": "ddl",
    "log_lock_waits": "on",
}

HBA = """
local all         all                trust
local replication all                trust
host  all         all 127.0.0.1/32   scram-sha-256
host  replication all 127.0.0.1/32   scram-sha-256
"""


def quote(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


class Postgres:
    """One server. start() and stop() may be called again and again; the data stay."""

    def __init__(self, major: int, folder: pathlib.Path, settings: dict[str, str] | None = None, wrapper: list[str] | None = None):
        """folder is the server's own; wrapper is put before the server's command line (unshare, prlimit, …)."""
        self.major = major
        self.folder = folder
        self.port = free_port()
        self.log_path = folder / "server.log"
        self._settings = {**SETTINGS, **(settings or {})}
        self._wrapper = wrapper or []
        self._process: subprocess.Popen | None = None
        folder.mkdir(parents=True)
        self._account = _server_account()
        self.bin = _reachable_tree(major, folder) / "bin"
        self.data = folder / "data"
        self._make_data()

    # --- life ---------------------------------------------------------------------------------------------------

    def start(self):
        """Starts the server unless it runs, and waits until it answers."""
        if self.is_running():
            return
        command = [*self._wrapper, *self._as_server_account(), self.bin / "postgres", "-D", self.data, "-p", str(self.port), "-k", self.folder]
        command += [f"-c{name}={value}" for name, value in self._settings.items()]
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_until(self._answers, f"PostgreSQL {self.major} answers (see {self.log_path})", 60)

    def stop(self, how: str = "fast"):
        """how: smart, fast or immediate (a crash, as seen by the clients and by the data)."""
        if not self.is_running():
            return
        os.kill(self._postmaster(), {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[how])
        self._process.wait(60)

    def restart(self, how: str = "fast"):
        self.stop(how)
        self.start()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def reload(self):
        os.kill(self._postmaster(), signal.SIGHUP)

    @contextlib.contextmanager
    def settings(self, **changes: str):
        """The server with other settings for a while; restarts it twice."""
        before = dict(self._settings)
        self._settings.update(changes)
        self.restart()
        try:
            yield
        finally:
            self._settings = before
            self.restart()

    # --- questions and commands -----------------------------------------------------------------------------------

    def connect(self, database: str = "postgres", user: str = "postgres", **more) -> psycopg.Connection:
        """A session over the unix socket, in autocommit mode."""
        return psycopg.connect(host=str(self.folder), port=self.port, dbname=database, user=user, autocommit=True, **more)

    def sql(self, text: str, *values, database: str = "postgres", user: str = "postgres") -> list[tuple]:
        """Runs SQL and returns the rows of its last statement. Without values the text may hold several statements."""
        with self.connect(database, user) as session:
            cursor = session.execute(text, values or None)
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def one(self, text: str, *values, database: str = "postgres", user: str = "postgres"):
        """The one value that a query answers, or None when there is no row."""
        rows = self.sql(text, *values, database=database, user=user)
        return rows[0][0] if rows else None

    def databases(self) -> dict[str, int]:
        """Every database except the server's own three: name and oid."""
        return dict(self.sql("SELECT datname, oid FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1')"))

    def oid(self, database: str) -> int | None:
        return self.one("SELECT oid FROM pg_database WHERE datname = %s", database)

    def create_database(self, name: str, template: str = "template1", owner: str = "postgres"):
        self.sql(f"CREATE DATABASE {quote(name)} TEMPLATE {quote(template)} OWNER {quote(owner)}")

    def drop_database(self, name: str):
        """Drops a database whatever state it is in; one that is not there is fine."""
        if self.oid(name) is not None:
            self.sql(f"ALTER DATABASE {quote(name)} IS_TEMPLATE false")
            self.sql(f"DROP DATABASE {quote(name)} WITH (FORCE)")

    def sessions(self, database: str) -> list[tuple]:
        return self.sql("SELECT pid, usename, application_name, state, query FROM pg_stat_activity WHERE datname = %s", database)

    def create_role(self, name: str, options: str = "LOGIN"):
        """A role with the password that Postgres.environment hands out; one that is there gets these options."""
        verb = "ALTER" if self.one("SELECT 1 FROM pg_roles WHERE rolname = %s", name) else "CREATE"
        text = _sql.SQL("{} ROLE {} {} PASSWORD {}").format(_sql.SQL(verb), _sql.Identifier(name), _sql.SQL(options), _sql.Literal(PASSWORD))
        with self.connect() as session:
            session.execute(text)

    def create_restorer(self, name: str, owner: str):
        """Role R of a managed server: no superuser, not the owner, but allowed everything that a restore needs."""
        self.create_role(name, "LOGIN CREATEDB CREATEROLE")
        self.sql(f"GRANT pg_signal_backend, pg_read_all_stats TO {quote(name)}")
        options = "WITH INHERIT TRUE, SET TRUE" if self.major >= 16 else ""
        self.sql(f"GRANT {quote(owner)} TO {quote(name)} {options}")

    def environment(self, user: str = "postgres", port: int | None = None) -> dict[str, str]:
        """libpq's variables for the program: over TCP, with a password; port is that of a proxy in between."""
        return {"PGHOST": "127.0.0.1", "PGPORT": str(port or self.port), "PGUSER": user, "PGPASSWORD": PASSWORD,
                "PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}

    # --- the clients of this version -------------------------------------------------------------------------------

    def client(self, *words, database: str | None = None, user: str = "postgres", check: bool = True, **options) -> subprocess.CompletedProcess:
        """Runs psql, pg_dump, pg_restore … of this version against this server; output is captured as bytes."""
        words = [str(self.bin / words[0]), *map(str, words[1:])]
        env = {"PATH": os.environ["PATH"], "PGHOST": str(self.folder), "PGPORT": str(self.port), "PGUSER": user}
        if database is not None:
            env["PGDATABASE"] = database
        options.setdefault("stdout", subprocess.PIPE)
        done = subprocess.run(words, env=env, stderr=subprocess.PIPE, timeout=120, **options)
        if check and done.returncode:
            raise RuntimeError(f"{words} ended {done.returncode}: {done.stderr.decode(errors='replace')}")
        return done

    def dump(self, database: str, path: pathlib.Path, how: str = "file", options: tuple[str, ...] = (), user: str = "postgres", server=None) -> pathlib.Path:
        """Writes a custom-format archive to path with this version's pg_dump.

        how: "file" (pg_dump -f), "redirect" (standard output is the file) or "pipe" (standard output is a pipe, so
        pg_dump cannot go back to write the offsets). server: another server to dump from.
        """
        server = server or self
        words = [str(self.bin / "pg_dump"), "-Fc", *options]
        env = {"PATH": os.environ["PATH"], "PGHOST": str(server.folder), "PGPORT": str(server.port), "PGUSER": user, "PGDATABASE": database}
        run = {"check": True, "env": env, "stderr": subprocess.PIPE, "timeout": 120}
        if how == "file":
            subprocess.run([*words, "-f", path], **run)
        elif how == "redirect":
            with open(path, "wb") as out:
                subprocess.run(words, stdout=out, **run)
        elif how == "pipe":
            path.write_bytes(subprocess.run(words, stdout=subprocess.PIPE, **run).stdout)
        else:
            raise ValueError(how)
        return path

    # --- private -----------------------------------------------------------------------------------------------------

    def _as_server_account(self) -> list[str]:
        if os.getuid() != 0:
            return ["setpriv", "--pdeathsig", "QUIT"]
        return ["setpriv", "--reuid", str(self._account.pw_uid), "--regid", str(self._account.pw_gid), "--clear-groups", "--pdeathsig", "QUIT"]

    def _postmaster(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"PostgreSQL {self.major} did not start:\n{self.log_path.read_text(errors='replace')[-3000:]}")
        try:
            with self.connect():
                return True
        except psycopg.OperationalError:
            return False

    def _make_data(self):
        shutil.copytree(_initdb_cached(self.major), self.data, symlinks=True)
        (self.data / "pg_hba.conf").write_text(HBA)
        for path in (self.folder, self.data, *self.data.rglob("*")):
            os.chown(path, self._account.pw_uid, self._account.pw_gid, follow_symlinks=False)
        self.data.chmod(0o700)
        self.start()
        with self.connect() as session:
            session.execute(_sql.SQL("ALTER ROLE postgres PASSWORD {}").format(_sql.Literal(PASSWORD)))


def _server_account() -> pwd.struct_passwd:
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _reachable_tree(major: int, folder: pathlib.Path) -> pathlib.Path:
    """The installed files where the server's account can reach them."""
    installed = path_of(f"postgresql-{major}")
    if os.getuid() != 0:
        return installed
    tree = folder.parent / f"installed-{major}"
    if not tree.exists():
        link = ["cp", "-a", "--link", installed, tree]
        if subprocess.run(link, capture_output=True).returncode:
            shutil.rmtree(tree, ignore_errors=True)
            subprocess.run(["cp", "-a", installed, tree], check=True)
    return tree


def _initdb_cached(major: int) -> pathlib.Path:
    """A data directory fresh from initdb, made once per version and set of options, then copied."""
    installed = path_of(f"postgresql-{major}")
    key = hashlib.sha256(" ".join(INITDB_OPTIONS).encode()).hexdigest()[:8]
    cached = installed.parent / f"{installed.name}-initdb-{key}"
    if cached.exists():
        return cached
    account = _server_account()
    work = pathlib.Path(subprocess.run(["mktemp", "-d", "/tmp/rr-initdb-XXXXXX"], check=True, capture_output=True, text=True).stdout.strip())
    try:
        work.chmod(0o755)
        tree = _reachable_tree(major, work / "x")
        os.chown(work, account.pw_uid, account.pw_gid)
        become = ["setpriv", "--reuid", str(account.pw_uid), "--regid", str(account.pw_gid), "--clear-groups"] if os.getuid() == 0 else []
        subprocess.run([*become, tree / "bin" / "initdb", *INITDB_OPTIONS, "-D", work / "data"], check=True, stdout=subprocess.DEVNULL, cwd=work)
        unfinished = cached.with_name(f".{cached.name}-{os.getpid()}")
        shutil.copytree(work / "data", unfinished, symlinks=True)
        with contextlib.suppress(OSError):  # somebody else was faster
            unfinished.rename(cached)
        shutil.rmtree(unfinished, ignore_errors=True)
    finally:
        shutil.rmtree(work)
    return cached
