"""The main job in a cluster: ConfigMap, journal, Lease, events; what GitOps does to them; who may run when.

The numbers of dangers are those of docs/dangers.md.
"""

import pytest

from support.cluster_shop import SHORT_LEASE
from support.cluster_state import MANAGER
from support.fault_proxy import Call
from support.pg_proxy import Stall, sql
from support.scenario import LONG_AGO, MONDAY, SWAP, TODAY, TUESDAY
from support.waiting import wait_until

LOAD = sql("^ANALYZE")  # the end of the load
WRITTEN = "public.written_since"


def write_since(shop):
    """What the application writes after a restore, and what a second restore would throw away."""
    shop.server.sql(f"CREATE TABLE {WRITTEN} ()", database=shop.database)


def assert_restored_once(shop):
    assert [(row["kind"], row["desired"]) for row in shop.history()] and len(shop.history()) == 1, shop.history()
    assert shop.server.one(f"SELECT to_regclass('{WRITTEN}')", database=shop.database), "what was written since is gone"


# --- the main job -----------------------------------------------------------------------------------------------------


def test_a_timestamp_that_kubectl_changes_is_restored_and_published(cluster_shop):
    shop = cluster_shop
    shop.state.data["desiredBackupTimestamp"] = MONDAY.at
    assert "serverside-applied" in shop.state.apply("--server-side")
    run = shop.run().expect(0, "Succeeded", "Succeeded")
    shop.assert_consistent(MONDAY.edition)
    assert (shop.state.applied(), shop.state.applied_manager()) == (MONDAY.at, MANAGER)
    assert shop.previous(), "the replaced database is kept"
    assert run.report["backup"].endswith(MONDAY.name)


def test_the_journal_can_be_read_with_jsonpath_and_waited_for(cluster_shop):
    """Flat keys, all of them texts."""
    shop = cluster_shop.restored_once()
    words = ["{.data.phase}", "{.data.result}", "{.data.reason}", "{.data.applied}", "{.data.previousDatabase}"]
    said = shop.namespace.kubectl("get", "configmap", shop.state.journal_name, "-o", f"jsonpath={'|'.join(words)}")
    assert said.split("|") == ["Idle", "Succeeded", "Succeeded", MONDAY.at, shop.previous()]
    shop.namespace.kubectl("wait", "--for=jsonpath={.data.phase}=Idle", f"configmap/{shop.state.journal_name}", "--timeout=1s")


def test_the_journal_says_whose_it_is(cluster_shop):
    """So that nobody takes it for a part of what he applies."""
    shop = cluster_shop.restored_once()
    metadata = shop.namespace.get("ConfigMap", shop.state.journal_name)["metadata"]
    assert metadata["labels"] == {"app.kubernetes.io/managed-by": MANAGER}
    assert "annotations" not in metadata and "ownerReferences" not in metadata
    assert {entry["manager"] for entry in metadata["managedFields"]} == {MANAGER}


def test_the_lease_is_held_while_the_run_works_and_given_back(cluster_shop, pg_proxy):
    shop = cluster_shop
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    seen = []
    proxy.before(LOAD, lambda *_: seen.append(shop.lease()))
    shop.state.desire(MONDAY.at)
    shop.run("--lease-duration", "30", environment={"POD_NAME": "restore-now-abcde"}).expect(0)
    assert seen[0]["holderIdentity"].startswith("restore-now-abcde_") and seen[0]["leaseDurationSeconds"] == 30
    assert not shop.holder() and shop.lease()["leaseTransitions"] == 0


def test_the_lease_is_renewed_while_the_run_works(cluster_shop, pg_proxy):
    shop = cluster_shop
    shop.flags = SHORT_LEASE
    proxy = pg_proxy(shop.server)
    shop.through(proxy)

    def watch(*_):
        first = shop.lease()
        wait_until(lambda: shop.lease()["renewTime"] != first["renewTime"], "the Lease is renewed", 5)
        assert shop.lease()["acquireTime"] == first["acquireTime"]

    proxy.before(LOAD, watch)
    shop.state.desire(MONDAY.at)
    shop.run().expect(0)


