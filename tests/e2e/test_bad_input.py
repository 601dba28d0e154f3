"""Bad input: a clear error with a hint, the exit code of the design, the journal's reason, and nothing changed."""

import hashlib
import os
import random
import re
import threading

import psycopg
import pytest
import yaml

from support import invariants
from support.archive import read_toc
from support.fingerprint import fingerprint
from support.pg_proxy import Stall, sql
from support.postgres import PASSWORD, Postgres, quote
from support.s3 import SECRET_KEY
from support.scenario import MONDAY, TODAY, TUESDAY, Editions, Shop
from support.shop import OWNER, make_shop as make_shop_database

SEED = os.environ.get("TORTURE_SEED", "1")  # any word


def refused(shop, exit: int, reason: str, *words: str):
    """A run that ends like this, says these words and what to do (or where the mistake stands), and has changed nothing."""
    run = shop.expect(exit, reason)
    for word in words:
        assert word in run.text, f"{word!r} is not said\n{run}"
    assert "hint" in run.text or re.search(r"restore\.yaml:\d+:\d+: ", run.report["message"]), f"no hint\n{run}"
    shop.assert_untouched()
    return run


# --- the state file -------------------------------------------------------------------------------------------------------


def test_a_missing_folder_is_an_error(shop):
    run = shop.reconciler.run("run", "--state-dir", shop.state.path / "nowhere")
    assert run.exit == 2 and "nowhere" in run.text, run
    assert run.report.get("reason") == "StateMissing", f"a run ends with one line on standard output\n{run}"


def test_a_missing_state_file_is_an_error(shop):
    shop.state.file.unlink()
    refused(shop, 2, "StateMissing", "restore-state.yaml")


@pytest.mark.parametrize("key", ["desiredBackupTimestamp", "restore.yaml"])
def test_a_missing_key_is_named(shop, key):
    config_map = yaml.safe_load(shop.state.file.read_text())
    del config_map["data"][key]
    shop.state.write_text(yaml.safe_dump(config_map))
    refused(shop, 2, "InvalidConfiguration", key)


@pytest.mark.parametrize("timestamp", [
    "2024-12-09T00:00:00", "2024-12-09", "2024-12-09 00:00:00 CET", "2024-12-09T00:00:00Z and more", "2024-12-09T00:00:00ZZ", "99999-12-09T00:00:00Z",
    "2024-13-09T00:00:00Z", "2024-02-30T00:00:00Z", "2024-12-09T24:01:00Z", "2024-12-09T00:00:00+25:00", "-2024-12-09T00:00:00Z", "yesterday", "1733702400", " ", "２０２４-12-09T00:00:00Z", "2024-12-09T00:00:00Z\n;DROP"])
def test_a_timestamp_that_is_none_is_refused(shop, timestamp):
    """Never: a guess at the zone, or at what the rest of the text meant."""
    shop.state.desire(timestamp)
    refused(shop, 2, "InvalidConfiguration", "desiredBackupTimestamp")


@pytest.mark.parametrize("content", [b"", b"\0", b"data: [", b"\xff\xfe", b"- a\n- b\n", b"data: 5\n", b"just text", b"data:\n  desiredBackupTimestamp: {a: b}\n", b"a: 1\n---\nb: 2\n", b"\xef\xbb\xbfdata: {}\n", b"%YAML 9.9\n---\ndata: {}\n"],
                         ids=lambda content: repr(content)[:30])
def test_a_file_that_is_no_config_map_is_refused(shop, content):
    shop.state.write_text(content)
    run = shop.run().expect(2)
    assert run.report["reason"] in ("InvalidConfiguration", "StateMissing"), run
    shop.assert_untouched()


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12))


