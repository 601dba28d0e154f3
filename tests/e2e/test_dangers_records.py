"""Dangers of deciding: what is recorded, lost, reverted or forged about earlier restores.

Each test fails without the rule that closes its danger; the numbers are those of docs/dangers.md.
"""

import json

import pytest

from support.pg_proxy import sql
from support.postgres import quote
from support.scenario import LONG_AGO, MONDAY, SWAP, TODAY, TUESDAY

MARK = "INSERT INTO public.marks VALUES ('{}')"


def replace_live(shop, edition: int):
    """Somebody (a failover, an operator) puts another database under the live name."""
    shop.server.sql(f"ALTER DATABASE {quote(shop.database)} RENAME TO put_aside")
    shop.server.create_database(shop.database, template=shop.editions.template(edition), owner="shop_owner")


# --- 5: first contact ---------------------------------------------------------------------------------------------------


def test_a_database_that_was_never_managed_is_not_overwritten(shop):
    """Danger 5. Never: production replaced because a ConfigMap names it."""
    shop.state.set(desiredBackupTimestamp=MONDAY.at, lastAppliedTimestamp=None)
    run = shop.expect(12, "FirstContact")
    assert f'allowInitialRestore: \\"{MONDAY.at}\\"' in run.stdout or f'allowInitialRestore: "{MONDAY.at}"' in run.report["message"]
    shop.assert_untouched()


@pytest.mark.parametrize("consent", ["true", "yes", TUESDAY.at, "2024-12-09", ""])
def test_consent_is_bound_to_one_timestamp(shop, consent):
    """Danger 5. Never: a standing permission that somebody left in Git."""
    shop.state.set(desiredBackupTimestamp=MONDAY.at, lastAppliedTimestamp=None, allowInitialRestore=consent)
    shop.expect(12, "FirstContact")
    shop.assert_untouched()


def test_with_consent_the_first_restore_keeps_what_was_there_for_ever(shop):
    """Danger 5. Never: data that were there before us dropped by a clock."""
    shop.state.set(desiredBackupTimestamp=MONDAY.at, lastAppliedTimestamp=None, allowInitialRestore="2024-12-09T01:00:00+01:00")
    shop.state.configure(keepPrevious="1s")
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)
    assert [row["expires_at"] for row in shop.registry().values()] == [None]


@pytest.mark.parametrize("last_applied", ["yesterday", "2024-12-09", "2024-12-09T00:00:00", "", "2024-13-09T00:00:00Z"])
def test_a_malformed_last_applied_is_no_consent(shop, last_applied):
    """Danger 5. Never: a typo taken for the user's word that the database is managed."""
    shop.state.set(desiredBackupTimestamp=MONDAY.at, lastAppliedTimestamp=last_applied)
    shop.expect(12, "FirstContact")
    shop.assert_untouched()


def test_a_state_that_says_it_is_in_place_is_adopted_and_not_restored(shop):
    """Danger 5, design row 11. Never: today's data overwritten because the tool is new here."""
    shop.state.set(desiredBackupTimestamp=MONDAY.at, lastAppliedTimestamp=MONDAY.at)
    shop.run().expect(0)
    shop.assert_untouched()
    assert [row["kind"] for row in shop.history()] == ["adopt"]
    assert shop.state.journal()["applied"] == MONDAY.at
    shop.state.desire(TUESDAY.at)
    shop.run().expect(0)
    shop.assert_consistent(TUESDAY.edition)
    assert [row["expires_at"] for row in shop.registry().values()] == [None], "an adopted database never expires by itself"


# --- 6: the live database is not the one we made ---------------------------------------------------------------------------


def test_a_database_changed_by_others_is_left_alone(shop):
    """Danger 6. Never: a failover or a recovery answered by restoring over it."""
    shop.restored_once()
    replace_live(shop, TODAY)
    shop.state.change_journal(published="")  # so that the run looks
    shop.run().expect(0, reason="Drifted")
    shop.assert_live_is(TODAY)