def test_events_tell_of_start_swap_and_success(cluster_shop):
    shop = cluster_shop.restored_once()
    events = shop.events()
    assert [(event["type"], event["reason"]) for event in events] == [("Normal", "RestoreStarted"), ("Normal", "DatabaseSwapped"), ("Normal", "RestoreSucceeded")]
    for event in events:
        assert event["reportingController"] == MANAGER and event["regarding"]["kind"] == "ConfigMap"
        assert event["regarding"]["uid"] == shop.namespace.get("ConfigMap", shop.state.name)["metadata"]["uid"]
    assert MONDAY.at in shop.namespace.kubectl("events", "--for", f"configmap/{shop.state.name}")


def test_events_tell_of_a_refusal(cluster_shop):
    shop = cluster_shop
    shop.state.set(desiredBackupTimestamp=MONDAY.at, lastAppliedTimestamp=None)
    shop.expect(12, "FirstContact")
    event = shop.events()[-1]
    assert (event["type"], event["reason"]) == ("Warning", "RestoreRefused")
    assert event["note"].startswith("FirstContact: ") and f'allowInitialRestore: "{MONDAY.at}"' in event["note"]
    shop.assert_untouched()


def test_events_tell_of_a_failure(cluster_shop):
    shop = cluster_shop
    shop.state.configure(verify=[{"sql": "SELECT false"}])
    shop.state.desire(MONDAY.at)
    shop.expect(10, "VerificationFailed")
    assert [(event["type"], event["reason"]) for event in shop.events()] == [("Normal", "RestoreStarted"), ("Warning", "RestoreFailed")]
    assert shop.events()[-1]["note"].startswith("VerificationFailed: ")
    shop.assert_untouched()
    shop.assert_cluster_at_rest()


def test_a_run_with_nothing_to_do_asks_two_questions_on_one_connection(cluster_shop, api_proxy):
    """No Lease, no event, no write, no database."""
    shop = cluster_shop.restored_once()
    shop.identify(url=api_proxy.url)
    before, events, mark = shop.state.snapshot(), len(shop.events()), shop.cluster.audit.mark()
    run = shop.run(environment={"PGPORT": "1"}).expect(0, "NothingToDo")
    assert {str(request) for request in shop.requests(mark)} == {
        f"get /api/v1/namespaces/{shop.namespace.name}/configmaps/{name} 200" for name in (shop.state.name, shop.state.journal_name)}
    assert (api_proxy.connections, len(api_proxy.requests)) == (1, 2), run
    assert shop.state.snapshot() == before and len(shop.events()) == events


def test_a_run_as_in_a_pod(cluster_shop):
    """With the variables and the folder that a pod finds, in the place of a kubeconfig."""
    shop = cluster_shop
    shop.in_cluster()
    shop.restored_once()
    shop.assert_consistent(MONDAY.edition)
    shop.run().expect(0, "NothingToDo")


def test_rollback_swaps_back_and_holds_the_timestamp(cluster_shop):
    shop = cluster_shop.restored_once()
    shop.run(command="rollback").expect(0)
    shop.assert_consistent(TODAY)
    shop.run().expect(0, "RolledBack")
    assert shop.journal()["held"] == MONDAY.at
    assert [row["kind"] for row in shop.history()] == ["restore", "rollback"]


def test_plan_and_status_change_nothing_and_take_no_lock(cluster_shop):
    shop = cluster_shop.restored_once()
    shop.state.desire(TUESDAY.at)
    before, lease, mark = shop.state.snapshot(), shop.lease(), shop.cluster.audit.mark()
    shop.run(command="plan").expect(9)
    shop.run(command="status").expect(0)
    assert shop.writes(mark) == [] and (shop.state.snapshot(), shop.lease()) == (before, lease)
    shop.assert_consistent(MONDAY.edition)