@pytest.mark.parametrize("content", [BOMB, "[" * 100_000, "{a: " * 50_000, "&a " * 100_000, "? " * 100_000, "- " * 100_000 + "x"], ids=["aliases", "brackets", "braces", "anchors", "keys", "dashes"])
@pytest.mark.parametrize("where", ["state", "restore.yaml"])
def test_a_yaml_bomb_goes_off_nowhere(shop, content, where):
    """Never: a node without memory because of one file."""
    if where == "state":
        shop.state.write_text(content)
    else:
        shop.state.write_text(yaml.safe_dump({"data": {"desiredBackupTimestamp": MONDAY.at, "restore.yaml": content}}))
    run = shop.run(wrapper=["prlimit", "--as=268435456"], seconds=20).expect(2)
    assert run.seconds < 5
    shop.assert_untouched()


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, 30 << 20])
def test_a_state_that_is_too_large_is_refused(shop, size):
    shop.state.write_text(shop.state.file.read_bytes() + b"# " + b"x" * size)
    run = shop.run().expect(2)
    assert "hint" in run.text or "large" in run.text or "long" in run.text, run
    shop.assert_untouched()


# --- restore.yaml ----------------------------------------------------------------------------------------------------------


def with_line(shop, line: str):
    """Adds a line of YAML at the end of restore.yaml; returns its number in the state file."""
    text = shop.state.file.read_text().rstrip("\n") + "\n    " + line.replace("\n", "\n    ") + "\n"
    shop.state.write_text(text)
    return len(shop.state.file.read_text().rstrip("\n").split("\n")) - line.count("\n")


@pytest.mark.parametrize("line, word, nearest", [
    ("keepPrevius: 24h", "keepPrevius", "keepPrevious"), ("Jobs: 3", "Jobs", "jobs"), ("prestep: []", "prestep", "preSteps"), ("verfy: []", "verfy", "verify"), ("xyzzy: 1", "xyzzy", "")])
def test_an_unknown_key_is_named_with_its_place_and_the_nearest_word(shop, line, word, nearest):
    """Never: a safety net that is spelled wrong and silently not there."""
    number = with_line(shop, line)
    run = refused(shop, 2, "InvalidConfiguration", word, nearest)
    assert f":{number}:" in run.text, f"line {number} is not named\n{run}"


@pytest.mark.parametrize("line", ["jobs: 5", "database: other", "backups: {}"])
def test_a_duplicate_key_is_refused(shop, line):
    """Never: the second of two values taken, or the first."""
    number = with_line(shop, line)
    run = refused(shop, 2, "InvalidConfiguration", line.split(":")[0])
    assert f":{number}:" in run.text, run


@pytest.mark.parametrize("key, value", [
    ("jobs", "many"), ("jobs", 0), ("jobs", -1), ("jobs", 1000), ("jobs", 2.5), ("jobs", [1]), ("keepPrevious", "soon"), ("keepPrevious", 5), ("keepPrevious", "-1h"),
    ("maxAttempts", 0), ("onRevert", "ask"), ("carryOver", True), ("database", ""), ("database", None), ("database", {"a": 1}), ("database", "x" * 64), ("controlDatabase", "é" * 32),
    ("verify", "SELECT true"), ("verify", [{"sql": 5}]), ("verify", [{"sql": ""}]), ("verify", [{"query": "SELECT true"}]), ("preSteps", [{"sql": "SELECT 1", "scaleDeployments": 0}]), ("preSteps", ["now"]),
    ("engine", "tar"), ("strategy", "replace"), ("backups", "s3://bucket/"), ("backups", {}), ("pgbouncer", "maybe")], ids=lambda value: str(value)[:40])
def test_a_value_of_the_wrong_kind_is_refused(shop, key, value):
    shop.state.spec[key] = value
    shop.state.write()
    run = refused(shop, 2, "InvalidConfiguration")
    assert re.match(r"restore\.yaml:\d+:\d+: ", run.report["message"]), f"its place is not named\n{run}"


