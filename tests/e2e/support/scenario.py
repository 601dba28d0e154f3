"""A shop, its backups, its state directory and the program: what most tests start from.

The live database holds edition TODAY. Two backups lie in S3: MONDAY and TUESDAY, each another edition. The state says
that the database is managed (lastAppliedTimestamp is there) and asks for nothing new yet.
"""

import dataclasses
import hashlib
import pathlib

from . import invariants
from .fingerprint import Fingerprint, fingerprint
from .folder import Folder
from .pg_proxy import PgProxy, kill, sql
from .postgres import Postgres, quote
from .reconciler import Reconciler, Run, Running
from .s3 import Bucket
from .shop import OWNER, make_roles, make_shop
from .state_dir import StateDir
from .waiting import wait_until

SWAP = sql("^BEGIN.*RENAME TO")  # the one message from BEGIN to COMMIT

LONG_AGO = "2024-12-01T00:00:00Z"  # what the state calls applied before the first run
NAME_PATTERN = "%Y-%m-%dT%H:%M:%SZ.dump"


@dataclasses.dataclass(frozen=True)
class Backup:
    at: str  # its timestamp
    edition: int

    @property
    def name(self) -> str:
        return f"{self.at}.dump"


MONDAY = Backup("2024-12-09T00:00:00Z", 1)
TUESDAY = Backup("2024-12-10T00:00:00Z", 2)
TODAY = 9  # the edition of the live database


class Editions:
    """One server's shops of each edition, made once: to copy from, their archives, and what they hold."""

    def __init__(self, server: Postgres, folder: pathlib.Path):
        self.server = server
        self.folder = folder
        self._made: dict[int, Fingerprint] = {}
        folder.mkdir(parents=True)
        make_roles(server)

    def template(self, edition: int) -> str:
        """A database to be used as a template only."""
        name = f"template_edition_{edition}"
        if edition not in self._made:
            make_shop(self.server, name, edition)
            self.server.sql(f"ALTER DATABASE {name} IS_TEMPLATE true")
            self._made[edition] = fingerprint(self.server, name)
        return name

    def fingerprint(self, edition: int) -> Fingerprint:
        self.template(edition)
        return self._made[edition]

    def archive(self, edition: int) -> pathlib.Path:
        path = self.folder / f"edition-{edition}.dump"
        if not path.exists():
            self.server.dump(self.template(edition), path)
        return path

    def recognise(self, found: Fingerprint) -> int | None:
        """Which edition this is, entirely; None when it is none of those made here."""
        return next((edition for edition, known in self._made.items() if known == found), None)