def test_a_changed_database_with_a_reverted_state_is_refused(shop):
    """Danger 6. Never: the wish of last week fulfilled on a database that it was not about."""
    shop.restored_once()
    replace_live(shop, TODAY)
    shop.state.set_applied(LONG_AGO)
    shop.expect(12, "DatabaseChanged")
    shop.assert_live_is(TODAY)
    assert len(shop.history()) == 1


def test_a_changed_database_is_restored_when_something_new_is_asked_for(shop):
    """Danger 6. Only a new timestamp or request goes on."""
    shop.restored_once()
    replace_live(shop, TODAY)
    shop.state.desire(TUESDAY.at)
    shop.run().expect(0)
    shop.assert_live_is(TUESDAY.edition)


# --- 7: what was undone stays undone ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["nothing", "journal", "applied"])
def test_what_was_rolled_back_is_not_restored_by_the_next_tick(shop, lost):
    """Danger 7. Never: an outage every five minutes after the operator pressed undo."""
    shop.restored_once()
    shop.run(command="rollback").expect(0)
    if lost == "journal":
        shop.state.lose_journal()
    if lost == "applied":
        shop.state.set_applied(None)
    for _ in range(2):
        shop.run().expect(0, reason="RolledBack")
    shop.assert_consistent(TODAY)
    assert [row["kind"] for row in shop.history()] == ["restore", "rollback"]


def test_a_failed_smoke_check_swaps_back_for_good(shop):
    """Danger 7. Never: an application on data that its own check rejects; the same restore tried again and again."""
    shop.server.sql("CREATE TABLE public.marks (what text)", database=shop.database)
    shop.state.configure(smoke=[{"sql": "SELECT false"}], preSteps=[{"sql": {"sql": MARK.format("away"), "on": "live", "undo": MARK.format("back")}}])
    shop.state.desire(MONDAY.at)
    shop.expect(10, "SmokeCheckFailed")
    assert shop.server.oid(shop.database) == shop.live_oid
    assert shop.server.sql("SELECT what FROM public.marks", database=shop.database) == [("away",), ("back",)]
    assert shop.state.applied() is None, "what is not live is not published"
    assert [row["kind"] for row in shop.history()] == ["restore", "rollback"]
    shop.run().expect(0, reason="RolledBack")
    assert len(shop.history()) == 2
    shop.server.sql("DROP TABLE public.marks", database=shop.database)
    shop.assert_consistent(TODAY)


# --- 8: the key of a restore ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("select", ["exact", "at-or-before"])
@pytest.mark.parametrize("request_", [None, "please"])
def test_a_lost_journal_does_not_restore_twice(shop, select, request_):
    """Danger 8. Never: the writes since the restore lost because a file or a ConfigMap was."""
    shop.state.configure(backups={**shop.state.spec["backups"], "select": select})
    shop.state.desire("2024-12-09T12:00:00Z" if select == "at-or-before" else MONDAY.at, request=request_)
    shop.run().expect(0)
    shop.server.sql("CREATE TABLE public.written_since ()", database=shop.database)
    shop.state.lose_journal()
    shop.state.set_applied(None)
    shop.run().expect(0)
    assert shop.server.one("SELECT to_regclass('public.written_since')", database=shop.database) is not None
    assert len(shop.history()) == 1
    assert shop.state.applied() == shop.state.data["desiredBackupTimestamp"]


def test_a_new_request_is_not_swallowed_because_the_timestamp_is_in_place(shop):
    """Danger 8. Never: "restore it again" answered with "it is there already"."""
    shop.state.set(desiredBackupTimestamp=MONDAY.at, lastAppliedTimestamp=MONDAY.at, restoreRequest="the database is broken, please")
    shop.run().expect(0, result="Succeeded")
    shop.assert_consistent(MONDAY.edition)


# --- 11, 12: journals lost and journals of old -------------------------------------------------------------------------------