@pytest.mark.parametrize("backups", [
    {"location": "backups/"}, {"location": "ftp://host/"}, {"location": "s3://"}, {"location": "s3:///key"}, {"location": "file://relative/path"}, {"location": "s3://key:secret@bucket/"}, {"location": "s3://bucket/?versionId=1"},
    {"name": "%Q.dump"}, {"name": "fixed.dump"}, {"name": "%Y.dump"}, {"name": ""}, {"select": "newest"}, {"maxAge": "24h", "select": "exact", "unknown": 1}], ids=str)
def test_a_bad_place_of_backups_is_refused(shop, backups):
    shop.state.configure(backups={**shop.state.spec["backups"], **backups})
    refused(shop, 2, "InvalidConfiguration")


def test_a_secret_in_a_location_is_not_repeated(shop):
    """Never: a key in a log because somebody wrote it into an address."""
    shop.state.configure(backups={**shop.state.spec["backups"], "location": "s3://AKIAKEY:verysecretvalue@bucket/"})
    run = shop.run().expect(2)
    assert "verysecretvalue" not in run.text and b"verysecretvalue" not in shop.state.journal_file.read_bytes()


@pytest.mark.parametrize("away, back", [({"disableIngress": True}, {"enableIngress": True}), ({"scaleDeployments": 0}, {"scaleDeployments": "auto"})], ids=str)
def test_steps_of_a_cluster_are_refused_where_there_is_none(shop, away, back):
    """Never: a step that is quietly left out."""
    shop.state.configure(preSteps=[away], postSteps=[back])
    refused(shop, 2, "Unsupported", next(iter(away)))


@pytest.mark.parametrize("away, back", [({"disableIngress": True}, "enableIngress: true"), ({"scaleDeployments": 0}, "scaleDeployments: auto")], ids=str)
def test_a_step_whose_undo_is_missing_is_refused(shop, away, back):
    """Never: an application that is taken away and never brought back."""
    shop.state.configure(preSteps=[away])
    run = refused(shop, 2, "InvalidConfiguration", back)
    assert re.match(r"restore\.yaml:\d+:\d+: ", run.report["message"]), run


@pytest.mark.parametrize("key, value, word", [
    ("engine", "job", "engine: job"), ("strategy", "in-place", "in-place"), ("pgbouncer", True, "pgbouncer"), ("keepPrestaged", True, "keepPrestaged"),
    ("postSteps", [{"scaleDeployments": "auto"}], "scaleDeployments"),
    ("postSteps", [{"enableIngress": True}], "enableIngress"), ("application", {"deployments": ["web"]}, "application"), ("replication", "drop", "replication")], ids=str)
def test_words_that_need_something_else_are_refused_by_name(shop, key, value, word):
    """Never: a step that is quietly left out."""
    shop.state.configure(**{key: value})
    refused(shop, 2, "Unsupported", word)


# --- the place of the backups --------------------------------------------------------------------------------------------------


@pytest.fixture
def s3_shop(make_shop):
    shop = make_shop(store="s3")
    shop.state.desire(MONDAY.at)
    return shop


@pytest.fixture
def file_shop(make_shop):
    shop = make_shop(store="file")
    shop.state.desire(MONDAY.at)
    return shop


def test_a_missing_bucket_is_named(s3_shop):
    s3_shop.state.configure(backups={**s3_shop.state.spec["backups"], "location": "s3://no-such-bucket/shop/"})
    refused(s3_shop, 14, "BackupLocationMissing", "no-such-bucket")


def test_a_missing_folder_of_backups_is_named(file_shop):
    file_shop.state.configure(backups={**file_shop.state.spec["backups"], "location": f"file://{file_shop.folder}/nowhere/"})
    refused(file_shop, 14, "BackupLocationMissing", "nowhere")


@pytest.mark.parametrize("store", ["s3", "file"])
def test_a_missing_backup_is_named_with_its_neighbours(make_shop, store):
    shop = make_shop(store=store)
    shop.state.desire("2024-12-09T12:00:00Z")
    refused(shop, 14, "BackupNotFound", MONDAY.at, TUESDAY.at)