def test_another_name_of_the_state(cluster_shop):
    """--name: the journal and the Lease are named after it."""
    shop = cluster_shop
    shop.rename_state("orders")
    shop.restored_once()
    assert shop.journal()["result"] == "Succeeded" and shop.lease() is not None
    assert shop.namespace.get("ConfigMap", "restore-state-journal") is None


# --- 24: GitOps ---------------------------------------------------------------------------------------------------------


def revert(shop, how: str) -> str:
    """Applies the Git version, which holds an old lastAppliedTimestamp; returns who is to blame."""
    if how == "replace":
        shop.state.apply(command="replace", lastAppliedTimestamp=LONG_AGO)
        return "kubectl-replace"
    flags = {"client-side": [], "--force-conflicts": ["--server-side", "--force-conflicts"]}[how]
    shop.state.apply(*flags, lastAppliedTimestamp=LONG_AGO)
    return "kubectl" if flags else "kubectl-client-side-apply"


@pytest.mark.parametrize("how", ["client-side", "--force-conflicts", "replace"])
def test_the_git_version_applied_again_restores_nothing(cluster_shop, how):
    """Danger 24. Never: a second restore, over what was written since, because a sync tool wrote an old value back."""
    shop = cluster_shop.restored_once()
    write_since(shop)
    culprit = revert(shop, how)
    assert shop.state.applied() == LONG_AGO, "the tool has not set it back: this test tests nothing"
    run = shop.run().expect(0, "StateReverted")
    assert f"'{culprit}'" in run.warnings(), "the warning names who did it"
    assert (shop.state.applied(), shop.state.applied_manager()) == (MONDAY.at, MANAGER)
    assert [(event["type"], event["reason"]) for event in shop.events()].count(("Warning", "StateReverted")) == 1
    assert_restored_once(shop)
    shop.run().expect(0, "NothingToDo")
    shop.assert_cluster_at_rest()


def test_a_server_side_apply_that_does_not_force_is_refused(cluster_shop):
    shop = cluster_shop.restored_once()
    assert 'conflict with "restore-reconciler"' in shop.state.apply("--server-side", lastAppliedTimestamp=LONG_AGO)
    shop.run().expect(0, "NothingToDo")


@pytest.mark.parametrize("flags", [[], ["--server-side", "--force-conflicts"]], ids=["client-side", "server-side"])
def test_a_key_that_is_not_in_git_is_kept(cluster_shop, flags):
    shop = cluster_shop
    shop.state.apply(*flags)
    shop.restored_once()
    shop.state.apply(*flags)
    assert shop.state.applied() == MONDAY.at
    shop.run().expect(0, "NothingToDo")


def test_a_key_that_is_lost_is_written_again(cluster_shop):
    """Danger 24. `kubectl replace` with the key kept out of Git."""
    shop = cluster_shop.restored_once()
    write_since(shop)
    shop.state.apply(command="replace")
    assert shop.state.applied() is None
    shop.run().expect(0, "StateReverted")
    assert shop.state.published() == MONDAY.at
    assert_restored_once(shop)


def test_a_state_that_keeps_being_reverted_is_left_alone(cluster_shop):
    """Danger 24. Never: a war with a sync tool, every tick."""
    shop = cluster_shop.restored_once()
    write_since(shop)
    for _ in range(3):
        shop.state.set_applied(LONG_AGO)
        shop.run().expect(0, "StateReverted")
        assert shop.state.applied() == MONDAY.at
    shop.state.set_applied(LONG_AGO)
    for _ in range(2):
        mark = shop.cluster.audit.mark()
        shop.run().expect(0)
        assert shop.state.applied() == LONG_AGO
        assert f"patch configmaps/{shop.state.name}" not in shop.writes(mark)
    assert_restored_once(shop)


