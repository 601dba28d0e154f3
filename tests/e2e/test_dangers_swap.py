"""Dangers around the swap: names, rights, sessions, commits that hang, locks that are lost.

Each test fails without the rule that closes its danger; the numbers are those of docs/dangers.md.
"""

import os
import shutil
import signal
import threading

import psycopg
import pytest

from support import invariants
from support.fingerprint import fingerprint
from support.pg_proxy import CUT_ALL, Stall, cut, cut_all, kill, sql
from support.postgres import PASSWORD, Postgres, quote
from support.scenario import MONDAY, SWAP, TODAY, TUESDAY, Editions, Shop
from support.shop import APP, OWNER
from support.waiting import wait_until

LONGEST = "a_name_as_long_as_the_server_lets_it_be_so_that_nothing_fits_in"
assert len(LONGEST) == 63


def wait_for_collect(shop):
    """Waits until the server's clock has passed the expiry of every kept database."""
    expiry = "SELECT max(expires_at) FROM restore_reconciler.database"
    wait_until(lambda: shop.server.one(f"SELECT now() > ({expiry}) + interval '1 s'", database=shop.control), "the time of the kept databases is over")


# --- 1, 2: names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [LONGEST, "é" * 31, "x" * 39 + "é" * 12, 'with "quotes" and \'these\'', "new\nline", "100%s %d %n", "Upper Case", "--", "$$", " "],
                         ids=["63 bytes", "two-byte letters", "a letter across byte 40", "quotes", "newline", "percent", "upper case", "comment", "dollars", "a blank"])
def test_any_name_that_the_server_accepts_is_restored_rolled_back_and_collected(make_shop, name):
    """Danger 1. Never: a name cut to 63 bytes that then means the live database."""
    shop = make_shop(database=name)
    shop.state.configure(keepPrevious="1s")
    shop.restored_once()
    assert all(len(ours.encode()) <= 63 for ours in shop.ours()) and shop.previous()
    shop.state.desire(TUESDAY.at)
    shop.run().expect(0)
    wait_for_collect(shop)
    shop.run().expect(0)
    assert shop.previous() is not None
    shop.assert_consistent(TUESDAY.edition)
    shop.run(command="rollback").expect(0)
    shop.assert_consistent(TODAY)


def test_two_databases_with_equal_first_forty_bytes_do_not_meet(make_shop, servers):
    """Dangers 1, 2. Never: one application's undo dropped by the other one's run."""
    first, second = make_shop(database="z" * 40 + "_one"), make_shop(database="z" * 40 + "_two")
    second.state.configure(controlDatabase=first.control)
    second.control = first.control
    for shop in (first, second):
        shop.state.configure(keepPrevious="1s")
        for backup in (MONDAY, TUESDAY):
            shop.state.desire(backup.at)
            shop.run().expect(0)
    wait_for_collect(first)
    before = {row["name"] for row in first.registry().values() if row["target"] == second.database}
    first.run().expect(0)
    assert {row["name"] for row in first.registry().values() if row["target"] == second.database} == before
    assert before <= set(second.server.databases())
    for shop in (first, second):
        shop.assert_live_is(TUESDAY.edition)
        assert [row["kind"] for row in shop.history()] == ["restore", "restore"]


@pytest.mark.parametrize("kind", ["s", "p", "t"])
def test_a_database_with_a_name_of_our_form_is_not_ours(shop, kind):
    """Danger 2. Never: somebody's database dropped because of its name."""
    stranger = f"{shop.database}_rr{kind}abcdefghij23"
    shop.server.create_database(stranger, template=shop.editions.template(TUESDAY.edition))
    shop.state.configure(keepPrevious="1s")
    shop.state.desire(MONDAY.at)
    run = shop.run().expect(0)
    assert stranger in run.warnings(), "it is reported"
    shop.state.desire(TUESDAY.at)
    shop.run().expect(0)
    wait_for_collect(shop)
    shop.run().expect(0)
    assert shop.edition(stranger) == TUESDAY.edition
    shop.server.drop_database(stranger)
    shop.assert_consistent(TUESDAY.edition)


