"""Archives: whatever pg_dump wrote, in whatever way, is loaded exactly as pg_restore would.

Never: a row more or less, a constraint or grant lost, an archive taken for whole that is not.
"""

import itertools

import pytest

from support.archive import NOT_SET, read_toc
from support.fingerprint import fingerprint
from support.parts import MAJORS
from support.postgres import quote
from support.reconciler import Reconciler, Run
from support.wide_schema import make_wide

HOWS = ("file", "redirect", "pipe")
FORMATS = ("custom", "tar", "directory")


def compressions(major: int) -> list[str]:
    """-Z of pg_dump: lz4 and zstd came with 16."""
    return ["0", "6"] + (["lz4", "zstd:3"] if major >= 16 else [])


CASES = [(major, compression, how) for major in MAJORS for compression, how in itertools.product(compressions(major), HOWS)]


def load(server, path, database: str, *flags, tmp_path) -> Run:
    """Loads an archive with the program into a new database."""
    server.sql(f"CREATE DATABASE {quote(database)} TEMPLATE template0")
    program = Reconciler(tmp_path / "home", server.environment())
    return program.run("load", path, "--dbname", database, *flags)


@pytest.fixture(scope="session")
def wide(servers, workdir):
    """For each major version: a database with everything, and what pg_restore makes of its archive."""
    made = {}

    def get(major: int):
        if major not in made:
            server = servers.get(major)
            servers.editions(major)  # makes the roles
            make_wide(server, "template_edition_wide")
            archive = server.dump("template_edition_wide", workdir / f"wide-{major}.dump")
            server.sql("CREATE DATABASE wide_reference TEMPLATE template0")
            server.client("pg_restore", "-d", "wide_reference", archive)
            made[major] = archive, fingerprint(server, "wide_reference"), full_dump(server, "wide_reference")
            server.drop_database("wide_reference")
        return made[major]

    return get


def full_dump(server, database: str) -> list[str]:
    """pg_dump of everything; the rows within a COPY block in a fixed order."""
    lines, block = [], None
    for line in server.client("pg_dump", "--no-comments", database=database).stdout.decode().splitlines():
        if line.startswith(("\\restrict", "\\unrestrict", "-- Dumped")):
            continue
        if block is None:
            lines.append(line)
            block = [] if line.startswith("COPY ") and line.endswith("FROM stdin;") else None
        elif line == "\\.":
            lines += [*sorted(block), line]
            block = None
        else:
            block.append(line)
    return lines


@pytest.mark.parametrize("major, compression, how", CASES, ids=lambda value: str(value))
def test_every_way_of_dumping_loads_exactly(servers, tmp_path, major, compression, how):
    server, editions = servers.get(major), servers.editions(major)
    path = server.dump(editions.template(1), tmp_path / "x.dump", how, options=("-Z", compression))
    load(server, path, "loaded", tmp_path=tmp_path).expect(0)
    assert editions.fingerprint(1).difference(fingerprint(server, "loaded")) == ""
    servers.clean()


@pytest.mark.parametrize("major, compression", [(major, compression) for major in MAJORS for compression in compressions(major)])
def test_every_compression_of_a_directory_loads_exactly(servers, tmp_path, major, compression):
    server, editions = servers.get(major), servers.editions(major)
    path = server.dump(editions.template(1), tmp_path / "x", options=("-Fd", "-Z", compression, "--jobs=2"))
    load(server, path, "loaded", tmp_path=tmp_path).expect(0)
    assert editions.fingerprint(1).difference(fingerprint(server, "loaded")) == ""
    servers.clean()


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("major", MAJORS)
def test_every_way_of_dumping_a_tar_loads_exactly(servers, tmp_path, major, how):
    server, editions = servers.get(major), servers.editions(major)
    path = server.dump(editions.template(1), tmp_path / "x.tar", how, options=("-Ft",))
    load(server, path, "loaded", tmp_path=tmp_path).expect(0)
    assert editions.fingerprint(1).difference(fingerprint(server, "loaded")) == ""
    servers.clean()


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("options", [("--inserts",), ("--column-inserts", "--rows-per-insert=100"), ("--inserts", "-Z0"), ("--inserts", "-Ft"), ("--inserts", "-Fd"), ("--inserts", "-Fd", "-Z0")], ids=" ".join)
def test_inserts_load_exactly(servers, tmp_path, major, options):
    server, editions = servers.get(major), servers.editions(major)
    path = server.dump(editions.template(1), tmp_path / "x.dump", "file" if "-Fd" in options else "pipe", options=options)
    load(server, path, "loaded", tmp_path=tmp_path).expect(0)
    assert editions.fingerprint(1).difference(fingerprint(server, "loaded")) == ""
    servers.clean()