@pytest.fixture
def interrupted(shop, pg_proxy):
    """A shop whose run was killed while the application was away, with a mark for each step and its undo."""
    shop.server.sql("CREATE TABLE public.marks (what text)", database=shop.database)
    shop.state.configure(preSteps=[{"sql": {"sql": MARK.format("away"), "on": "live", "undo": MARK.format("back")}}], postSteps=[{"sql": {"sql": "SELECT 1"}}])
    shop.state.desire(MONDAY.at)
    proxy = pg_proxy(shop.server)
    shop.run_killed(proxy, "before", SWAP)
    assert shop.state.journal()["phase"] == "Swap"
    shop.marks = lambda: [row[0] for row in shop.server.sql("SELECT what FROM public.marks", database=shop.database)]
    assert shop.marks() == ["away"]
    return shop


def test_a_lost_journal_leaves_nobody_s_application_away(interrupted):
    """Danger 11. Never: replicas 0 for ever because the undo stood in one place only."""
    shop = interrupted
    shop.state.lose_journal()
    shop.state.desire(LONG_AGO)  # nothing new to do: what remains is to bring the application back
    shop.state.set_applied(LONG_AGO)
    shop.run()
    assert shop.marks()[:2] == ["away", "back"]
    shop.server.sql("DROP TABLE public.marks", database=shop.database)
    shop.assert_consistent(TODAY)


@pytest.mark.parametrize("how", ["broken", "missing", "without desired", "no restore.yaml"])
def test_a_broken_state_file_leaves_nobody_s_application_away(interrupted, how):
    """Danger 11. Never: recovery that waits for a configuration to be mended."""
    shop = interrupted
    if how == "missing":
        shop.state.file.unlink()
    elif how == "broken":
        shop.state.write_text("data: [this is no ConfigMap")
    elif how == "without desired":
        shop.state.set(desiredBackupTimestamp=None)
    else:
        shop.state.write_text("apiVersion: v1\nkind: ConfigMap\ndata:\n  desiredBackupTimestamp: \"2024-12-09T00:00:00Z\"\n")
    run = shop.run()
    assert run.exit == 2, run
    assert shop.marks() == ["away", "back"], run
    shop.server.sql("DROP TABLE public.marks", database=shop.database)
    assert shop.server.oid(shop.database) == shop.live_oid
    shop.assert_consistent(TODAY)


def test_an_interrupted_run_is_undone_before_the_new_wish_is_served(interrupted):
    """Danger 11. The undo of the old run comes first, whatever is asked for now."""
    shop = interrupted
    shop.state.desire(TUESDAY.at)
    shop.run().expect(0)
    assert shop.server.sql("SELECT what FROM public.marks", database=shop.open_previous()) == [("away",), ("back",), ("away",)]
    shop.assert_consistent(TUESDAY.edition)


def test_the_journal_of_an_old_run_is_not_believed(shop, interrupted):
    """Danger 12. Never: the undo list of last month run today because the cluster was restored from its backup."""
    old_journal = shop.state.journal_file.read_bytes()
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)
    shop.server.sql("CREATE TABLE public.marks (what text)", database=shop.database)
    shop.state.journal_file.write_bytes(old_journal)
    run = shop.run()
    assert shop.marks() == [], run
    assert "JournalStale" in run.text
    assert len(shop.history()) == 1, "nothing is restored twice either"
    shop.server.sql("DROP TABLE public.marks", database=shop.database)
    shop.assert_consistent(MONDAY.edition)


def test_a_forged_journal_runs_nothing(shop):
    """Danger 12. Never: SQL of a journal that the database's own record does not know."""
    shop.server.sql("CREATE TABLE public.marks (what text)", database=shop.database)
    undo = json.dumps([{"preStep": "0", "sql": MARK.format("forged")}])
    shop.restored_once()
    shop.server.sql("CREATE TABLE public.marks (what text)", database=shop.database)
    shop.state.change_journal(phase="PreSteps", undo=undo, runId="aaaaaaaaaaaaaaaa", fencingToken="99")
    shop.run()
    assert shop.server.one("SELECT count(*) FROM public.marks", database=shop.database) == 0
    assert len(shop.history()) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 1, "data": {"phase": 7}}', b"\0\0\0", b'{"version": 1, "data": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}"])