def test_a_registry_row_about_another_database_drops_nothing(shop):
    """Danger 2. Never: a name dropped that meant another database when it was written down."""
    shop.state.configure(keepPrevious="1s")
    shop.restored_once()
    shop.state.desire(TUESDAY.at)
    shop.run().expect(0)
    kept = next(row["name"] for row in shop.registry().values() if row["expires_at"])
    shop.server.drop_database(kept)
    shop.server.create_database(kept, template=shop.editions.template(TODAY))
    wait_for_collect(shop)
    shop.run().expect(0)
    assert shop.edition(kept) == TODAY, "the new database of that name is still there"


# --- 3, 4: commits -----------------------------------------------------------------------------------------------------------


def hang_commits(server: Postgres):
    """From now on every COMMIT waits for a standby that does not exist."""
    server.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    server.reload()
    wait_until(lambda: server.one("SHOW synchronous_standby_names") == "nobody", "commits hang")


def release_commits(server: Postgres):
    server.sql("ALTER SYSTEM RESET synchronous_standby_names")
    server.reload()


def test_a_swap_whose_commit_hangs_is_not_undone(shop, pg_proxy):
    """Danger 3. Never: staging dropped as "not swapped" that a moment later is live."""
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    try:
        trap = proxy.before(SWAP, lambda *_: hang_commits(shop.server))
        with shop.start() as running:
            trap.wait()
            hangs = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%RENAME TO%'"
            pid = wait_until(lambda: shop.server.one(hangs), "the swap waits for the standby")
            running.kill()
        proxy.reset()
        shop.run("--exit-code-locked").expect(3, "Locked")
        assert shop.server.one(hangs) == pid, "the old swap is still there"
        assert len([name for name in shop.ours() if "_rrs" in name]) == 1, "and so is its staging database"
    finally:
        release_commits(shop.server)
    shop.wait_for_locks()
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)
    assert len(shop.history()) == 1
    assert shop.state.applied() == MONDAY.at


if os.environ.get("TORTURE") == "full":

    @pytest.mark.timeout(200)
    def test_a_holder_of_the_lock_that_fell_silent_is_ended(shop):
        """Danger 3; takes more than a minute. Never: locked out for ever by the session of a machine that is gone."""
        shop.restored_once()
        shop.state.desire(TUESDAY.at)
        with shop.server.connect(shop.control, application_name="restore-reconciler/dead") as session:
            session.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [invariants.LOCK_CLASS, shop.database])
            shop.run("--exit-code-locked").expect(3, "Locked")
            silence = "SELECT now() - state_change > interval '65 s' FROM pg_stat_activity WHERE pid = %s"
            wait_until(lambda: shop.server.one(silence, session.info.backend_pid), "it has been silent for a minute", 90, every=1)
            shop.run("--exit-code-locked").expect(0)
            assert is_dead(session)
        shop.assert_consistent(TUESDAY.edition)


def is_dead(session: psycopg.Connection) -> bool:
    try:
        session.execute("SELECT 1")
        return False
    except psycopg.OperationalError:
        return True


def test_a_lost_answer_of_the_commit_is_settled_by_the_same_run(shop, pg_proxy):
    """Danger 3. Never: "failed" said about a swap that happened."""
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    trap = proxy.after(SWAP, cut)
    shop.run().expect(0)
    assert trap.fired.is_set()
    shop.assert_consistent(MONDAY.edition)
    assert len(shop.history()) == 1


def test_a_swap_that_never_reached_the_server_is_settled_as_not_done(shop, pg_proxy):
    """Danger 3. Never: "done" said about a swap that did not happen."""
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    proxy.before(SWAP, cut)
    run = shop.run()
    assert run.exit in (5, 10, 13), run
    shop.assert_untouched()
    shop.assert_consistent(TODAY)
    proxy.reset()
    shop.state.change_journal(notBefore="2024-01-01T00:00:00Z")
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)


