"""What a run that was cut off leaves to the next one, where things have changed in between.

Each of these once ended in data that was swapped away, an application that stayed away, or a "Succeeded" for nothing.
"""

import json
import time

import pytest

from support.pg_proxy import cut_all, sql
from support.postgres import quote
from support.scenario import MONDAY, SWAP, TODAY, TUESDAY
from support.waiting import wait_until



def last_fence_clear():
    """The second one of a run: the first is at its beginning, when it has found nothing to recover."""
    seen = []

    def matches(message) -> bool:
        if sql("recovering = NULL")(message) and message.number not in seen:
            seen.append(message.number)
        return len(seen) == 2 and message.number == seen[-1]

    return matches


@pytest.fixture
def application(make_shop):
    """A shop whose application is away while its role may not log in."""
    shop = make_shop(store="file")
    role = f"app_of_{shop.database}"
    shop.server.sql(f"CREATE ROLE {quote(role)} LOGIN")
    leave, come = f"ALTER ROLE {quote(role)} NOLOGIN", f"ALTER ROLE {quote(role)} LOGIN"
    shop.state.configure(jobs=1, preSteps=[{"sql": {"sql": leave, "on": "live", "undo": come}}], postSteps=[{"sql": {"sql": come}}])
    shop.is_away = lambda: not shop.server.one(f"SELECT rolcanlogin FROM pg_roles WHERE rolname = '{role}'")
    yield shop
    shop.server.sql(f"DROP ROLE {quote(role)}")


def smoke(shop, text: str):
    shop.state.configure(smoke=[{"sql": text}])


def test_a_run_that_died_before_it_cleared_the_fence_is_not_recovered_again(application, pg_proxy):
    """Never: data that the application has written since, swapped away by a smoke check that is run once more."""
    shop = application.restored_once()
    users = shop.server.one("SELECT count(*) FROM shop.users", database=shop.database)
    shop.state.desire(TUESDAY.at)
    smoke(shop, "SELECT count(*) < 1000000 FROM shop.users")
    shop.run_killed(pg_proxy(shop.server), "before", last_fence_clear())
    assert users is not None and not shop.is_away()
    shop.server.sql("CREATE TABLE shop.written_since ()", database=shop.database)
    smoke(shop, "SELECT false")
    shop.state.desire(TUESDAY.at, request="look again")
    shop.state.configure(verify=[{"sql": "SELECT false"}])  # the new restore itself goes no further than this
    shop.run().expect(10, "VerificationFailed")
    assert shop.server.one("SELECT to_regclass('shop.written_since') IS NOT NULL", database=shop.database)
    assert [row["kind"] for row in shop.history()] == ["restore", "restore"]


def test_a_session_that_breaks_after_another_runs_recovery_is_no_success(application, pg_proxy):
    """Never: "Succeeded" for a restore that was undone, because an earlier one was finished in the same process."""
    shop = application
    proxy = pg_proxy(shop.server)
    shop.state.desire(MONDAY.at)
    shop.run_killed(proxy, "after", SWAP)
    shop.state.desire(TUESDAY.at)
    proxy.before(sql("^CREATE DATABASE"), cut_all)
    shop.run().expect(10)
    assert shop.edition() == MONDAY.edition and not shop.is_away()
    assert shop.state.journal()["result"] == "Failed"


@pytest.mark.parametrize("how", ["the answer is lost", "the process dies"])
def test_a_smoke_check_that_fails_in_recovery_ends_with_a_failure(application, pg_proxy, how):
    """Never: exit 0 for a backup that was swapped back."""
    shop = application.restored_once()
    proxy = pg_proxy(shop.server)
    shop.state.desire(TUESDAY.at)
    smoke(shop, "SELECT false")
    if how == "the process dies":
        shop.run_killed(proxy, "after", SWAP)
    else:
        shop.through(proxy)
        proxy.after(SWAP, cut_all)
    shop.expect(10, "SmokeCheckFailed")
    assert shop.edition() == MONDAY.edition and not shop.is_away()
    assert [row["kind"] for row in shop.history()] == ["restore", "restore", "rollback"]
    shop.run().expect(0, "RolledBack")


def test_names_that_somebody_put_back_by_hand_do_not_keep_the_application_away(application, pg_proxy):
    """Never: a program that waits for ever for the database that it remembers."""
    shop = application.restored_once()
    shop.state.desire(TUESDAY.at)
    shop.run_killed(pg_proxy(shop.server), "after", SWAP)
    assert shop.is_away()
    mine = next(row for row in shop.registry().values() if row["kind"] == "previous" and row["oid"] == shop.history()[-1]["old_oid"])["name"]
    shop.server.sql(f"ALTER DATABASE {quote(shop.database)} RENAME TO aside")
    shop.server.sql(f"ALTER DATABASE {quote(mine)} RENAME TO {quote(shop.database)}")
    shop.server.sql(f"ALTER DATABASE {quote(shop.database)} ALLOW_CONNECTIONS true")
    shop.run().expect(12, "DatabaseChanged")
    assert not shop.is_away()
    assert shop.state.journal()["phase"] == "Idle"
    shop.assert_live_is(MONDAY.edition)
    shop.server.drop_database("aside")


def test_a_live_database_that_is_away_gets_its_application_back_when_it_returns(application, pg_proxy):
    shop = application.restored_once()
    shop.state.desire(TUESDAY.at)
    shop.run_killed(pg_proxy(shop.server), "after", sql("^ALTER ROLE .* NOLOGIN"))
    assert shop.is_away()
    shop.server.sql(f"ALTER DATABASE {quote(shop.database)} RENAME TO aside")
    shop.run().expect(12, "DatabaseMissing")
    shop.server.sql(f"ALTER DATABASE aside RENAME TO {quote(shop.database)}")
    shop.state.desire(MONDAY.at)
    shop.run().expect(0)
    assert not shop.is_away()