def test_a_corrupt_journal_is_reported_and_nothing_done(shop, content):
    """Danger 12. Never: a guess at what a journal meant."""
    shop.state.desire(MONDAY.at)
    shop.state.journal_file.write_bytes(content)
    run = shop.run().expect(4, "JournalCorrupt")
    assert "hint" in run.text
    assert shop.state.journal_file.read_bytes() == content
    shop.assert_untouched()


# --- 17: two states for one database ------------------------------------------------------------------------------------------


@pytest.fixture
def two_states(make_shop):
    """Two state directories that name the same database; the first one has restored it."""
    first = make_shop().restored_once()
    second = make_shop()
    second.state.configure(database=first.database, controlDatabase=first.control, backups=first.state.spec["backups"])
    second.state.desire(TUESDAY.at)
    return first, second


def test_a_second_state_for_the_same_database_is_refused(two_states):
    """Danger 17. Never: two clusters that restore one database in turn."""
    first, second = two_states
    run = second.expect(12, "ForeignState")
    assert first.fence()["state_ref"] in run.text, "the message says what to write into takeOver"
    first.assert_consistent(MONDAY.edition)
    first.state.desire(TUESDAY.at)
    first.run().expect(0)


def test_a_state_takes_over_with_the_old_one_s_name_only(two_states):
    """Danger 17."""
    first, second = two_states
    second.state.set(takeOver="somebody else")
    second.expect(12, "ForeignState")
    second.state.set(takeOver=first.fence()["state_ref"])
    second.run().expect(0)
    first.assert_live_is(TUESDAY.edition)
    first.state.desire(TUESDAY.at, request="mine")
    first.expect(12, "ForeignState")
    first.assert_live_is(TUESDAY.edition)


# --- 21: the wish changes during the run ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"timestamp": TUESDAY.at}, {"timestamp": MONDAY.at, "request": "again"}], ids=["timestamp", "request"])
@pytest.mark.parametrize("where", ["CREATE DATABASE .*_rrs", "UPDATE restore_reconciler.fence SET .*phase"])
def test_a_wish_that_changes_before_the_swap_supersedes_the_run(shop, pg_proxy, change, where):
    """Danger 21. Never: the backup swapped in that nobody wants any more."""
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    proxy.before(sql(where), lambda *_: shop.state.desire(**change))
    shop.run().expect(5, "Superseded")
    shop.assert_untouched()
    shop.assert_consistent(TODAY)
    shop.run().expect(0)
    shop.assert_consistent(TUESDAY.edition if change["timestamp"] == TUESDAY.at else MONDAY.edition)


def test_a_wish_that_changes_after_the_swap_waits_for_the_next_run(shop, pg_proxy):
    """Danger 21. Never: a record of the new wish for the data of the old one."""
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    proxy.after(SWAP, lambda *_: shop.state.desire(TUESDAY.at))
    shop.run().expect(0)
    assert shop.state.applied() == MONDAY.at
    shop.assert_consistent(MONDAY.edition)
    shop.run().expect(0)
    assert shop.state.applied() == TUESDAY.at
    shop.assert_consistent(TUESDAY.edition)


# --- 22: git revert --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def reverted(shop):
    """MONDAY was restored and used, then TUESDAY; now Git asks for MONDAY again."""
    shop.restored_once()
    shop.server.sql("CREATE TABLE public.written_since ()", database=shop.database)
    shop.state.desire(TUESDAY.at)
    shop.run().expect(0)
    shop.state.desire(MONDAY.at)
    return shop