def test_an_acknowledged_swap_survives_a_crash_though_commits_are_asynchronous(shop, pg_proxy):
    """Danger 4. Never: the application writes into the new database, and a crash brings the old one back."""
    with shop.server.settings(synchronous_commit="off", wal_writer_delay="10s"):
        shop.server.sql("ALTER ROLE postgres SET synchronous_commit = off")
        try:
            proxy = pg_proxy(shop.server)
            shop.through(proxy)
            shop.state.desire(MONDAY.at)

            def crash(proxy, message):
                kill(proxy, message)
                shop.server.stop("immediate")
                return CUT_ALL

            trap = proxy.after(SWAP, crash)
            with shop.start() as running:
                proxy.victim = running
                running.wait()
                trap.wait_until_over()
            shop.server.start()
            assert [row["kind"] for row in shop.history()] == ["restore"]
            shop.assert_live_is(MONDAY.edition)
            proxy.reset()
            shop.run().expect(0)
            shop.assert_consistent(MONDAY.edition)
        finally:
            shop.server.sql("ALTER ROLE postgres RESET synchronous_commit")


def test_a_promoted_replica_without_the_swap_is_noticed(workdir, s3, tmp_path, pg_proxy):
    """Danger 4. Never: the application brought back onto the old data as if it were restored, and that published."""
    server = Postgres(17, workdir / "failover")
    try:
        shop = Shop(server, Editions(server, workdir / "failover-editions"), s3.bucket("failover"), tmp_path / "shop", "app")
        shop.state.configure(postSteps=[{"sql": {"sql": "CREATE TABLE public.application_is_back ()"}}])
        shop.state.desire(MONDAY.at)
        replica = workdir / "replica"
        proxy = pg_proxy(server)
        shop.through(proxy)

        def copy(*_):
            server.client("pg_basebackup", "-D", replica, "-X", "fetch", "--checkpoint=fast", "--no-sync")

        def promote(*_):
            server.stop("immediate")
            shutil.rmtree(server.data)
            shutil.copytree(replica, server.data, symlinks=True)
            account = server.folder.stat()
            for path in (server.data, *server.data.rglob("*")):
                os.chown(path, account.st_uid, account.st_gid, follow_symlinks=False)
            server.data.chmod(0o700)
            server.start()

        proxy.before(SWAP, copy)
        proxy.after(SWAP, promote)
        run = shop.run()
        assert run.exit != 0, run
        assert shop.state.applied() is None, run
        assert server.one("SELECT to_regclass('public.application_is_back')", database="app") is None
        assert fingerprint(server, "app") == shop.editions.fingerprint(TODAY)
        proxy.reset()
        shop.state.change_journal(notBefore="2024-01-01T00:00:00Z")
        shop.run().expect(0)
        shop.wait_for_locks()
        assert server.one("SELECT shop.edition()", database="app") == MONDAY.edition
    finally:
        server.stop("immediate")


# --- 13, 14: the swap and everybody else ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["CREATE DATABASE .*_rrs", "^ANALYZE", "^BEGIN.*RENAME TO"])
def test_live_stays_open_until_the_swap(shop, pg_proxy, where):
    """Danger 13. Never: the live database closed by a run that then dies."""
    shop.state.desire(MONDAY.at)
    shop.run_killed(pg_proxy(shop.server), "before", sql(where))
    with shop.server.connect(shop.database, user=APP) as session:
        session.execute("UPDATE shop.users SET name = name")
    invariants.live_is_usable(shop.server, shop.database)
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)


def test_the_swap_is_one_message(shop, pg_proxy):
    """Danger 14. Never: a transaction that waits for us while it holds the names of both databases."""
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    shop.run().expect(0)
    renames = [message for message in proxy.messages if "RENAME TO" in message.sql]
    assert len(renames) == 1
    text = renames[0].sql
    assert text.startswith("BEGIN") and text.count("RENAME TO") == 2 and "lock_timeout" in text and "synchronous_commit" in text


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_frozen_program_keeps_nobody_waiting(shop, pg_proxy, when):
    """Danger 14. Never: an application that hangs for hours because our process was stopped at the wrong moment."""
    proxy, stall = pg_proxy(shop.server), Stall()
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    trap = getattr(proxy, when)(SWAP, stall)
    with shop.start() as running:
        proxy.victim = running
        trap.wait()
        running.signal(signal.SIGSTOP)
        with shop.server.connect(shop.database, connect_timeout=3, options="-c statement_timeout=3s") as session:
            assert session.execute("SELECT shop.edition()").fetchone()[0] == (TODAY if when == "before" else MONDAY.edition)
        running.signal(signal.SIGCONT)
        stall.release()
        running.wait().expect(0)
    shop.assert_consistent(MONDAY.edition)


