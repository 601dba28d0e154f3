"""The main job: a timestamp changes, and the database goes back to that backup."""

import datetime
import json
import signal

import pytest

from support.fingerprint import comment_on, properties
from support.parts import MAJORS
from support.pg_proxy import Stall, sql
from support.postgres import quote
from support.scenario import LONG_AGO, MONDAY, TODAY, TUESDAY
from support.shop import APP, OWNER
from support.waiting import wait_until


@pytest.mark.parametrize("user", ["postgres", "restorer"])
@pytest.mark.parametrize("major", MAJORS)
def test_a_changed_timestamp_restores_the_backup(make_shop, major, user):
    """Never: a database that is neither the old one nor the backup; a result without a record of it."""
    shop = make_shop(major=major, user=user)
    before = properties(shop.server, shop.database)
    shop.state.desire(MONDAY.at)
    run = shop.run().expect(0, result="Succeeded")

    shop.assert_live_is(MONDAY.edition)
    shop.assert_consistent(MONDAY.edition)
    assert shop.server.oid(shop.database) != shop.live_oid
    assert properties(shop.server, shop.database) == before
    assert shop.state.applied() == MONDAY.at

    journal = shop.state.journal()
    assert (journal["phase"], journal["result"], journal["applied"], journal["published"]) == ("Idle", "Succeeded", MONDAY.at, "true")
    assert journal["previousDatabase"] == shop.previous() == run.report["previousDatabase"]
    assert [(row["kind"], row["new_oid"], row["old_oid"]) for row in shop.history()] == [("restore", shop.server.oid(shop.database), shop.live_oid)]

    assert shop.server.oid(shop.previous()) == shop.live_oid
    assert shop.server.one("SELECT datallowconn FROM pg_database WHERE datname = %s", shop.previous()) is False
    assert shop.edition(shop.open_previous()) == TODAY


def test_the_last_line_tells_how_it_went(shop):
    shop.state.desire(MONDAY.at)
    report = shop.run().expect(0).report
    assert report["desired"] == MONDAY.at
    assert report["backup"] == shop.store.location("shop/") + MONDAY.name
    assert report["runId"] and report["message"] and report["rows"] > 1000 and report["bytes"] > 1000
    assert {"Stage", "Swap"} <= set(report["seconds"])
    assert 0 <= report["downtimeSeconds"] < 10


def test_the_log_is_one_json_event_a_line(shop):
    shop.state.desire(MONDAY.at)
    events = shop.run().expect(0).events
    assert len(events) > 5
    for event in events:
        assert {"time", "level", "msg"} <= set(event), event
        assert event["level"] in ("info", "warn"), event
        datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00"))


def test_a_second_run_does_nothing_and_asks_no_database(shop, pg_proxy):
    """Never: an idle minute that costs the server a connection."""
    shop.restored_once()
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    before = shop.state.snapshot()
    run = shop.run().expect(0, result="NothingToDo")
    assert proxy.messages == [], proxy.describe()
    assert shop.state.snapshot() == before
    assert run.seconds < 2


@pytest.mark.parametrize("same", ["2024-12-09T01:00:00+01:00", "2024-12-08T19:00:00-05:00", "2024-12-09T00:00:00.000Z", "2024-12-09t00:00:00z"])
def test_the_same_instant_in_other_words_is_nothing_new(shop, same):
    shop.restored_once()
    shop.state.desire(same)
    shop.run().expect(0)
    assert len(shop.history()) == 1


def test_at_or_before_takes_the_newest_backup_that_is_old_enough(shop):
    shop.state.configure(backups={**shop.state.spec["backups"], "select": "at-or-before"})
    shop.state.desire("2024-12-09T23:59:59Z")
    run = shop.run().expect(0)
    assert run.report["backup"].endswith(MONDAY.name)
    shop.assert_consistent(MONDAY.edition)
    assert shop.state.applied() == "2024-12-09T23:59:59Z"
    shop.state.desire(TUESDAY.at)
    assert shop.run().expect(0).report["backup"].endswith(TUESDAY.name)
    shop.assert_consistent(TUESDAY.edition)