def test_a_write_by_somebody_at_the_moment_of_publishing_is_overtaken(cluster_shop, api_proxy):
    """The patch tests what was read. Never: a value that somebody wrote taken for ours."""
    shop = cluster_shop
    shop.identify(url=api_proxy.url)
    shop.state.desire(MONDAY.at)
    patches = lambda request: request.method == "PATCH" and request.path.endswith(f"/{shop.state.name}")  # noqa: E731
    api_proxy.on(patches, Call(lambda _: shop.state.set_applied("2024-12-05T00:00:00Z")))
    shop.run().expect(0)
    assert len([request for request in api_proxy.requests if patches(request)]) == 2, "the first one was refused"
    assert (shop.state.applied(), shop.state.applied_manager()) == (MONDAY.at, MANAGER)


# --- 8, 12, 17: what is lost, old or foreign -----------------------------------------------------------------------------


def test_a_configmap_deleted_and_made_again_restores_nothing(cluster_shop):
    """Danger 8. Never: a second restore because an object was made anew."""
    shop = cluster_shop.restored_once()
    write_since(shop)
    shop.namespace.delete("ConfigMap", shop.state.name)
    shop.run().expect(2, "StateMissing")
    shop.state.write()
    shop.run().expect(0)
    assert shop.state.published() == MONDAY.at
    assert_restored_once(shop)
    shop.run().expect(0, "NothingToDo")


def test_a_namespace_made_again_restores_nothing(cluster_shop):
    """Danger 8. The journal went with it; the database's own record decides."""
    shop = cluster_shop.restored_once()
    write_since(shop)
    shop.delete_namespace_and_make_it_again()
    run = shop.run().expect(0, "Republished")
    assert "StateReverted" not in run.text, "nobody has reverted anything"
    assert shop.state.published() == MONDAY.at
    assert_restored_once(shop)
    shop.state.desire(TUESDAY.at)
    shop.run().expect(0)
    shop.assert_consistent(TUESDAY.edition)


@pytest.mark.parametrize("also", ["nothing", "the key", "the Lease"])
def test_a_lost_journal_restores_nothing(cluster_shop, also):
    """Danger 8. Never: the same restore twice because a ConfigMap was lost."""
    shop = cluster_shop.restored_once()
    write_since(shop)
    shop.state.lose_journal()
    if also == "the key":
        shop.state.set_applied(None)
    if also == "the Lease":
        shop.namespace.delete("Lease", shop.lease_name)
    shop.run().expect(0)
    assert shop.state.applied() == MONDAY.at
    assert_restored_once(shop)
    assert shop.journal()["applied"] == MONDAY.at


def test_a_journal_that_is_deleted_while_a_run_works_is_written_anew(cluster_shop, pg_proxy):
    shop = cluster_shop
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    proxy.before(LOAD, lambda *_: shop.state.lose_journal())
    shop.state.desire(MONDAY.at)
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)
    assert shop.journal()["applied"] == MONDAY.at


def test_a_lost_control_database_restores_nothing(cluster_shop):
    """Never: the same restore again because the control database was dropped."""
    shop = cluster_shop.restored_once()
    write_since(shop)
    shop.server.drop_database(shop.control)
    shop.state.set_applied(None)
    run = shop.run().expect(0)
    assert "ControlDatabaseLost" in run.warnings()
    assert "ControlDatabaseLost" in shop.event_reasons()
    assert shop.state.published() == MONDAY.at
    assert shop.server.one(f"SELECT to_regclass('{WRITTEN}')", database=shop.database)


MARK = "INSERT INTO public.marks VALUES ('{}')"