def test_a_busy_application_that_reconnects_at_once_does_not_stop_the_swap(shop):
    """Danger 13. Never: a swap that needs a quiet database."""
    stop, errors, rounds = threading.Event(), [], []

    def busy():
        while not stop.is_set():
            try:
                with shop.server.connect(shop.database, user=APP) as session:
                    for _ in range(100):
                        session.execute("SELECT count(*) FROM shop.users")
                        rounds.append(1)
                        if stop.is_set():
                            break
            except psycopg.Error as error:
                errors.append(error)

    threads = [threading.Thread(target=busy) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        shop.state.desire(MONDAY.at)
        run = shop.run().expect(0)
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert rounds and errors, "the application was there, and its sessions were ended"
    assert run.report["swapSeconds"] < 5
    shop.assert_consistent(MONDAY.edition)


# --- 15: rights -----------------------------------------------------------------------------------------------------------------


def expect_finding(shop, *words: str):
    """Preflight refuses, names these words, and nothing was changed."""
    run = shop.run().expect(14)
    for word in words:
        assert word in run.text, f"{word!r} is not named\n{run}"
    assert shop.state.journal()["phase"] == "Idle"
    shop.assert_untouched()


def test_a_role_without_createdb_is_told_before_anything_happens(make_shop):
    """Danger 15. Never: rights that fail inside the swap, with the application away."""
    shop = make_shop(user="no_createdb")
    shop.server.create_database(shop.control, owner="no_createdb")
    shop.server.sql("ALTER ROLE no_createdb NOCREATEDB")
    shop.state.desire(MONDAY.at)
    expect_finding(shop, "CREATEDB")


@pytest.mark.parametrize("major", [14, 17])
def test_a_role_that_is_no_member_of_the_owner_is_told_before_anything_happens(make_shop, major):
    """Danger 15."""
    shop = make_shop(major=major, user="no_member")
    shop.server.sql(f"REVOKE {OWNER} FROM no_member")
    shop.state.desire(MONDAY.at)
    expect_finding(shop, OWNER)


def test_a_membership_that_does_not_inherit_is_told(make_shop):
    """Danger 15. SET alone is not enough for RENAME."""
    shop = make_shop(user="not_inheriting")
    shop.server.sql(f"REVOKE {OWNER} FROM not_inheriting; GRANT {OWNER} TO not_inheriting WITH INHERIT FALSE, SET TRUE")
    shop.state.desire(MONDAY.at)
    expect_finding(shop, OWNER)


def test_a_session_that_we_may_not_end_is_named(make_shop):
    """Danger 15. Never: a swap stopped by the monitoring, found out with the application away."""
    shop = make_shop(user="restorer")
    with shop.server.connect(shop.database, application_name="the monitoring") as session:
        shop.state.desire(MONDAY.at)
        expect_finding_in_use(shop, "the monitoring")
        assert session.execute("SELECT 1").fetchone() == (1,)


def expect_finding_in_use(shop, word: str):
    run = shop.run().expect(14)
    assert word in run.text, run
    assert shop.server.oid(shop.database) == shop.live_oid and not shop.ours()


def test_a_prepared_transaction_is_named(shop):
    """Danger 15. Nobody but its owner can end it."""
    shop.server.sql("CREATE TABLE public.t ()", database=shop.database)
    with shop.server.connect(shop.database) as session:
        session.execute("BEGIN; INSERT INTO public.t DEFAULT VALUES; PREPARE TRANSACTION 'of the ''application'''")
    shop.state.desire(MONDAY.at)
    run = shop.run().expect(14)
    assert "of the" in run.text
    assert shop.server.oid(shop.database) == shop.live_oid and not shop.ours()


@pytest.mark.parametrize("setting", ["log_min_duration_statement = 5", "myapp.flag = 'x'"])
def test_a_setting_that_cannot_be_carried_over_is_told_with_the_application_still_there(make_shop, setting):
    """Danger 15. Never: the swap fails, or the application comes back without its settings."""
    shop = make_shop(user="restorer")
    shop.server.sql("CREATE TABLE public.marks ()", database=shop.database)
    shop.server.sql(f"ALTER DATABASE {quote(shop.database)} SET {setting}")
    shop.state.configure(preSteps=[{"sql": {"sql": "DROP TABLE public.marks", "on": "live", "undo": ""}}])
    shop.state.desire(MONDAY.at)
    run = shop.run().expect(14)
    assert setting.split(" ")[0] in run.text
    assert shop.server.one("SELECT to_regclass('public.marks')", database=shop.database) is not None
    assert shop.server.oid(shop.database) == shop.live_oid and not shop.ours()


def test_best_effort_leaves_out_what_cannot_be_carried_over_and_says_so(make_shop):
    """Danger 15."""
    shop = make_shop(user="restorer")
    shop.server.sql(f"ALTER DATABASE {quote(shop.database)} SET log_min_duration_statement = 5")
    shop.server.sql(f"ALTER DATABASE {quote(shop.database)} SET work_mem = '7MB'")
    shop.state.configure(carryOver="best-effort")
    shop.state.desire(MONDAY.at)
    run = shop.run().expect(0)
    assert "log_min_duration_statement" in run.warnings()
    assert shop.server.one("SHOW work_mem", database=shop.database) == "7MB"
    shop.assert_consistent(MONDAY.edition)


# --- 16: invalid databases ----------------------------------------------------------------------------------------------------------


def test_a_half_dropped_database_is_not_swapped_in(shop):
    """Danger 16. Never: live becomes a database that nobody can connect to and only DROP helps."""
    shop.restored_once()
    shop.server.sql("UPDATE pg_database SET datconnlimit = -2 WHERE datname = %s", shop.previous())
    run = shop.run(command="rollback")
    assert run.exit not in (0, 70) and run.exit > 0, run
    shop.assert_live_is(MONDAY.edition)
    shop.server.sql("UPDATE pg_database SET datconnlimit = -1 WHERE datname = %s", shop.previous())


def test_an_interrupted_drop_is_finished(shop):
    """Danger 16. Never: half a database that stays for ever."""
    shop.restored_once()
    name = shop.previous()
    shop.server.sql("UPDATE pg_database SET datconnlimit = -2 WHERE datname = %s", name)
    shop.server.sql("UPDATE restore_reconciler.database SET state = 'dropping' WHERE name = %s", name, database=shop.control)
    shop.run(command="rollback").expect(12, "NothingKept")
    shop.state.change_journal(published="")  # so that the run looks
    shop.run().expect(0)
    assert shop.ours() == {} and shop.registry() == {}


# --- 18, 19: the lock -----------------------------------------------------------------------------------------------------------------


def test_a_pooler_in_between_is_refused(shop, pg_proxy):
    """Danger 18. Never: a lock that everybody holds, because a pooler shares its sessions."""
    proxy = pg_proxy(shop.server)
    proxy.poses_as_pooler = True
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    shop.expect(14, "TransactionPooler")
    shop.assert_untouched()


@pytest.mark.parametrize("where", ["^ANALYZE", "SAVEPOINT rehearsal", "^BEGIN.*RENAME TO"])
def test_a_run_that_lost_its_lock_does_nothing_more(shop, pg_proxy, where):
    """Danger 18. Never: a swap by a run that only believes it holds the lock."""
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    shop.state.desire(MONDAY.at)

    def end_the_lock_session(*_):
        shop.server.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND granted", invariants.LOCK_CLASS)
        shop.wait_for_locks()

    trap = proxy.before(sql(where), end_the_lock_session)
    run = shop.run()
    assert trap.fired.is_set()
    assert run.exit in (5, 10, 13), run
    shop.assert_untouched()
    shop.assert_consistent(TODAY)


def test_a_run_whose_lock_was_taken_by_another_one_leaves_everything_to_it(shop, pg_proxy, make_shop):
    """Danger 18. Never: two runs that both swap, or one that drops the other one's staging."""
    proxy, stall = pg_proxy(shop.server), Stall()
    shop.state.desire(MONDAY.at)
    trap = proxy.before(SWAP, stall)
    shop.through(proxy)
    with shop.start() as first:
        proxy.victim = first
        trap.wait()
        # Another run on a copy of the same state (another machine, the same folder): the first one's lock session dies.
        first.signal(signal.SIGSTOP)
        shop.server.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND granted", invariants.LOCK_CLASS)
        shop.wait_for_locks()
        shop.server.sql("UPDATE restore_reconciler.fence SET token = token + 1, run_id = 'another run'", database=shop.control)
        first.signal(signal.SIGCONT)
        stall.release()
        run = first.wait()
    assert run.exit in (5, 10, 13), run
    assert shop.server.oid(shop.database) == shop.live_oid
    assert shop.edition() == TODAY
    assert shop.state.applied() is None


def test_the_control_database_is_closed_to_everybody_else(shop):
    """Danger 19. Never: the lock taken, or the history written, by any role that can connect."""
    shop.restored_once()
    rows = shop.server.sql("SELECT has_database_privilege('public', oid, 'CONNECT'), has_database_privilege('public', oid, 'TEMP') FROM pg_database WHERE datname = %s", shop.control)
    assert rows == [(False, False)]
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        shop.server.connect(shop.control, user=APP)
    assert shop.server.one("SELECT has_schema_privilege('public', 'restore_reconciler', 'USAGE')", database=shop.control) is False


def test_a_control_database_laid_out_by_somebody_else_is_refused(make_shop):
    """Danger 19. Never: a trigger of somebody else's that runs with our rights."""
    shop = make_shop()
    shop.restored_once()
    shop.server.sql("CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'; "
                    "CREATE TRIGGER t BEFORE INSERT ON restore_reconciler.history FOR EACH ROW EXECUTE FUNCTION public.f()", database=shop.control)
    shop.state.desire(TUESDAY.at)
    shop.expect(4, "ControlDatabaseUnreadable")
    shop.assert_live_is(MONDAY.edition)


def test_an_open_control_database_is_warned_about(shop):
    """Danger 19."""
    shop.restored_once()
    shop.server.sql(f"GRANT CONNECT ON DATABASE {shop.control} TO PUBLIC")
    shop.state.desire(TUESDAY.at)
    assert shop.control in shop.run().expect(0).warnings()


# --- 23: time is the server's -----------------------------------------------------------------------------------------------------------


def test_expiry_is_decided_by_the_server(shop):
    """Danger 23. Never: the undo dropped early because a pod's clock is wrong."""
    shop.state.configure(keepPrevious="2h")
    shop.restored_once()
    shop.state.desire(TUESDAY.at)
    shop.run().expect(0)
    shop.state.change_journal(collectAfter="2024-01-01T00:00:00Z")  # as if our clock had jumped years ahead
    shop.run().expect(0)
    assert len(shop.ours()) == 2


# --- 29: the swap is tried again ------------------------------------------------------------------------------------------------------------


def test_a_grant_at_the_same_moment_does_not_fail_the_swap(shop, pg_proxy):
    """Danger 29. Never: "tuple concurrently updated" told to an operator, with the application away."""
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    other = shop.server.connect()

    def grant_and_commit_late(*_):
        other.execute(f"BEGIN; GRANT CONNECT ON DATABASE {quote(shop.database)} TO {APP}")
        waits = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%RENAME TO%' AND wait_event_type = 'Lock'"

        def commit():
            wait_until(lambda: shop.server.sql(waits), "the swap waits for the grant")
            other.execute("COMMIT")

        threading.Thread(target=commit).start()

    trap = proxy.before(SWAP, grant_and_commit_late)
    shop.run().expect(0)
    assert trap.fired.is_set()
    shop.assert_consistent(MONDAY.edition)
    other.close()


def test_a_swap_that_cannot_be_done_brings_the_application_back(shop, pg_proxy):
    """Danger 29. Never: an application away because something sits in the database for good."""
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    shop.server.sql("CREATE TABLE public.marks (what text)", database=shop.database)
    shop.state.configure(preSteps=[{"sql": {"sql": "INSERT INTO public.marks VALUES ('away')", "on": "live", "undo": "INSERT INTO public.marks VALUES ('back')"}}])
    shop.state.desire(MONDAY.at)

    def prepare(*_):
        with shop.server.connect(shop.database) as session:
            session.execute("BEGIN; CREATE TABLE public.t (); PREPARE TRANSACTION 'in the way'")

    proxy.before(SWAP, prepare)
    shop.expect(10, "SwapFailed")
    assert shop.server.sql("SELECT what FROM public.marks", database=shop.database) == [("away",), ("back",)]
    assert shop.server.oid(shop.database) == shop.live_oid and not shop.ours()
    shop.server.sql("ROLLBACK PREPARED 'in the way'", database=shop.database)
    assert sum("RENAME TO" in message.sql for message in proxy.messages) == 3


# --- 30: replication --------------------------------------------------------------------------------------------------------------------------


def test_a_logical_slot_on_live_is_named_and_nothing_done(shop):
    """Danger 30. Never: a slot that goes along with the replaced database and holds WAL until the disk is full."""
    with shop.server.connect(shop.database) as session:
        session.execute("SELECT pg_create_logical_replication_slot('the_slot', 'pgoutput')")
    shop.state.desire(MONDAY.at)
    expect_finding(shop, "the_slot")
    shop.server.sql("SELECT pg_drop_replication_slot('the_slot')")


def test_a_subscription_on_live_is_named_and_nothing_done(shop):
    """Danger 30."""
    shop.server.sql("CREATE SUBSCRIPTION the_subscription CONNECTION 'host=nowhere.invalid' PUBLICATION p WITH (connect = false)", database=shop.database)
    shop.state.desire(MONDAY.at)
    run = shop.run().expect(14)
    assert "the_subscription" in run.text
    assert shop.server.oid(shop.database) == shop.live_oid and not shop.ours()
    shop.server.sql("ALTER SUBSCRIPTION the_subscription SET (slot_name = NONE); DROP SUBSCRIPTION the_subscription", database=shop.database)


def test_plan_and_collect_tell_the_size_of_what_is_kept(shop):
    """Danger 30."""
    shop.restored_once()
    shop.state.desire(TUESDAY.at)
    plan = shop.run("--output", "text", command="plan")
    assert shop.previous() in plan.stdout and "MiB" in plan.stdout, plan
    assert f'"{shop.previous()}"' in shop.run(command="collect").expect(0).stdout


# --- the server goes away ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["CREATE DATABASE .*_rrs", "^CREATE TABLE", "^ANALYZE", "SAVEPOINT rehearsal"])
def test_a_cut_network_before_the_swap_changes_nothing(shop, pg_proxy, where):
    """Never: a half-loaded database left, or taken for whole."""
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    proxy.before(sql(where), cut_all)
    run = shop.run()
    assert run.exit in (4, 5, 10, 13), run
    shop.wait_for_locks()
    shop.assert_consistent(TODAY, allow_staging=True)
    proxy.reset()
    shop.state.change_journal(notBefore="2024-01-01T00:00:00Z")
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)


@pytest.mark.parametrize("how", ["fast", "immediate"])
@pytest.mark.parametrize("when, where", [("before", "^CREATE TABLE"), ("before", "^ANALYZE"), ("before", "^BEGIN.*RENAME TO"), ("after", "^BEGIN.*RENAME TO")])
def test_a_restarted_server_leaves_live_old_or_new(shop, pg_proxy, how, when, where):
    """Never: anything in between, or a run that has to be repaired by hand."""
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    trap = getattr(proxy, when)(sql(where), lambda *_: shop.server.restart(how))
    shop.run()
    assert trap.fired.is_set()
    shop.wait_for_locks()
    assert shop.edition() == (MONDAY.edition if when == "after" else TODAY)
    proxy.reset()
    shop.state.change_journal(notBefore="2024-01-01T00:00:00Z")
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)
    assert len(shop.history()) == 1


def test_wrong_password_is_not_tried_for_ever(shop):
    """A login that fails is an answer, not an outage."""
    shop.state.desire(MONDAY.at)
    assert PASSWORD not in shop.run(environment={"PGPASSWORD": "not the password"}).text