@pytest.mark.parametrize("change", [{"AWS_SECRET_ACCESS_KEY": "wrong"}, {"AWS_ACCESS_KEY_ID": "nobody"}], ids=str)
def test_wrong_credentials_are_told_and_not_repeated(s3_shop, change):
    s3_shop.reconciler.environment.update(change)
    run = refused(s3_shop, 14, "BackupAccessDenied")
    assert SECRET_KEY not in run.text


def test_missing_credentials_are_told(s3_shop):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del s3_shop.reconciler.environment[name]
    refused(s3_shop, 14, "CredentialsMissing", "AWS_ACCESS_KEY_ID")


def test_two_backups_of_one_instant_are_ambiguous(file_shop):
    file_shop.state.configure(backups={**file_shop.state.spec["backups"], "name": "%Y-%m-%dT%H:%M:%S%z.dump"})
    for zone in ("+0000", "+01:00", "Z"):
        file_shop.store.put(f"shop/2024-12-09T0{'1' if '1' in zone else '0'}:00:00{zone}.dump", b"x")
    refused(file_shop, 14, "BackupAmbiguous")


# --- damaged archives ------------------------------------------------------------------------------------------------------------


def test_an_empty_object_is_no_backup(file_shop):
    file_shop.put_backup(MONDAY, b"")
    refused(file_shop, 14, "ArchiveCorrupt")


@pytest.mark.parametrize("content", [b"PGDMP", b"not an archive at all\n" * 100, b"-- PostgreSQL database dump\n" * 50, b"\x1f\x8b\x08\0" + b"\0" * 100, b"PK\x03\x04" + b"\0" * 500, b"\0" * 4096, b"PGDMP\x01\x63\0\x04\x08\x01" + b"\0" * 500],
                         ids=["five bytes", "text", "plain SQL", "gzip", "zip", "zeros", "a newer version"])
def test_what_is_no_archive_is_told(file_shop, content):
    file_shop.put_backup(MONDAY, content)
    run = file_shop.run().expect(14)
    assert run.report["reason"] in ("ArchiveCorrupt", "ArchiveUnsupported"), run
    file_shop.assert_untouched()


def test_plain_sql_is_named(file_shop, tmp_path):
    path = file_shop.server.dump(file_shop.editions.template(1), tmp_path / "x", options=("-Fp",))
    file_shop.put_backup(MONDAY, path)
    run = file_shop.run().expect(14)
    assert "plain SQL" in run.text and "-Fc" in run.text, run
    file_shop.assert_untouched()


def damaged(shop, content: bytes, told: str):
    """A run on this content must fail, leave nothing, and not have touched live."""
    shop.put_backup(MONDAY, content)
    shop.state.desire(MONDAY.at, request=told)
    run = shop.run()
    assert run.exit in (10, 14) and run.report["reason"] in ("ArchiveCorrupt", "ArchiveUnsupported", "ChecksumMismatch", "LoadFailed", "LimitExceeded", "PreflightFailed"), f"{told}: {run}"
    assert shop.server.oid(shop.database) == shop.live_oid and not shop.ours(), told
    return run