def test_a_revert_to_what_is_still_kept_is_refused_and_both_ways_named(reverted):
    """Danger 22. Never: weeks of writes thrown away for the old backup, when the kept database holds them."""
    run = reverted.expect(12, "RevertRefused")
    assert "rollback" in run.text and "onRevert" in run.text
    reverted.assert_consistent(TUESDAY.edition)
    assert len(reverted.ours()) == 2


def test_a_revert_loads_the_backup_when_told_so(reverted):
    """Danger 22."""
    reverted.state.configure(onRevert="load")
    reverted.run().expect(0)
    reverted.assert_consistent(MONDAY.edition)


def test_rollback_after_a_revert_brings_the_written_data_back(reverted):
    """Danger 22."""
    reverted.run(command="rollback").expect(0)
    assert reverted.server.one("SELECT to_regclass('public.written_since')", database=reverted.database) is not None
    run = reverted.run().expect(0)
    assert len(reverted.history()) == 3, run
    assert reverted.server.one("SELECT to_regclass('public.written_since')", database=reverted.database) is not None


# --- 24: publishing --------------------------------------------------------------------------------------------------------------


def test_a_run_killed_before_it_published_blames_nobody(shop, pg_proxy):
    """Danger 24. Never: an alarm about a reverted state that was never written."""
    shop.state.desire(MONDAY.at)
    shop.run_killed(pg_proxy(shop.server), "after", SWAP)
    assert shop.state.applied() is None
    run = shop.run().expect(0)
    assert "StateReverted" not in run.text
    assert shop.state.applied() == MONDAY.at
    shop.assert_consistent(MONDAY.edition)
    assert len(shop.history()) == 1


def test_a_reverted_last_applied_is_republished_not_restored(shop):
    """Danger 24. Never: a restore because a sync tool wrote an old value back."""
    shop.restored_once()
    shop.server.sql("CREATE TABLE public.written_since ()", database=shop.database)
    shop.state.set_applied(LONG_AGO)
    run = shop.run().expect(0)
    assert "StateReverted" in run.warnings()
    assert shop.state.applied() == MONDAY.at
    assert shop.server.one("SELECT to_regclass('public.written_since')", database=shop.database) is not None


def test_a_state_that_keeps_being_reverted_is_left_alone_after_three_times(shop):
    """Danger 24. Never: a war with a sync tool, every tick."""
    shop.restored_once()
    for _ in range(3):
        shop.state.set_applied(LONG_AGO)
        shop.run().expect(0)
        assert shop.state.applied() == MONDAY.at
    shop.state.set_applied(LONG_AGO)
    for _ in range(2):
        shop.run().expect(0)
        assert shop.state.applied() == LONG_AGO
    assert len(shop.history()) == 1
    shop.assert_live_is(MONDAY.edition)


# --- 25: evidence -------------------------------------------------------------------------------------------------------------------


def test_a_comment_is_no_evidence(shop):
    """Danger 25. Never: a clone taken for restored because its comment says so."""
    shop.restored_once()
    comment = shop.server.one("SELECT shobj_description(%s, 'pg_database')", shop.server.oid(shop.database))
    shop.server.drop_database(shop.control)
    replace_live(shop, TODAY)
    shop.server.sql(f"COMMENT ON DATABASE {quote(shop.database)} IS '{comment.replace(chr(39), chr(39) * 2)}'")
    shop.state.lose_journal()
    shop.state.set_applied(None)
    shop.state.set(lastAppliedTimestamp=None)
    shop.expect(12, "FirstContact")
    shop.assert_live_is(TODAY)


def test_history_of_another_server_is_not_believed(shop):
    """Danger 25. Never: an oid that happens to be equal on another server taken for our restore."""
    shop.restored_once()
    shop.server.sql("UPDATE restore_reconciler.history SET system_id = '1234567890123456789'", database=shop.control)
    shop.state.set_applied(LONG_AGO)
    shop.expect(12, "DatabaseChanged")
    assert len(shop.history()) == 1