def test_a_lost_journal_after_the_swap_brings_the_application_back(application, pg_proxy):
    shop = application.restored_once()
    shop.state.desire(TUESDAY.at)
    smoke(shop, "SELECT false")
    shop.run_killed(pg_proxy(shop.server), "after", SWAP)
    shop.state.lose_journal()
    shop.run().expect(0)
    assert not shop.is_away()
    shop.assert_consistent(TUESDAY.edition)


def test_a_lost_control_database_does_not_lose_the_undo(application, pg_proxy):
    shop = application.restored_once()
    shop.state.desire(TUESDAY.at)
    shop.run_killed(pg_proxy(shop.server), "after", sql("^ALTER ROLE .* NOLOGIN"))
    shop.server.drop_database(shop.control)
    shop.state.desire(MONDAY.at)
    shop.run().expect(0)
    assert not shop.is_away()
    shop.assert_live_is(MONDAY.edition)


def test_a_plan_in_the_journal_that_cannot_be_read_does_not_keep_the_application_away(application, pg_proxy):
    shop = application.restored_once()
    shop.state.desire(TUESDAY.at)
    shop.run_killed(pg_proxy(shop.server), "after", sql("^ALTER ROLE .* NOLOGIN"))
    shop.state.change_journal(plan=shop.state.journal()["plan"] + "\nfutureKey: 1\n")
    shop.run().expect(0)
    assert not shop.is_away()
    shop.assert_consistent(TUESDAY.edition)


def test_a_post_step_that_was_mended_is_taken_from_the_state(application):
    """Never: a restore that cannot be finished because its steps were recorded with a mistake."""
    shop = application.restored_once()
    good = shop.state.spec["postSteps"]
    shop.state.configure(postSteps=[{"sql": {"sql": "SELECT nonsense"}}])
    shop.state.desire(TUESDAY.at)
    shop.expect(10, "StepFailed")
    shop.expect(10, "StepFailed")
    assert shop.is_away()
    shop.state.configure(postSteps=good)
    shop.run().expect(0)
    assert not shop.is_away()
    shop.assert_consistent(TUESDAY.edition)


def test_nothing_is_collected_while_a_run_is_unfinished(application):
    """Never: the way back dropped because its time was over, while it is not known yet whether it is needed."""
    shop = application.restored_once()
    good = shop.state.spec["postSteps"]
    shop.state.configure(keepPrevious="1s", postSteps=[{"sql": {"sql": "SELECT nonsense"}}])
    shop.state.desire(TUESDAY.at)
    shop.expect(10, "StepFailed")
    kept = set(shop.ours())
    time.sleep(2)
    shop.expect(10, "StepFailed")
    assert kept and set(shop.ours()) == kept
    shop.state.configure(keepPrevious="1s", postSteps=good)
    shop.run().expect(0)
    assert len(shop.ours()) < len(kept)
    shop.assert_consistent(TUESDAY.edition)


def test_one_undo_that_fails_does_not_keep_the_others_from_running(application):
    shop = application
    role = shop.state.spec["preSteps"][0]
    shop.state.configure(preSteps=[role, {"sql": {"sql": "SELECT 1", "on": "live", "undo": "SELECT nonsense"}}, {"sql": {"sql": "SELECT 1/0", "on": "live", "undo": ""}}])
    shop.state.desire(MONDAY.at)
    shop.run().expect(10, "StepFailed")
    assert not shop.is_away()
    assert [item["sql"] for item in json.loads(shop.state.journal()["undo"])] == ["SELECT nonsense"]


def test_what_is_recorded_of_one_database_counts_for_no_other(application, make_shop):
    """Never: somebody's database replaced because another one was managed."""
    shop = application.restored_once()
    other = make_shop(store="file")
    shop.state.configure(database=other.database)
    shop.state.desire(TUESDAY.at)
    shop.run().expect(12, "FirstContact")
    other.assert_live_is(TODAY)
    shop.state.configure(database=shop.database)
    shop.run().expect(0)
    shop.assert_consistent(TUESDAY.edition)


def test_attempts_begin_anew_after_a_success(application):
    shop = application
    shop.state.configure(maxAttempts=1)
    shop.restored_once()
    shop.state.desire(MONDAY.at, request="again")
    shop.run().expect(0)
    assert "attempts" not in shop.state.journal()


def test_integrity_is_claimed_only_when_it_was_verified(application):
    shop = application
    shop.put_backup(MONDAY, b"0" * 64 + b"  " + MONDAY.name.encode() + b"\n", suffix=".sha256")
    shop.state.desire(MONDAY.at)
    run = shop.run().expect(10, "ChecksumMismatch")
    assert "integrity" not in run.report


def test_plan_says_that_it_recovers_first(application, pg_proxy):
    shop = application.restored_once()
    shop.state.desire(TUESDAY.at)
    shop.run_killed(pg_proxy(shop.server), "after", SWAP)
    plan = shop.run(command="plan")
    assert plan.exit == 9 and json.loads(plan.stdout)["recovers"]
    shop.run().expect(0)


def test_an_adopted_rollback_is_not_called_a_reverted_state(application):
    """After a rollback the natural commit asks for what is live: nobody has reverted anything."""
    shop = application.restored_once()
    shop.state.desire(TUESDAY.at)
    shop.run().expect(0)
    shop.run(command="rollback").expect(0)
    shop.state.desire(MONDAY.at)
    run = shop.run().expect(0)
    assert "StateReverted" not in run.warnings()
    wait_until(lambda: shop.state.applied() == MONDAY.at, "published")