@pytest.mark.parametrize("how, compression", [("file", "6"), ("pipe", "6"), ("pipe", "zstd:3"), ("pipe", "lz4"), ("pipe", "0")])
def test_an_archive_that_was_cut_off_is_never_loaded(file_shop, tmp_path, how, compression):
    """Never: half a backup taken for a whole one."""
    shop = file_shop
    path = shop.server.dump(shop.editions.template(1), tmp_path / "x.dump", how, options=("-Z", compression))
    content, toc = path.read_bytes(), read_toc(path)
    cuts = {1, 10, toc.end // 2, toc.end - 1, toc.end, toc.end + 3, len(content) - 1, len(content) - 5}
    cuts |= set(random.Random(SEED).sample(range(toc.end, len(content)), 4))
    for cut in sorted(cuts):
        damaged(shop, content[:cut], f"TORTURE_SEED={SEED}: {cut} of {len(content)} bytes, contents end at {toc.end}")
    shop.assert_live_is(TODAY)


def test_a_tar_that_was_cut_off_is_never_loaded(file_shop, tmp_path):
    """Never: half a backup taken for a whole one. Its index tells before anything is made."""
    shop = file_shop
    content = shop.server.dump(shop.editions.template(1), tmp_path / "x", options=("-Ft",)).read_bytes()
    cuts = {1, 511, 512, 600, len(content) - 1, len(content) - 512, len(content) - 1024, *random.Random(SEED).sample(range(len(content)), 6)}
    for cut in sorted(cuts):
        run = damaged(shop, content[:cut], f"TORTURE_SEED={SEED}: {cut} of {len(content)} bytes")
        assert run.exit == 14, run
    shop.assert_live_is(TODAY)


def test_a_tar_is_restored_and_verified(file_shop, tmp_path):
    shop = file_shop
    content = shop.server.dump(shop.editions.template(1), tmp_path / "x", options=("-Ft",)).read_bytes()
    shop.put_backup(MONDAY, content)
    shop.put_backup(MONDAY, hashlib.sha256(content).hexdigest().encode(), suffix=".sha256")
    assert shop.run().expect(0).report["integrity"] == "verified"
    shop.assert_consistent(MONDAY.edition)


@pytest.fixture
def directory_shop(make_shop, tmp_path):
    """Makes shops whose backups are folders: MONDAY's is put by the test, this is where it lies until then."""

    def make(store: str, compression: str = "6") -> tuple:
        shop = make_shop(store=store)
        shop.state.configure(backups={**shop.state.spec["backups"], "name": "%Y-%m-%d/"})
        path = shop.server.dump(shop.editions.template(MONDAY.edition), tmp_path / "x", options=("-Fd", "-Z", compression))
        return shop, path, MONDAY.at[:10]

    return make


@pytest.mark.parametrize("store", ["s3", "file"])
@pytest.mark.parametrize("select", ["exact", "at-or-before"])
def test_a_folder_of_files_is_restored_by_its_name(directory_shop, store, select):
    shop, path, name = directory_shop(store)
    shop.put_directory(name, path)
    shop.put_directory("2024-12-01", path)
    if select == "at-or-before":
        shop.state.configure(backups={**shop.state.spec["backups"], "select": select, "maxAge": "48h"})
    listed = shop.run(command="backups").expect(0)
    assert f"{name}/" in listed.text and "2024-12-01/" in listed.text and "toc.dat" not in listed.text, listed
    shop.state.desire(MONDAY.at if select == "exact" else "2024-12-10T20:00:00Z")
    run = shop.run().expect(0)
    assert run.report["backup"] == shop.store.location("shop/") + name + "/" and run.report["integrity"] == "unchecked", run
    shop.assert_consistent(MONDAY.edition)


@pytest.mark.parametrize("store", ["s3", "file"])
def test_a_folder_that_is_incomplete_is_refused_before_anything_is_made(directory_shop, store):
    """Never: a table silently empty because its file was not uploaded yet."""
    shop, path, name = directory_shop(store)
    shop.put_directory(name, path)
    for file in sorted(path.iterdir()):
        shop.store.delete(f"shop/{name}/{file.name}")
        shop.state.desire(MONDAY.at, request=file.name)
        run = shop.run().expect(14)
        assert run.report["reason"] == "ArchiveCorrupt" and f"'{file.name.removesuffix('.gz')}' is missing" in run.text, run
        shop.store.put(f"shop/{name}/{file.name}", file)
    shop.store.put(f"shop/{name}/99999.dat.gz", b"x")
    shop.state.desire(MONDAY.at, request="one more")
    run = shop.run().expect(14)
    assert run.report["reason"] == "ArchiveCorrupt" and "99999.dat.gz" in run.text and "belongs to nothing" in run.text, run
    shop.assert_untouched()
    shop.store.delete(f"shop/{name}/99999.dat.gz")
    shop.state.desire(MONDAY.at, request="complete")
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)