def test_a_journal_from_an_old_backup_of_the_cluster_is_not_believed(cluster_shop, pg_proxy):
    """Danger 12. Never: the undo list of last month run today, because Velero brought the journal back."""
    shop = cluster_shop
    shop.flags = SHORT_LEASE
    shop.server.sql("CREATE TABLE public.marks (what text)", database=shop.database)
    shop.state.configure(preSteps=[{"sql": {"sql": MARK.format("away"), "on": "live", "undo": MARK.format("back")}}], postSteps=[{"sql": {"sql": "SELECT 1"}}])
    shop.state.desire(MONDAY.at)
    shop.run_killed(pg_proxy(shop.server), "before", SWAP)
    old = shop.journal()
    assert old["phase"] == "Swap" and old["undo"]
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)
    shop.server.sql("CREATE TABLE public.marks (what text)", database=shop.database)
    write_since(shop)
    shop.state.change_journal(**{key: None for key in shop.journal() if key not in old}, **old)
    run = shop.run()
    assert shop.server.sql("SELECT what FROM public.marks", database=shop.database) == [], run
    assert "JournalStale" in run.text
    assert_restored_once(shop)
    shop.server.sql("DROP TABLE public.marks", database=shop.database)
    shop.assert_cluster_at_rest()


def test_a_second_namespace_for_the_same_database_is_refused(cluster_shop, make_cluster_shop):
    """Danger 17. Never: two namespaces, or clusters, that restore one database in turn."""
    first = cluster_shop.restored_once()
    second = make_cluster_shop(in_new_namespace=True)
    second.state.configure(database=first.database, controlDatabase=first.control, backups=first.state.spec["backups"])
    second.state.desire(TUESDAY.at)
    second.expect(12, "ForeignState")
    note = second.events()[-1]["note"]
    assert first.fence()["state_ref"] in note and "takeOver" in note, "the event says what to write"
    first.assert_consistent(MONDAY.edition)
    second.state.set(takeOver=first.fence()["state_ref"])
    second.run().expect(0)
    first.assert_live_is(TUESDAY.edition)
    first.state.desire(TUESDAY.at, request="mine")
    first.expect(12, "ForeignState")


def test_the_state_is_known_by_cluster_namespace_and_name_however_it_is_reached(cluster_shop, api_proxy):
    """Danger 17. Never: ForeignState because somebody runs it from his desk, through another address."""
    shop = cluster_shop.restored_once()
    shop.identify(url=api_proxy.url)
    shop.state.desire(TUESDAY.at)
    shop.run().expect(0)
    shop.in_cluster()
    shop.state.desire(MONDAY.at, request="again")
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)


# --- 32: attempts ---------------------------------------------------------------------------------------------------------


def fail_once(shop, proxy):
    """A run that fails in a way that may pass: the archive is replaced while it is read."""
    other = shop.editions.archive(TUESDAY.edition)
    proxy.before(sql("CREATE DATABASE .*_rrs"), lambda *_: shop.put_backup(MONDAY, other.read_bytes() + b"x"))
    run = shop.run()
    shop.put_backup(MONDAY)
    proxy.reset()
    return run.expect(10, "BackupChanged")


def test_while_a_pause_runs_nothing_is_done_and_nobody_is_told_again(cluster_shop, pg_proxy):
    """Danger 32. Never: the same failing load every five minutes; the same event every five minutes."""
    shop = cluster_shop
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    fail_once(shop, proxy)
    assert shop.journal()["attempts"] == "1"
    events = len(shop.events())
    for _ in range(2):
        shop.expect(10, "RetryScheduled")
    assert len(shop.events()) == events, shop.event_reasons()
    shop.assert_untouched()
    shop.state.change_journal(notBefore="2024-01-01T00:00:00Z")  # the pause is over
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)


def test_attempts_are_used_up_until_something_new_is_asked_for(cluster_shop):
    """Danger 32. A failure that cannot pass: the next run's exit code is the last failure's, and no load begins."""
    shop = cluster_shop
    shop.state.configure(verify=[{"sql": "SELECT false"}])
    shop.state.desire(MONDAY.at)
    shop.expect(10, "VerificationFailed")
    first = shop.journal()["runId"]
    for _ in range(3):
        shop.expect(10, "AttemptsExhausted")
    assert shop.journal()["runId"] == first, "no new attempt began"
    assert len([event for event in shop.events() if "AttemptsExhausted" in event["note"]]) == 1, "said once"
    shop.assert_untouched()
    shop.state.configure(verify=None)
    shop.state.desire(MONDAY.at, request="without the check")
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)