def test_a_lost_control_database_does_not_restore_twice(shop):
    """Design row 9. Never: the same restore again because the control database was dropped."""
    shop.restored_once()
    shop.server.drop_database(shop.control)
    shop.state.set_applied(None)
    shop.server.sql("CREATE TABLE public.written_since ()", database=shop.database)
    run = shop.run().expect(0)
    assert "ControlDatabaseLost" in run.warnings()
    assert shop.state.applied() == MONDAY.at
    assert shop.server.one("SELECT to_regclass('public.written_since')", database=shop.database) is not None


def test_an_unreadable_control_database_stops_everything(shop):
    """Design row 0. Never: a decision without the database's own record when there is one."""
    shop.restored_once()
    shop.state.desire(TUESDAY.at)
    shop.server.sql("DROP TABLE restore_reconciler.history", database=shop.control)
    shop.expect(4, "ControlDatabaseUnreadable")
    shop.assert_live_is(MONDAY.edition)


# --- 28: a missing or filling database ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["nothing", "journal", "control"])
def test_a_missing_database_is_no_first_installation_while_anything_remembers_it(shop, lost):
    """Danger 28. Never: a renamed database taken for one that has to be made."""
    shop.restored_once()
    shop.server.sql(f"ALTER DATABASE {quote(shop.database)} RENAME TO put_aside")
    if lost == "journal":
        shop.state.lose_journal()
    if lost == "control":
        shop.server.drop_database(shop.control)
    shop.state.desire(TUESDAY.at)
    shop.expect(12, "DatabaseMissing")
    assert shop.server.oid(shop.database) is None
    shop.server.sql(f"ALTER DATABASE put_aside RENAME TO {quote(shop.database)}")
    shop.assert_live_is(MONDAY.edition)


def test_a_missing_database_is_made_anew_with_consent(shop):
    """Danger 28."""
    shop.restored_once()
    shop.server.drop_database(shop.database)
    shop.state.set(desiredBackupTimestamp=TUESDAY.at, allowInitialRestore=TUESDAY.at)
    shop.run().expect(0)
    shop.assert_consistent(TUESDAY.edition)


@pytest.mark.parametrize("what", ["CREATE TABLE public.t ()", "CREATE VIEW public.v AS SELECT 1", "SELECT lo_create(0)", "CREATE SEQUENCE public.s"])
def test_anything_at_all_makes_a_database_not_empty(shop, what):
    """Danger 28. Never: the only large object, or the only sequence, of somebody overwritten."""
    shop.server.drop_database(shop.database)
    shop.server.create_database(shop.database, template="template0")
    shop.server.sql(what, database=shop.database)
    shop.state.set(desiredBackupTimestamp=MONDAY.at, lastAppliedTimestamp=None)
    oid = shop.server.oid(shop.database)
    shop.expect(12, "FirstContact")
    assert shop.server.oid(shop.database) == oid


def test_a_database_that_cannot_be_looked_into_is_not_empty(shop):
    """Danger 28."""
    shop.server.sql(f"ALTER DATABASE {quote(shop.database)} ALLOW_CONNECTIONS false")
    shop.state.set(desiredBackupTimestamp=MONDAY.at, lastAppliedTimestamp=None)
    shop.expect(12, "FirstContact")
    shop.server.sql(f"ALTER DATABASE {quote(shop.database)} ALLOW_CONNECTIONS true")
    shop.assert_untouched()


def test_an_empty_database_that_fills_during_the_load_is_not_replaced(shop, pg_proxy):
    """Danger 28. Never: the first rows of a new application lost to a race with its migration."""
    shop.server.drop_database(shop.database)
    shop.server.create_database(shop.database, template="template0", owner="shop_owner")
    shop.state.set(desiredBackupTimestamp=MONDAY.at, lastAppliedTimestamp=None)
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    proxy.before(sql("CREATE DATABASE .*_rrs"), lambda *_: shop.server.sql("CREATE TABLE public.migrated ()", database=shop.database) and None)
    shop.expect(12, "FirstContact")
    assert shop.server.one("SELECT to_regclass('public.migrated')", database=shop.database) is not None
    assert shop.ours() == {}