@pytest.mark.parametrize("compression", ["0", "6", "lz4", "zstd:3"])
def test_a_file_of_a_folder_that_was_cut_off_is_never_loaded(directory_shop, compression):
    """Never: half a table taken for a whole one."""
    shop, path, name = directory_shop("file", compression)
    shop.put_directory(name, path)
    files = [file for file in sorted(path.iterdir()) if not file.name.startswith("blob_")]
    for file in random.Random(SEED).sample(files, 6):
        content = file.read_bytes()
        cut = random.Random(SEED).randrange(max(1, len(content.rstrip(b"\n"))))
        shop.store.put(f"shop/{name}/{file.name}", content[:cut])
        told = f"TORTURE_SEED={SEED}: {file.name} cut to {cut} of {len(content)} bytes"
        shop.state.desire(MONDAY.at, request=told)
        run = shop.run()
        assert run.exit in (10, 14) and run.report["reason"] in ("ArchiveCorrupt", "LoadFailed"), f"{told}: {run}"
        assert shop.server.oid(shop.database) == shop.live_oid and not shop.ours(), told
        shop.store.put(f"shop/{name}/{file.name}", content)
    shop.assert_live_is(TODAY)


def test_a_folder_of_something_else_is_told(directory_shop):
    shop, _, name = directory_shop("file")
    shop.store.put(f"shop/{name}/notes.txt", b"x")
    shop.state.desire(MONDAY.at)
    run = shop.run().expect(14)
    assert run.report["reason"] == "ArchiveCorrupt" and "'toc.dat' is missing" in run.text, run
    shop.assert_untouched()


@pytest.mark.parametrize("store", ["s3", "file"])
def test_a_file_of_a_folder_replaced_during_the_load_is_noticed(directory_shop, pg_proxy, store):
    """Never: a database put together from two backups."""
    shop, path, name = directory_shop(store)
    other = shop.server.dump(shop.editions.template(TUESDAY.edition), path.parent / "y", options=("-Fd",))
    shop.put_directory(name, path)
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    proxy.before(sql("CREATE DATABASE .*_rrs"), lambda *_: shop.put_directory(name, other))
    shop.expect(10, "BackupChanged")
    shop.assert_untouched()


def test_a_flipped_byte_in_the_data_is_found_without_a_checksum(file_shop):
    """Never: a damaged row, where zlib's own checksum can tell."""
    shop = file_shop
    path = shop.editions.archive(1)
    content, toc = path.read_bytes(), read_toc(path)
    for at in random.Random(SEED).sample(range(toc.end, len(content)), 10):
        damaged(shop, content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :], f"TORTURE_SEED={SEED}: byte {at} of {len(content)}")
    shop.assert_live_is(TODAY)


@pytest.mark.parametrize("compression", ["0", "lz4"])
def test_a_flipped_byte_is_always_found_with_a_checksum(file_shop, tmp_path, compression):
    """Never: a damaged row swapped in, where somebody took the trouble to write down what it should be."""
    shop = file_shop
    content = shop.server.dump(shop.editions.template(1), tmp_path / "x.dump", options=("-Z", compression)).read_bytes()
    shop.put_backup(MONDAY, (hashlib.sha256(content).hexdigest() + f"  {MONDAY.name}\n").encode(), suffix=".sha256")
    for at in random.Random(SEED).sample(range(len(content)), 8):
        damaged(shop, content[:at] + bytes([content[at] ^ 0x01]) + content[at + 1 :], f"TORTURE_SEED={SEED}: byte {at} of {len(content)}")
    shop.assert_live_is(TODAY)
    shop.put_backup(MONDAY, content)
    shop.state.desire(MONDAY.at, request="whole")
    assert shop.run().expect(0).report["integrity"] == "verified"
    shop.assert_consistent(MONDAY.edition)


def test_without_a_checksum_the_result_says_so(file_shop):
    assert file_shop.run().expect(0).report["integrity"] == "unchecked"