def test_at_or_before_refuses_a_backup_older_than_max_age(shop):
    """Never: a database silently set back by years because the backups of last night are missing."""
    shop.state.configure(backups={**shop.state.spec["backups"], "select": "at-or-before", "maxAge": "24h"})
    shop.state.desire("2025-06-01T00:00:00Z")
    shop.expect(14, "BackupTooOld")
    shop.assert_untouched()
    shop.state.desire("2024-12-10T23:59:59Z")
    shop.run().expect(0)
    shop.assert_consistent(TUESDAY.edition)


def test_exact_means_exact(shop):
    shop.state.desire("2024-12-09T00:00:01Z")
    run = shop.expect(14, "BackupNotFound")
    assert MONDAY.at in run.text, "the message names the neighbours"
    shop.assert_untouched()


def test_another_request_restores_the_same_timestamp_again(shop):
    shop.restored_once()
    shop.server.sql("DELETE FROM shop.notes", database=shop.database)
    shop.state.desire(MONDAY.at, request="again, please")
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)
    assert [(row["desired"], row["request"]) for row in shop.history()] == [(MONDAY.at, ""), (MONDAY.at, "again, please")]
    shop.server.sql("DELETE FROM shop.notes", database=shop.database)
    shop.run().expect(0)
    assert len(shop.history()) == 2, "the same request restores once"


def test_one_restore_after_the_other(shop):
    for backup in (MONDAY, TUESDAY):
        shop.state.desire(backup.at)
        shop.run().expect(0)
        shop.server.drop_database(shop.previous())
        shop.assert_live_is(backup.edition)
    assert [row["desired"] for row in shop.history()] == [MONDAY.at, TUESDAY.at]


# --- an installation without a database ------------------------------------------------------------------------------


def test_a_missing_database_is_made_from_the_backup(shop):
    shop.server.drop_database(shop.database)
    shop.state.data.pop("lastAppliedTimestamp")
    shop.state.desire(MONDAY.at)
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)
    assert shop.ours() == {}


def test_an_empty_database_is_filled(shop):
    shop.server.drop_database(shop.database)
    shop.server.create_database(shop.database, template="template0", owner=OWNER)
    shop.state.data.pop("lastAppliedTimestamp")
    shop.state.desire(MONDAY.at)
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)


# --- steps and checks -------------------------------------------------------------------------------------------------


def test_steps_run_around_the_swap_in_their_order(shop):
    mark = "INSERT INTO public.marks (what) VALUES ('{}')"
    shop.server.sql("CREATE TABLE public.marks (n serial, what text)", database=shop.database)
    shop.state.configure(
        preSteps=[{"sql": {"sql": mark.format("first"), "on": "live", "undo": mark.format("undo")}},
                  {"sql": {"sql": "CREATE TABLE public.marks (n serial, what text)", "on": "staging", "undo": ""}},
                  {"sql": {"sql": mark.format("second"), "on": "staging", "undo": ""}}],
        postSteps=[{"sql": {"sql": mark.format("third")}}, {"sql": {"sql": mark.format("fourth")}}])
    shop.state.desire(MONDAY.at)
    shop.run().expect(0)
    assert shop.server.sql("SELECT what FROM public.marks ORDER BY n", database=shop.database) == [("second",), ("third",), ("fourth",)]
    assert shop.server.sql("SELECT what FROM public.marks", database=shop.open_previous()) == [("first",)]


def test_a_failing_step_is_undone_in_reverse_and_nothing_is_swapped(shop):
    """Never: an application left without what the steps before the failing one took away."""
    shop.server.sql("CREATE TABLE public.marks (n serial, what text)", database=shop.database)
    mark = "INSERT INTO public.marks (what) VALUES ('{}')"
    shop.state.configure(preSteps=[
        {"sql": {"sql": mark.format("a"), "on": "live", "undo": mark.format("undo a")}},
        {"sql": {"sql": mark.format("b"), "on": "live", "undo": mark.format("undo b")}},
        {"sql": {"sql": "SELECT 1/0", "on": "live", "undo": mark.format("undo c")}}])
    shop.state.desire(MONDAY.at)
    shop.expect(10, "StepFailed")
    marks = [row[0] for row in shop.server.sql("SELECT what FROM public.marks ORDER BY n", database=shop.database)]
    assert [mark for mark in marks if mark != "undo c"] == ["a", "b", "undo b", "undo a"]
    shop.server.sql("DROP TABLE public.marks", database=shop.database)
    shop.assert_untouched()