class Shop:
    def __init__(self, server: Postgres, editions: Editions, store: Bucket | Folder, folder: pathlib.Path, name: str, user: str = "postgres"):
        self.server = server
        self.editions = editions
        self.store = store  # where the backups are
        self.folder = folder
        self.database = name
        self.control = "ctl_" + hashlib.sha256(name.encode()).hexdigest()[:12]
        server.create_database(name, template=editions.template(TODAY), owner=OWNER)
        self.live_oid = server.oid(name)
        for backup in (MONDAY, TUESDAY):
            self.put_backup(backup)
        self.state = self.make_state({"desiredBackupTimestamp": LONG_AGO, "lastAppliedTimestamp": LONG_AGO}, {
            "database": name,
            "controlDatabase": self.control,
            "backups": {"location": store.location("shop/"), "name": NAME_PATTERN},
            "jobs": 2,
        })
        self.reconciler = Reconciler(folder / "home", {**server.environment(user), **store.environment()})

    def make_state(self, data: dict[str, str], spec: dict) -> StateDir:
        return StateDir(self.folder / "state", data, spec)

    def where(self) -> list:
        """The flags that say where the state is."""
        return ["--state-dir", self.state.path]

    # --- arrange -------------------------------------------------------------------------------------------------------

    def put_backup(self, backup: Backup, content: bytes | pathlib.Path | None = None, suffix: str = "", **more):
        """Stores a backup, or other content under its name; suffix: of a file beside it."""
        self.store.put(f"shop/{backup.name}{suffix}", self.editions.archive(backup.edition) if content is None else content, **more)

    def put_directory(self, folder: str, path: pathlib.Path):
        """Stores an archive in directory format, file by file."""
        for file in sorted(path.iterdir()):
            self.store.put(f"shop/{folder}/{file.name}", file)

    def through(self, proxy: PgProxy):
        """From now on the program reaches the server through this proxy."""
        self.reconciler.environment["PGPORT"] = str(proxy.port)

    def s3_through(self, url: str):
        self.reconciler.environment["AWS_ENDPOINT_URL_S3"] = url

    def restored_once(self) -> "Shop":
        """After a first restore (MONDAY), with its previous database kept."""
        self.state.desire(MONDAY.at)
        self.run().expect(0)
        self.assert_live_is(MONDAY.edition)
        return self

    # --- act -----------------------------------------------------------------------------------------------------------

    def run(self, *flags, command: str = "run", **more) -> Run:
        return self.reconciler.run(command, *self.where(), *flags, **more)

    def start(self, *flags, command: str = "run", **more) -> Running:
        return self.reconciler.start(command, *self.where(), *flags, **more)

    def run_killed(self, proxy: PgProxy, when: str, which) -> Run:
        """A run that is killed "before" or "after" a message to the database; returns when the server has noticed."""
        self.through(proxy)
        proxy.reset()
        trap = getattr(proxy, when)(which, kill)
        with self.start() as running:
            proxy.victim = running
            run = running.wait()
        assert trap.reached.is_set() and run.exit == -9, f"it was not killed {when} {which}\n{run}\n{proxy.describe()}"
        proxy.reset()
        self.wait_for_locks()
        return run

    def wait_for_locks(self):
        """A backend whose client is gone lets its locks go when it notices."""
        wait_until(lambda: not invariants.locks_held(self.server), "the locks of the dead run are free")

    # --- assert --------------------------------------------------------------------------------------------------------

    def edition(self, database: str | None = None) -> int | None:
        """Which edition a database (default: the live one) holds, entirely; None when it is a mixture or another thing."""
        return self.editions.recognise(fingerprint(self.server, database or self.database))

    def assert_live_is(self, edition: int):
        expected, found = self.editions.fingerprint(edition), fingerprint(self.server, self.database)
        assert found == expected, f"live is not edition {edition}:\n{expected.difference(found)}"
        invariants.live_is_usable(self.server, self.database)

    def assert_untouched(self):
        """Live is the same database with the same contents, and nothing of ours lies around."""
        assert self.server.oid(self.database) == self.live_oid, "the live database has been replaced"
        self.assert_live_is(TODAY)
        assert not self.ours(), f"left over: {self.ours()}"
        assert self.state.applied() is None, f"published {self.state.applied()}"

    def assert_consistent(self, *editions: int, allow_staging: bool = False):
        """Live is entirely one of these editions, and everything that must hold between runs holds."""
        assert self.edition() in editions, f"live is edition {self.edition()}, expected one of {editions}"
        invariants.live_is_usable(self.server, self.database)
        invariants.check_rest(self.server, self.control, self.database, self.state, allow_staging)

    def expect(self, exit: int, reason: str, command: str = "run", **more) -> Run:
        """Runs, and expects this exit code and this reason on the last line and in the journal."""
        run = self.run(command=command, **more).expect(exit, reason)
        assert self.state.journal().get("reason") == reason, f"journal: {self.state.journal()}\n{run}"
        return run

    # --- look ----------------------------------------------------------------------------------------------------------

    def history(self) -> list[dict]:
        return invariants.history(self.server, self.control, self.database)

    def registry(self) -> dict[int, dict]:
        return invariants.registry(self.server, self.control)

    def fence(self) -> dict | None:
        return invariants.fence(self.server, self.control, self.database)

    def ours(self) -> dict[str, int]:
        """Databases beside live whose names have the program's form."""
        return invariants.our_databases(self.server, self.database)

    def open_previous(self) -> str:
        """Opens the kept database, to look into it, and returns its name."""
        name = self.previous()
        self.server.sql(f"ALTER DATABASE {quote(name)} ALLOW_CONNECTIONS true")
        return name

    def previous(self) -> str | None:
        """The one kept previous database; None when there is none."""
        names = [name for name in self.ours() if "_rrp" in name]
        assert len(names) <= 1, f"several previous databases: {names}"
        return names[0] if names else None