# --- one at a time ----------------------------------------------------------------------------------------------------------


def test_of_twenty_runs_at_once_one_restores_and_the_others_end_well(cluster_shop, pg_proxy):
    """Never: two restores at once; a Job that fails because another one works."""
    shop = cluster_shop
    shop.flags = SHORT_LEASE
    proxy, stall = pg_proxy(shop.server), Stall()
    shop.through(proxy)
    proxy.before(LOAD, stall)
    shop.state.desire(MONDAY.at)
    running = [shop.start(*(["--exit-code-locked"] if number % 2 else [])) for number in range(20)]
    try:
        wait_until(lambda: sum(one.is_running() for one in running) == 1, "all but one have ended", 60)
        [winner] = [one for one in running if one.is_running()]
        stall.release()
        winner.wait().expect(0, "Succeeded")
        for number, one in enumerate(running):
            if one is not winner:
                one.wait().expect(3 if number % 2 else 0, "Locked")
    finally:
        for one in running:
            one.kill()
    assert len(shop.history()) == 1
    assert len([1 for reason in shop.event_reasons() if reason == "RestoreStarted"]) == 1
    shop.assert_consistent(MONDAY.edition)


def test_a_run_that_finds_another_at_work_says_who(cluster_shop, pg_proxy):
    shop = cluster_shop
    shop.flags = SHORT_LEASE
    proxy, stall = pg_proxy(shop.server), Stall()
    shop.through(proxy)
    trap = proxy.before(LOAD, stall)
    shop.state.desire(MONDAY.at)
    with shop.start(environment={"POD_NAME": "the-other-one"}) as running:
        trap.wait()
        run = shop.run("--exit-code-locked").expect(3, "Locked")
        assert "the-other-one_" in run.report["message"]
        stall.release()
        running.wait().expect(0)


# --- killed -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where, edition", [("load", TODAY), ("preSteps", TODAY), ("after the swap", MONDAY.edition)])
def test_after_a_kill_the_next_run_waits_for_the_lease_and_settles_it(cluster_shop, pg_proxy, where, edition):
    """Never: a dead run's lock for ever; two at work because one was thought dead; half a restore left."""
    shop = cluster_shop
    shop.flags = SHORT_LEASE
    away = "UPDATE shop.application SET is_away = {}"
    shop.state.configure(preSteps=[{"sql": {"sql": away.format("true"), "on": "live", "undo": away.format("false")}}],
                         postSteps=[{"sql": {"sql": away.format("false")}}])
    shop.state.desire(MONDAY.at)
    which = {"load": ("before", LOAD), "preSteps": ("after", sql("is_away = true")), "after the swap": ("after", SWAP)}[where]
    shop.run_killed(pg_proxy(shop.server), *which)
    dead = shop.holder()
    assert dead and shop.edition(shop.database) in (edition, None)
    run = shop.run().expect(0)
    assert run.seconds > 5, "it has not waited for the Lease to run out"
    assert shop.lease()["leaseTransitions"] == 1
    shop.assert_consistent(MONDAY.edition)
    assert len(shop.history()) == 1
    assert not shop.server.one("SELECT is_away FROM shop.application", database=shop.database)
    assert shop.state.published() == MONDAY.at


def test_a_terminated_run_undoes_what_it_did_and_gives_the_lease_back(cluster_shop, pg_proxy):
    """SIGTERM: a drained node, a deleted Job."""
    shop = cluster_shop
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    with shop.start() as running:
        proxy.before(LOAD, lambda *_: running.terminate())
        running.wait().expect(5, "Interrupted")
    shop.assert_untouched()
    shop.assert_cluster_at_rest()
    proxy.reset()
    assert shop.run().expect(0).seconds < 30, "nobody has to wait for a Lease"
    shop.assert_consistent(MONDAY.edition)