def test_a_step_without_undo_is_refused(shop):
    shop.state.configure(preSteps=[{"sql": {"sql": "SELECT 1", "on": "live"}}])
    shop.state.desire(MONDAY.at)
    assert "undo" in shop.expect(2, "InvalidConfiguration").text
    shop.assert_untouched()


@pytest.mark.parametrize("check", ["SELECT false", "SELECT NULL::bool", "SELECT true WHERE false", "SELECT true FROM generate_series(1, 2)", "SELECT 'yes'", "SELECT 1/0", "SELECT FROM nowhere"])
def test_a_backup_that_fails_its_verification_is_not_swapped_in(shop, check):
    """Never: the live database replaced by one that the user's own check rejects."""
    shop.state.configure(verify=[{"sql": "SELECT count(*) > 0 FROM shop.users"}, {"sql": check}])
    shop.state.desire(MONDAY.at)
    shop.expect(10, "VerificationFailed")
    shop.assert_untouched()


def test_a_verification_looks_at_the_backup_and_not_at_live(shop):
    shop.state.configure(verify=[{"sql": f"SELECT shop.edition() = {MONDAY.edition}"}], smoke=[{"sql": f"SELECT shop.edition() = {MONDAY.edition}"}])
    shop.state.desire(MONDAY.at)
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)


def test_a_verification_cannot_write(shop):
    shop.state.configure(verify=[{"sql": "DELETE FROM shop.notes RETURNING true"}])
    shop.state.desire(MONDAY.at)
    shop.expect(10, "VerificationFailed")
    shop.assert_untouched()


# --- rollback, collect ------------------------------------------------------------------------------------------------


def test_rollback_brings_the_replaced_database_back(shop):
    """Never: writes since before the restore lost by its undo; a tick that restores again what was undone."""
    shop.restored_once()
    shop.run(command="rollback").expect(0, result="RolledBack")
    shop.assert_consistent(TODAY)
    assert shop.server.oid(shop.database) == shop.live_oid
    assert [row["kind"] for row in shop.history()] == ["restore", "rollback"]
    assert shop.state.journal()["held"] == MONDAY.at

    shop.run().expect(0, reason="RolledBack")
    shop.assert_consistent(TODAY)

    shop.state.desire(TUESDAY.at)
    shop.run().expect(0, result="Succeeded")
    shop.assert_live_is(TUESDAY.edition)


def test_a_rolled_back_timestamp_comes_back_with_a_new_request(shop):
    shop.restored_once()
    shop.run(command="rollback").expect(0)
    shop.state.desire(MONDAY.at, request="now really")
    shop.run().expect(0, result="Succeeded")
    shop.assert_live_is(MONDAY.edition)


def test_rollback_twice_changes_forth_and_back(shop):
    shop.restored_once()
    shop.run(command="rollback").expect(0)
    shop.run(command="rollback").expect(0)
    shop.assert_live_is(MONDAY.edition)


def test_rollback_without_anything_kept_is_refused(shop):
    run = shop.run(command="rollback").expect(12, "NothingKept")
    assert "hint" in run.text
    shop.assert_untouched()


def test_a_replaced_database_is_collected_after_keep_previous(shop):
    """Never: a disk that fills because nobody asks for another restore."""
    shop.state.configure(keepPrevious="1s")
    shop.restored_once()
    first = shop.previous()
    shop.state.desire(TUESDAY.at)
    shop.run().expect(0)
    due = shop.state.journal()["collectAfter"]
    wait_until(lambda: shop.server.one("SELECT now() > %s::timestamptz + interval '1 s'", due), "the time is over")
    shop.run().expect(0)
    assert list(shop.ours()) == [first], "what was there before us stays until it is dropped by hand"
    shop.assert_consistent(TUESDAY.edition)


def test_a_replaced_database_is_kept_as_long_as_promised(shop):
    """Never: the undo gone before its time, by the server's clock."""
    shop.state.configure(keepPrevious="24h")
    shop.restored_once()
    shop.state.desire(TUESDAY.at)
    shop.run().expect(0)
    kept = [row for row in shop.registry().values() if row["expires_at"]]
    assert len(kept) == 1 and kept[0]["expires_at"] - kept[0]["created_at"] >= datetime.timedelta(hours=24)
    shop.run().expect(0)
    assert len(shop.ours()) == 2