@pytest.mark.parametrize("side_file", [b"", b"not a checksum\n", b"abc  x\n", b"0" * 63 + b"\n", b"x" * 100_000])
def test_a_checksum_file_that_is_none_is_an_error(file_shop, side_file):
    """Never: a check that was meant, and is silently left out."""
    file_shop.put_backup(MONDAY, side_file, suffix=".sha256")
    run = file_shop.run()
    assert run.exit in (10, 14) and run.report["reason"] in ("ChecksumMismatch", "LimitExceeded"), run
    file_shop.assert_untouched()


def test_a_checksum_of_another_object_is_found(file_shop):
    file_shop.put_backup(MONDAY, b"0" * 64 + b"\n", suffix=".sha256")
    file_shop.expect(10, "ChecksumMismatch")
    file_shop.assert_untouched()


@pytest.mark.parametrize("store", ["s3", "file"])
def test_a_backup_replaced_during_the_load_is_noticed(make_shop, pg_proxy, store):
    """Never: a database put together from two backups."""
    shop = make_shop(store=store)
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    proxy.before(sql("CREATE DATABASE .*_rrs"), lambda *_: shop.put_backup(MONDAY, shop.editions.archive(TUESDAY.edition)))
    shop.expect(10, "BackupChanged")
    shop.assert_untouched()


# --- the server -------------------------------------------------------------------------------------------------------------------


def test_a_server_that_is_away_is_told(shop):
    shop.state.desire(MONDAY.at)
    run = shop.run(environment={"PGPORT": "1"}).expect(4, "DatabaseUnreachable")
    assert "hint" in run.text and PASSWORD not in run.text
    assert shop.state.journal()["reason"] == "DatabaseUnreachable"
    shop.assert_untouched()


def test_a_name_that_does_not_resolve_is_told(shop):
    shop.state.desire(MONDAY.at)
    run = shop.run(environment={"PGHOST": "no-such-host.invalid"}).expect(4, "DatabaseUnreachable")
    assert "no-such-host.invalid" in run.text


def test_a_wrong_password_is_told_and_not_repeated(shop):
    shop.state.desire(MONDAY.at)
    run = shop.run(environment={"PGPASSWORD": "a wrong one"}).expect(4, "DatabaseLoginFailed")
    assert "a wrong one" not in run.text
    shop.assert_untouched()


def test_a_role_that_the_archive_needs_is_named_before_anything_happens(file_shop, tmp_path):
    shop = file_shop
    shop.server.create_role("passing_by")
    shop.server.create_database("source")
    shop.server.sql("CREATE TABLE t (); ALTER TABLE t OWNER TO passing_by", database="source")
    shop.put_backup(MONDAY, shop.server.dump("source", tmp_path / "x.dump"))
    shop.server.drop_database("source")
    shop.server.sql("DROP ROLE passing_by")
    run = shop.run().expect(14)
    assert "passing_by" in run.text
    shop.assert_untouched()


def test_an_extension_that_the_archive_needs_is_named_before_anything_happens(file_shop, tmp_path):
    shop = file_shop
    folder = shop.server.bin.parent / "share" / "extension"
    control, script = folder / "passing_by.control", folder / "passing_by--1.0.sql"
    control.write_text("default_version = '1.0'\n")
    script.write_text("CREATE FUNCTION passing() RETURNS int LANGUAGE sql AS 'SELECT 1';\n")
    try:
        shop.server.create_database("source")
        shop.server.sql("CREATE EXTENSION passing_by", database="source")
        shop.put_backup(MONDAY, shop.server.dump("source", tmp_path / "x.dump"))
    finally:
        control.unlink()
        script.unlink()
    run = shop.run().expect(14)
    assert "passing_by" in run.text
    shop.assert_untouched()


