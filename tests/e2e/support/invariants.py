"""What must hold after every run, however it ended and whatever was killed."""

import hashlib
import re

from .postgres import Postgres, quote
from .state_dir import StateDir

LOCK_CLASS = 29298  # of the advisory lock on a target database
_OUR_NAME = "_rr[spt][a-z2-7]{12}"


def our_databases(server: Postgres, target: str) -> dict[str, int]:
    """Databases beside target whose names have the program's form: name and oid."""
    form = re.compile(re.escape(_cut(target)) + _OUR_NAME)
    return {name: oid for name, oid in server.databases().items() if form.fullmatch(name)}


def registry(server: Postgres, control: str) -> dict[int, dict]:
    """The registry of every database that the program made or replaced, by oid; empty without control database."""
    return {row["oid"]: row for row in table(server, control, "database") if row["oid"]}


def history(server: Postgres, control: str, target: str) -> list[dict]:
    """The history rows of this target, oldest first."""
    return sorted((row for row in table(server, control, "history") if row["target"] == target), key=lambda row: row["seq"])


def fence(server: Postgres, control: str, target: str) -> dict | None:
    return next((row for row in table(server, control, "fence") if row["target"] == target), None)


def table(server: Postgres, control: str, name: str) -> list[dict]:
    if server.oid(control) is None:
        return []
    with server.connect(control) as session:
        if session.execute("SELECT to_regclass(%s)", [f"restore_reconciler.{name}"]).fetchone()[0] is None:
            return []
        cursor = session.execute(f"SELECT * FROM restore_reconciler.{name}")
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor]


def locks_held(server: Postgres, control: str | None = None) -> list[tuple]:
    """Locks on target databases; control: only those that runs with this control database hold."""
    found = server.sql("SELECT pid, objid, datname FROM pg_locks JOIN pg_database d ON d.oid = database "
                       "WHERE locktype = 'advisory' AND classid = %s AND granted", LOCK_CLASS)
    return [row for row in found if control in (None, row[2])]


def check_rest(server: Postgres, control: str, target: str, state: StateDir, allow_staging: bool = False):
    """Everything that must hold between runs, except what the live database holds."""
    registered = registry(server, control)
    ours = our_databases(server, target)
    strangers = {name: oid for name, oid in ours.items() if oid not in registered}
    assert not strangers, f"databases of our form that are in no registry: {strangers}; registry: {registered}"
    for oid, row in registered.items():
        name = server.one("SELECT datname FROM pg_database WHERE oid = %s", oid)
        assert name in (None, row["name"]), f"the registry calls {oid} {row['name']!r}, the server {name!r}"
    if not allow_staging:
        staging = [name for name in ours if name.startswith(_cut(target) + "_rrs")]
        assert not staging, f"staging left over: {staging}; registry: {registered}"
    restored = [(row["desired"], row["request"]) for row in history(server, control, target) if row["kind"] == "restore"]
    twice = [key for key, following in zip(restored, restored[1:]) if key == following]
    assert not twice, f"restored twice for one key, with no other wish in between: {restored}"
    assert not locks_held(server, control), f"locks still held: {locks_held(server, control)}"
    assert state.journal().get("phase", "Idle") == "Idle", f"journal not idle: {state.journal()}"


def live_is_usable(server: Postgres, target: str):
    """The application could connect and write: the database is open, valid, and not half renamed."""
    row = server.sql("SELECT datallowconn, datconnlimit FROM pg_database WHERE datname = %s", target)
    assert row and row[0][0] and row[0][1] != -2, f"live database {target!r} cannot be used: {row}"
    server.sql(f"BEGIN; CREATE TABLE public.{quote('probe_' + hashlib.md5(target.encode()).hexdigest()[:8])} (); ROLLBACK", database=target)


def _cut(name: str) -> str:
    """The first 40 bytes of a name, at a character."""
    return name.encode()[:40].decode(errors="ignore")