@pytest.mark.parametrize("format, jobs", [("custom", "1"), ("custom", "4"), *((format, "4") for format in FORMATS[1:])])
@pytest.mark.parametrize("major", MAJORS)
def test_everything_that_pg_dump_knows_is_loaded_as_pg_restore_does(servers, wide, tmp_path, major, format, jobs):
    server = servers.get(major)
    archive, reference, reference_dump = wide(major)
    if format != "custom":
        archive = server.dump("template_edition_wide", tmp_path / "x", options=(f"--format={format}",))
    load(server, archive, "loaded", "--jobs", jobs, tmp_path=tmp_path).expect(0)
    assert reference.difference(fingerprint(server, "loaded")) == ""
    assert full_dump(server, "loaded") == reference_dump
    assert server.one("SELECT count(*) FROM pg_index WHERE NOT indisvalid", database="loaded") == 0
    servers.clean()


@pytest.mark.parametrize("major", MAJORS)
def test_flags_for_owner_and_privileges_do_what_pg_restore_does(servers, wide, tmp_path, major):
    server = servers.get(major)
    archive, _, _ = wide(major)
    for flag in ("--no-owner", "--no-privileges"):
        server.sql("CREATE DATABASE reference TEMPLATE template0")
        server.client("pg_restore", "-d", "reference", flag, archive)
        load(server, archive, "loaded", flag, tmp_path=tmp_path).expect(0)
        assert full_dump(server, "loaded") == full_dump(server, "reference"), flag
        servers.clean()


@pytest.mark.parametrize("major", MAJORS[:-1])
def test_an_archive_of_an_older_version_is_loaded_by_the_newest_server(servers, tmp_path, major):
    old, new = servers.get(major), servers.get(18)
    path = old.dump(servers.editions(major).template(1), tmp_path / "x.dump", "pipe")
    servers.editions(18)  # makes the roles
    new.sql("CREATE DATABASE reference TEMPLATE template0")
    new.client("pg_restore", "-d", "reference", path)
    load(new, path, "loaded", tmp_path=tmp_path).expect(0)
    assert fingerprint(new, "reference").difference(fingerprint(new, "loaded")) == ""
    assert fingerprint(new, "loaded").data() == servers.editions(major).fingerprint(1).data()
    servers.clean()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("major", [14, 16, 17, 18])
def test_many_large_objects_are_loaded_with_owner_and_grants(servers, tmp_path, major, format):
    """From 17 on pg_dump writes them in groups of a thousand, each with an entry and a list of its own."""
    server = servers.get(major)
    servers.editions(major)  # makes the roles
    server.create_database("objects", template="template0")
    server.sql("SELECT lo_from_bytea(20000 + i, CASE WHEN i % 7 = 0 THEN ''::bytea ELSE convert_to(repeat(md5(i::text), i % 90), 'UTF8') END) FROM generate_series(1, 2300) i;"
               "DO $$ BEGIN FOR i IN 1..40 LOOP EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO PUBLIC', 20000 + i * 50); END LOOP; END $$", database="objects")
    path = server.dump("objects", tmp_path / "x", options=(f"--format={format}",))
    load(server, path, "loaded", tmp_path=tmp_path).expect(0)
    content = "SELECT count(*) || md5(string_agg(oid || ' ' || lomacl::text || md5(lo_get(oid)), ',' ORDER BY oid)) FROM (SELECT oid, coalesce(lomacl::text, '') AS lomacl FROM pg_largeobject_metadata) o"
    assert server.one(content, database="loaded") == server.one(content, database="objects")
    assert server.one("SELECT count(*) FROM pg_largeobject_metadata", database="loaded") == 2300
    servers.clean()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("options", [("--schema-only",), ("--exclude-table-data=shop.users*", "--section=pre-data", "--section=data"), ("--no-comments", "--no-acl"), ("--schema=shop",), ("--table=shop.notes",)], ids=" ".join)