def test_all_that_is_missing_is_listed_at_once(make_shop):
    shop = make_shop(user="lacking")
    shop.server.sql(f"ALTER ROLE lacking NOCREATEDB; REVOKE {OWNER} FROM lacking")
    shop.server.create_database(shop.control, owner="lacking")
    shop.state.desire("2024-12-24T00:00:00Z")
    run = shop.run().expect(14, "PreflightFailed")
    for word in ("CREATEDB", OWNER, "2024-12-24"):
        assert word in run.report["message"], run
    shop.assert_untouched()


# --- locks ---------------------------------------------------------------------------------------------------------------------------


def test_a_second_run_beside_a_live_one_ends_cleanly(shop, pg_proxy):
    """Never: two runs at once; nor an alarm because a long restore is still on."""
    proxy, stall = pg_proxy(shop.server), Stall()
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    trap = proxy.before(sql("^ANALYZE"), stall)
    with shop.start() as first:
        proxy.victim = first
        trap.wait()
        before = shop.state.journal()
        shop.run().expect(0, "Locked")
        shop.run("--exit-code-locked").expect(3, "Locked")
        assert shop.state.journal() == before, "the live run's journal is its own"
        assert shop.run(command="rollback").exit in (0, 3)
        shop.run(command="status").expect(0)
        stall.release()
        first.wait().expect(0)
    shop.assert_consistent(MONDAY.edition)


def test_a_run_elsewhere_that_holds_the_database_lock_is_respected(shop):
    """Never: a second machine that restores into the first one's work."""
    shop.restored_once()
    shop.state.desire(TUESDAY.at)
    with shop.server.connect(shop.control, application_name="restore-reconciler/elsewhere") as session:
        session.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [invariants.LOCK_CLASS, shop.database])
        stop = threading.Event()
        pings = threading.Thread(target=_ping, args=(session, stop))
        pings.start()
        try:
            run = shop.run("--exit-code-locked").expect(3, "Locked")
        finally:
            stop.set()
            pings.join()
        assert "restore-reconciler/elsewhere" in run.text
    shop.assert_live_is(MONDAY.edition)
    shop.wait_for_locks()
    shop.run().expect(0)


def _ping(session: psycopg.Connection, stop: threading.Event):
    while not stop.wait(0.2):
        session.execute("SELECT 1")


# --- a full disk -----------------------------------------------------------------------------------------------------------------------


def test_a_full_disk_on_the_server_changes_nothing(workdir, s3, tmp_path):
    """Never: a live database that stops because its restore filled the disk, or a half-loaded one left on it."""
    space = workdir / "small-disk"
    space.mkdir()
    mount = 'mount -t tmpfs -o size=30m,mode=0777 tmpfs "$0" && exec "$@"'
    server = Postgres(17, workdir / "full", wrapper=["unshare", "--mount", "sh", "-c", mount, str(space)])
    try:
        editions = Editions(server, workdir / "full-editions")
        shop = Shop(server, editions, s3.bucket("full"), tmp_path / "shop", "app")
        server.sql(f"CREATE TABLESPACE small LOCATION '{_owned_by_server(server, space)}'")
        server.sql(f"ALTER DATABASE {quote('app')} SET TABLESPACE small")
        make_shop_database(server, "big", edition=7, users=60_000)
        shop.put_backup(MONDAY, server.dump("big", tmp_path / "big.dump"))
        shop.state.desire(MONDAY.at)
        before = fingerprint(server, "app")
        run = shop.run()
        run.expect(10, "DiskFull")
        assert fingerprint(server, "app") == before and not shop.ours()
        shop.put_backup(MONDAY)
        shop.state.desire(MONDAY.at, request="a smaller one")
        shop.run().expect(0)
        assert server.one("SELECT spcname FROM pg_database d JOIN pg_tablespace t ON t.oid = dattablespace WHERE datname = 'app'") == "small"
    finally:
        server.stop("immediate")


def _owned_by_server(server: Postgres, space) -> str:
    """A folder on the small disk that the server owns: made by the server itself, which alone sees the disk."""
    server.sql(f"COPY (SELECT) TO PROGRAM 'mkdir -m 700 {space}/data'")
    return f"{space}/data"
