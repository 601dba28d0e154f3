"""What a database holds, short enough to compare: rows, sequences, large objects and schema."""

import dataclasses
import difflib
import re

from .postgres import Postgres

_TABLES = """
SELECT format('SELECT %L AS name, count(*) AS rows, coalesce(sum(hashtextextended(t::text, 0)), 0) AS hash FROM ONLY %I.%I t', c.oid::regclass::text, n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^(pg_|information_schema$)' AND (c.relkind = 'r' OR c.relispopulated)
 ORDER BY 1
"""
_SEQUENCES = "SELECT schemaname || '.' || sequencename, last_value, increment_by FROM pg_sequences ORDER BY 1"
_LARGE_OBJECTS = "SELECT oid, md5(lo_get(oid)), pg_get_userbyid(lomowner), lomacl::text FROM pg_largeobject_metadata ORDER BY 1"
_NOISE = re.compile(r"^(\\(un)?restrict .*|-- Dumped (from|by) .*|SET transaction_timeout = 0;|)$")


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    tables: tuple
    sequences: tuple
    large_objects: tuple
    schema: str | None  # None when not looked at

    def data(self) -> "Fingerprint":
        """The same without the schema."""
        return dataclasses.replace(self, schema=None)

    def difference(self, other: "Fingerprint") -> str:
        """What a person wants to read when two fingerprints should be equal and are not."""
        lines = []
        for field in ("tables", "sequences", "large_objects"):
            mine, theirs = set(getattr(self, field)), set(getattr(other, field))
            lines += [f"- {field}: {row}" for row in sorted(mine - theirs, key=str)] + [f"+ {field}: {row}" for row in sorted(theirs - mine, key=str)]
        lines += difflib.unified_diff((self.schema or "").splitlines(), (other.schema or "").splitlines(), "expected", "found", lineterm="", n=1)
        return "\n".join(lines[:60])


def fingerprint(server: Postgres, database: str, schema: bool = True) -> Fingerprint:
    """Reads the whole database; without schema it is several times faster."""
    with server.connect(database) as session:
        session.execute("SET search_path = pg_catalog; SET row_security = off")
        queries = [row[0] for row in session.execute(_TABLES)]
        tables = tuple(session.execute(" UNION ALL ".join(queries) + " ORDER BY 1").fetchall()) if queries else ()
        sequences = tuple(session.execute(_SEQUENCES).fetchall())
        large_objects = tuple(session.execute(_LARGE_OBJECTS).fetchall())
    return Fingerprint(tables, sequences, large_objects, schema_of(server, database) if schema else None)


def schema_of(server: Postgres, database: str) -> str:
    """pg_dump's text of the schema, without what differs between two dumps of the same thing."""
    text = server.client("pg_dump", "--schema-only", database=database).stdout.decode()
    return "\n".join(line for line in text.splitlines() if not _NOISE.match(line))


def properties(server: Postgres, database: str) -> dict:
    """What belongs to the database itself and not to what is in it (the comment without the program's line)."""
    acl = server.sql("""
        SELECT grantee::regrole::text, privilege_type, is_grantable FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE datname = %s ORDER BY 1, 2, 3""", database)
    settings = server.sql("""
        SELECT setrole::regrole::text, unnest(setconfig) FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE datname = %s ORDER BY 1, 2""", database)
    row = server.sql("""
        SELECT datdba::regrole::text, pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit, datallowconn, datistemplate, spcname
          FROM pg_database d JOIN pg_tablespace t ON t.oid = dattablespace WHERE datname = %s""", database)[0]
    names = ("owner", "encoding", "collate", "ctype", "connection limit", "connections allowed", "template", "tablespace")
    return {"acl": acl, "settings": settings, **dict(zip(names, row))}


def comment_on(server: Postgres, database: str) -> str | None:
    return server.one("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", database)