def test_collect_lists_what_is_kept_and_drops_it_on_demand(shop):
    shop.restored_once()
    name = shop.previous()
    listed = shop.run(command="collect").expect(0)
    assert name in listed.stdout
    shop.run("--now", name, command="collect").expect(0)
    assert shop.ours() == {} and shop.registry() == {}
    shop.assert_consistent(MONDAY.edition)


@pytest.mark.parametrize("victim", ["live", "stranger", "control", "nothing"])
def test_collect_drops_nothing_that_is_not_kept(shop, victim):
    """Never: the live database, or somebody else's, dropped because its name was typed."""
    shop.restored_once()
    shop.server.create_database("a_stranger")
    name = {"live": shop.database, "stranger": "a_stranger", "control": shop.control, "nothing": "no such database"}[victim]
    before = shop.server.databases()
    shop.run("--now", name, command="collect").expect(12, "NothingKept")
    assert shop.server.databases() == before
    shop.assert_consistent(MONDAY.edition)


def test_a_previous_database_that_is_in_use_does_not_spoil_the_run(shop):
    shop.state.configure(keepPrevious="1s")
    shop.restored_once()
    shop.state.desire(TUESDAY.at)
    shop.run().expect(0)
    due = shop.state.journal()["collectAfter"]
    held = [row["name"] for row in shop.registry().values() if row["expires_at"]][0]
    shop.server.sql(f"ALTER DATABASE {quote(held)} ALLOW_CONNECTIONS true")
    with shop.server.connect(held) as session:
        session.execute("CREATE TABLE public.p (); BEGIN; INSERT INTO public.p DEFAULT VALUES; PREPARE TRANSACTION 'in the way'")
    wait_until(lambda: shop.server.one("SELECT now() > %s::timestamptz + interval '1 s'", due), "the time is over")
    run = shop.run().expect(0)
    assert held in run.warnings()
    shop.server.sql("ROLLBACK PREPARED 'in the way'", database=held) if held in shop.ours() else None
    shop.run().expect(0)
    shop.run().expect(0)
    assert held not in shop.ours()


# --- questions --------------------------------------------------------------------------------------------------------


def test_plan_says_what_would_happen_and_changes_nothing(shop):
    shop.state.desire(MONDAY.at)
    before = shop.server.databases(), shop.state.snapshot()
    run = shop.run(command="plan")
    assert run.exit == 9, run
    assert MONDAY.name in run.stdout and shop.database in run.stdout
    assert (shop.server.databases(), shop.state.snapshot()) == before
    shop.assert_untouched()


def test_plan_after_the_restore_finds_nothing(shop):
    shop.restored_once()
    before = shop.server.databases(), shop.state.snapshot(), shop.history(), shop.fence()
    shop.run(command="plan").expect(0)
    assert (shop.server.databases(), shop.state.snapshot(), shop.history(), shop.fence()) == before


def test_plan_as_text_is_for_people(shop):
    shop.state.desire(MONDAY.at)
    run = shop.run("--output", "text", command="plan")
    assert run.exit == 9 and MONDAY.name in run.stdout and not run.stdout.startswith("{"), run


def test_plan_shows_every_obstacle_at_once(make_shop):
    shop = make_shop(user="obstructed")
    shop.server.sql("ALTER ROLE obstructed NOCREATEDB")
    shop.state.desire("2024-12-11T00:00:00Z")
    run = shop.run(command="plan").expect(14)
    assert "CREATEDB" in run.text and "2024-12-11" in run.text
    shop.assert_untouched()


def test_status_shows_what_is_asked_for_and_what_is_there(shop):
    assert json.loads(shop.run(command="status").expect(0).stdout)["desiredBackupTimestamp"] == LONG_AGO
    shop.restored_once()
    status = json.loads(shop.run(command="status").expect(0).stdout)
    assert status["desiredBackupTimestamp"] == status["lastAppliedTimestamp"] == MONDAY.at
    assert status["phase"] == "Idle" and status["result"] == "Succeeded"
    text = shop.run("--output", "text", command="status").expect(0).stdout
    assert shop.previous() in text and MONDAY.at in text


def test_status_works_while_the_server_is_away(shop):
    shop.restored_once()
    status = shop.run(command="status", environment={"PGPORT": "1"}).expect(0)
    assert json.loads(status.stdout)["applied"] == MONDAY.at