def test_partial_dumps_load_like_pg_restore(servers, server, tmp_path, options, format):
    """What the user left out on purpose stays out; what is there is all there."""
    path = server.dump(servers.editions(server.major).template(1), tmp_path / "x.dump", options=(f"--format={format}", *options))
    for name in ("reference", "loaded"):
        server.sql(f"CREATE DATABASE {name} TEMPLATE template0")
        if "--table=shop.notes" in options:
            server.sql("CREATE SCHEMA shop", database=name)
    server.client("pg_restore", "-d", "reference", path)
    run = Reconciler(tmp_path / "home", server.environment()).run("load", path, "--dbname", "loaded")
    run.expect(0)
    assert fingerprint(server, "reference").difference(fingerprint(server, "loaded")) == ""


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_archive_is_fine(server, tmp_path, format):
    server.create_database("empty", template="template0")
    load(server, server.dump("empty", tmp_path / "x.dump", options=(f"--format={format}",)), "loaded", tmp_path=tmp_path).expect(0)


def test_an_archive_without_offsets_is_really_without(servers, server, tmp_path):
    """Keeps the matrix above honest."""
    path = server.dump(servers.editions(server.major).template(1), tmp_path / "x.dump", "pipe")
    assert NOT_SET in {entry.has_offset for entry in read_toc(path).data_entries()}


def test_what_is_loaded_is_analyzed_unless_told_otherwise(servers, server, tmp_path):
    path = server.dump(servers.editions(server.major).template(1), tmp_path / "x.dump")
    analyzed = "SELECT count(*) FROM pg_stats WHERE schemaname = 'shop' AND tablename = 'users'"
    load(server, path, "loaded", tmp_path=tmp_path).expect(0)
    assert server.one(analyzed, database="loaded") > 0
    load(server, path, "not_analyzed", "--no-analyze", tmp_path=tmp_path).expect(0)
    assert server.one(analyzed, database="not_analyzed") == 0


def test_a_load_into_a_database_with_tables_fails_and_says_so(servers, server, tmp_path):
    path = server.dump(servers.editions(server.major).template(1), tmp_path / "x.dump")
    load(server, path, "loaded", tmp_path=tmp_path).expect(0)
    before = fingerprint(server, "loaded")
    run = Reconciler(tmp_path / "home", server.environment()).run("load", path, "--dbname", "loaded")
    assert run.exit not in (0, 70) and run.exit > 0, run
    assert fingerprint(server, "loaded") == before


@pytest.mark.parametrize("format", FORMATS)
def test_an_archive_is_loaded_straight_from_s3(servers, server, s3, tmp_path, format):
    path = server.dump(servers.editions(server.major).template(1), tmp_path / "x.dump", options=(f"--format={format}",))
    bucket = s3.bucket(f"archives-{format}")
    for file in sorted(path.iterdir()) if format == "directory" else []:
        bucket.put(f"a b/ä.dump/{file.name}", file)
    if format != "directory":
        bucket.put("a b/ä.dump", path)
    server.sql("CREATE DATABASE loaded TEMPLATE template0")
    program = Reconciler(tmp_path / "home", {**server.environment(), **s3.environment()})
    program.run("load", f"s3://archives-{format}/a b/ä.dump" + ("/" if format == "directory" else ""), "--dbname", "loaded").expect(0)
    assert fingerprint(server, "loaded") == servers.editions(server.major).fingerprint(1)