# --- 32: attempts -----------------------------------------------------------------------------------------------------------------------


def fail_once(shop, pg_proxy):
    """A run that fails in a way that may pass: the archive is replaced while it is read."""
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    other = shop.editions.archive(TUESDAY.edition)
    proxy.before(sql("CREATE DATABASE .*_rrs"), lambda *_: shop.put_backup(MONDAY, other.read_bytes() + b"x"))
    run = shop.run()
    shop.put_backup(MONDAY)
    proxy.reset()
    return run.expect(10, "BackupChanged")


def test_a_failure_that_may_pass_waits_before_it_is_tried_again(shop, pg_proxy):
    """Danger 32. Never: the same failing load every five minutes, day and night."""
    shop.state.desire(MONDAY.at)
    fail_once(shop, pg_proxy)
    shop.assert_untouched()
    assert shop.state.journal()["attempts"] == "1"
    shop.expect(10, "RetryScheduled")
    shop.assert_untouched()
    shop.state.change_journal(notBefore="2024-01-01T00:00:00Z")  # the pause is over
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)


def test_attempts_are_used_up_and_a_new_request_clears_them(shop, pg_proxy):
    """Danger 32."""
    shop.state.configure(maxAttempts=2)
    shop.state.desire(MONDAY.at)
    for attempt in ("1", "2"):
        fail_once(shop, pg_proxy)
        assert shop.state.journal()["attempts"] == attempt
        shop.state.change_journal(notBefore="2024-01-01T00:00:00Z")
    shop.expect(10, "AttemptsExhausted")
    shop.assert_untouched()
    shop.state.desire(MONDAY.at, request="mended")
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)


def test_a_failure_that_cannot_pass_is_not_tried_again(shop):
    """Danger 32. Never: a load of hours repeated for a check that will answer the same."""
    shop.state.configure(verify=[{"sql": "SELECT false"}])
    shop.state.desire(MONDAY.at)
    shop.expect(10, "VerificationFailed")
    first = shop.state.journal()["runId"]
    for _ in range(2):
        shop.expect(10, "AttemptsExhausted")
    assert shop.state.journal()["runId"] == first, "no new attempt began"
    shop.state.configure(verify=None)
    shop.state.desire(MONDAY.at, request="without the check")
    shop.run().expect(0)


def test_a_pause_from_a_clock_that_was_wrong_is_ignored(shop, pg_proxy):
    """Danger 32. Never: no restore for years because a node's clock was in the future once."""
    shop.state.desire(MONDAY.at)
    fail_once(shop, pg_proxy)
    shop.state.change_journal(notBefore="2099-01-01T00:00:00Z")
    shop.run().expect(0)


def test_another_timestamp_is_tried_at_once(shop, pg_proxy):
    """Danger 32. A pause is for one key only."""
    shop.state.desire(MONDAY.at)
    fail_once(shop, pg_proxy)
    shop.state.desire(TUESDAY.at)
    shop.run().expect(0)
    shop.assert_consistent(TUESDAY.edition)


def test_a_killed_attempt_counts_but_does_not_pause(shop, pg_proxy):
    """Danger 32. Never: a load that kills its node tried for ever."""
    shop.state.configure(maxAttempts=2)
    shop.state.desire(MONDAY.at)
    proxy = pg_proxy(shop.server)
    for attempt in ("1", "2"):
        shop.run_killed(proxy, "before", sql("^ANALYZE"))
        assert shop.state.journal()["attempts"] == attempt
    assert shop.run().exit in (10, 12)
    assert shop.state.journal()["reason"] == "AttemptsExhausted"
    shop.assert_consistent(TODAY)