def test_backups_lists_what_a_timestamp_can_name(shop):
    shop.store.put("shop/notes.txt", b"no backup")
    shop.store.put("shop/2024-12-10T00:00:00Z.dump.sha256", b"no backup either")
    lines = [json.loads(line) for line in shop.run(command="backups").expect(0).stdout.splitlines()]
    assert [line["timestamp"] for line in lines] == [MONDAY.at, TUESDAY.at]
    assert all(line["bytes"] > 1000 and line["url"].startswith(shop.store.location()) for line in lines)


# --- stopping ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["^COPY", "RENAME TO"])
def test_sigterm_stops_at_a_safe_point(shop, pg_proxy, where):
    """Never: a half-restored database, or an application that stays away, because a node is drained."""
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    stall = Stall()
    trap = proxy.before(sql(where), stall)
    with shop.start() as running:
        proxy.victim = running
        trap.wait()
        running.signal(signal.SIGTERM)
        stall.release()
        run = running.wait()
    if run.exit == 0:  # it was past the last safe point before the swap: finished
        shop.assert_consistent(MONDAY.edition)
        return
    run.expect(5, "Interrupted")
    shop.assert_consistent(TODAY)
    shop.assert_untouched()
    assert shop.state.journal()["attempts"] == "0", "a stop does not use up an attempt"
    proxy.reset()
    shop.run().expect(0, result="Succeeded")
    shop.assert_consistent(MONDAY.edition)


# --- what belongs to the database itself --------------------------------------------------------------------------------


def test_grants_settings_limits_and_comments_are_carried_over(shop):
    """Never: an application locked out, or let in, because the new database forgot who may come."""
    name = quote(shop.database)
    for change in (f"REVOKE ALL ON DATABASE {name} FROM PUBLIC", f"GRANT CONNECT ON DATABASE {name} TO {APP} WITH GRANT OPTION",
                   f"ALTER DATABASE {name} SET search_path TO shop, \"odd, schema\", public", f"ALTER DATABASE {name} SET work_mem = '5MB'",
                   f"ALTER DATABASE {name} SET myapp.flag = 'it''s %s'", f"ALTER ROLE {APP} IN DATABASE {name} SET statement_timeout = '7s'",
                   f"ALTER DATABASE {name} SET default_transaction_read_only = on", f"ALTER DATABASE {name} CONNECTION LIMIT 17",
                   f"COMMENT ON DATABASE {name} IS 'the shop''s data, mind it'"):
        shop.server.sql(change)
    before = properties(shop.server, shop.database)
    shop.state.desire(MONDAY.at)
    shop.run().expect(0)
    assert properties(shop.server, shop.database) == before
    assert "the shop's data, mind it" in comment_on(shop.server, shop.database)
    assert MONDAY.at in comment_on(shop.server, shop.database)
    shop.state.desire(TUESDAY.at)
    shop.run().expect(0)
    comment = comment_on(shop.server, shop.database)
    assert comment.count("the shop's data, mind it") == 1 and MONDAY.at not in comment and TUESDAY.at in comment
    assert properties(shop.server, shop.database) == before


@pytest.mark.parametrize("options", ["ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'", "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"])
def test_encoding_and_locale_are_those_of_live(shop, options):
    shop.server.drop_database(shop.database)
    shop.server.sql(f"CREATE DATABASE {quote(shop.database)} TEMPLATE template0 OWNER {OWNER} {options}")
    before = properties(shop.server, shop.database)
    shop.state.desire(MONDAY.at)
    shop.run().expect(0)
    assert properties(shop.server, shop.database) == before
    assert shop.server.one("SELECT count(*) FROM shop.users", database=shop.database) == 300


def test_sessions_of_the_application_are_ended_and_find_the_new_data(shop):
    """Never: a swap that fails because an application is connected; a session that goes on writing to the old data."""
    old = shop.server.connect(shop.database, user=APP)
    shop.state.desire(MONDAY.at)
    shop.run().expect(0)
    assert old.closed or _is_dead(old)
    assert shop.server.one("SELECT shop.edition()", database=shop.database) == MONDAY.edition


def _is_dead(session) -> bool:
    try:
        session.execute("SELECT 1")
        return False
    except Exception:
        return True
