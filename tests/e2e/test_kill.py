"""Killed anywhere, finished or undone by the next run.

A run is watched once, to learn which calls it makes to the database. Then it is killed before and after each of them:
before the server hears of it, and after the server has answered but before the program knows. Whatever happened, the
live database must be entirely old or entirely new at once, the next run must end well, and nothing may be left over:
no staging database, no lock, no application that stays away, no second restore.

By default a sample of all points, chosen by a seed that is printed (and in the name of each failure): TORTURE_SEED=WORD
repeats it, TORTURE=full takes every point.
"""

import os
import random

import pytest

from support.pg_proxy import kill
from support.scenario import MONDAY, SWAP, TODAY, TUESDAY

SEED = os.environ.get("TORTURE_SEED", "1")
IS_FULL = os.environ.get("TORTURE") == "full"
SHARES = 64 if IS_FULL else 2  # tests of one scenario, so that two workers have something to share
POINTS = None if IS_FULL else 4  # of each test

AWAY = "UPDATE shop.application SET is_away = {}"


def prepare(shop, scenario: str):
    """Brings the shop to where the scenario's run begins; returns the command and the editions that are allowed."""
    shop.state.configure(jobs=1, keepPrevious="1s",
                         preSteps=[{"sql": {"sql": AWAY.format("true"), "on": "live", "undo": AWAY.format("false")}}],
                         postSteps=[{"sql": {"sql": AWAY.format("false")}}],
                         smoke=[{"sql": "SELECT count(*) > 0 FROM shop.users"}])
    shop.state.desire(MONDAY.at)
    if scenario == "first restore":
        return "run", TODAY, MONDAY.edition
    shop.run().expect(0)
    if scenario == "rollback":
        return "rollback", MONDAY.edition, TODAY
    shop.state.desire(TUESDAY.at)
    if scenario == "second restore":
        return "run", MONDAY.edition, TUESDAY.edition
    raise ValueError(scenario)


def prepare_recovery(shop, proxy, when: str):
    """A run that was killed at its swap; the scenario's run is the one that recovers it."""
    prepare(shop, "second restore")
    shop.run_killed(proxy, when, SWAP)
    return "run", MONDAY.edition, TUESDAY.edition


SCENARIOS = {
    "first restore": lambda shop, proxy: prepare(shop, "first restore"),
    "second restore": lambda shop, proxy: prepare(shop, "second restore"),
    "rollback": lambda shop, proxy: prepare(shop, "rollback"),
    "recovery before the swap": lambda shop, proxy: prepare_recovery(shop, proxy, "before"),
    "recovery after the swap": lambda shop, proxy: prepare_recovery(shop, proxy, "after"),
}


@pytest.fixture(scope="module")
def watched():
    """How many calls the run of each scenario makes; filled by the first test that asks."""
    return {}


def count_calls(make_shop, pg_proxy, scenario: str) -> int:
    shop = make_shop(store="file")
    proxy = pg_proxy(shop.server)
    command, _, new = SCENARIOS[scenario](shop, proxy)
    proxy.reset()
    shop.through(proxy)
    shop.run(command=command).expect(0)
    shop.assert_consistent(new)
    return len(proxy.messages)


def choose(calls: int, scenario: str) -> list[tuple[int, str]]:
    """The points of all shares, in an order that depends on the seed only."""
    points = [(number, when) for number in range(1, calls + 1) for when in ("before", "after")]
    random.Random(f"{SEED}/{scenario}").shuffle(points)
    return points if IS_FULL else points[: SHARES * POINTS]


@pytest.mark.timeout(3600 if IS_FULL else 300)
@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_run_killed_at_any_call_is_finished_or_undone(make_shop, pg_proxy, watched, scenario, share):
    """Never: a database that is neither old nor new; something left over; a restore that has to be repaired by hand."""
    if scenario not in watched:
        watched[scenario] = count_calls(make_shop, pg_proxy, scenario)
    points = choose(watched[scenario], scenario)[share::SHARES]
    print(f"TORTURE_SEED={SEED} scenario={scenario!r} calls={watched[scenario]} points={points}")
    missed = [point for point in points if not kill_at(make_shop, pg_proxy, scenario, *point)]
    # A call more or less (a ping, a session that was ended) moves the last points beyond the end; not more than those.
    assert len(missed) <= max(1, len(points) // 4), f"not reached: {missed}"


WRITES = "rename,renameat,renameat2,fsync,fdatasync"  # how the state directory is written


def count_writes(make_shop, pg_proxy, tmp_path, scenario: str) -> int:
    shop = make_shop(store="file")
    command, _, _ = SCENARIOS[scenario](shop, pg_proxy(shop.server))
    trace = tmp_path / "trace"
    shop.run(command=command, wrapper=["strace", "-f", "-o", str(trace), "-e", f"trace={WRITES}"]).expect(0)
    return sum("(" in line for line in trace.read_text().splitlines())


@pytest.mark.timeout(3600 if IS_FULL else 300)
@pytest.mark.parametrize("scenario", ["second restore", "rollback", "recovery after the swap"])
def test_a_run_killed_while_it_writes_its_state_is_finished_or_undone(make_shop, pg_proxy, tmp_path, scenario):
    """Before each rename and each sync of a file. Never: a journal that is half written, or ahead of the database."""
    writes = count_writes(make_shop, pg_proxy, tmp_path, scenario)
    assert writes > 10
    points = list(range(1, writes + 1))
    if not IS_FULL:
        points = random.Random(f"{SEED}/{scenario}").sample(points, 3)
    print(f"TORTURE_SEED={SEED} scenario={scenario!r} writes={writes} points={points}")
    for point in points:
        shop = make_shop(store="file")
        command, old, new = SCENARIOS[scenario](shop, pg_proxy(shop.server))
        strike = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={WRITES}", "-e", f"inject={WRITES}:signal=KILL:when={point}"]
        killed = shop.run(command=command, wrapper=strike)
        shop.wait_for_locks()
        assert killed.exit in (-9, 0), killed
        finish(shop, scenario, command, old, new, f"TORTURE_SEED={SEED}, killed at write {point} of {scenario!r}\n{killed}")


def kill_at(make_shop, pg_proxy, scenario: str, number: int, when: str) -> bool:
    """One point. False: the run had ended before it came there."""
    shop = make_shop(store="file")
    proxy = pg_proxy(shop.server)
    command, old, new = SCENARIOS[scenario](shop, proxy)
    proxy.reset()
    shop.through(proxy)
    trap = getattr(proxy, when)(number, kill)
    with shop.start(command=command) as running:
        proxy.victim = running
        killed = running.wait()
    if not trap.reached.is_set():
        killed.expect(0)
        return False
    told = f"TORTURE_SEED={SEED}, killed {when} {trap.message} of {scenario!r}\n{killed}\n{proxy.describe()}"
    proxy.reset()
    shop.wait_for_locks()

    finish(shop, scenario, command, old, new, told)
    return True


def finish(shop, scenario: str, command: str, old: int, new: int, told: str):
    """The next run, and the one after it, and what must be true then."""
    live = shop.server.one("SELECT edition FROM shop.edition() edition", database=shop.database)
    assert live in (old, new), f"live is edition {live} right after the kill: {told}"

    for attempt in range(4):
        run = shop.run()
        if run.exit == 0 and run.report.get("result") in ("NothingToDo", "RolledBack"):
            break
        assert run.exit == 0, f"run {attempt + 1} after the kill: {run}\n{told}"
    else:
        raise AssertionError(f"it does not come to rest: {run}\n{told}")
    try:
        expected = (old, new) if command == "rollback" else (new,)
        shop.assert_consistent(*expected)
        assert shop.server.one("SELECT is_away FROM shop.application", database=shop.database) is False
        restores = [row for row in shop.history() if row["kind"] == "restore"]
        assert len(restores) == (1 if scenario in ("first restore", "rollback") else 2), restores
        if command == "run":
            assert shop.state.applied() == shop.state.data["desiredBackupTimestamp"]
    except AssertionError as error:
        raise AssertionError(f"{error}\n{told}") from None
    for name in shop.server.databases():
        if not name.startswith("template_"):
            shop.server.drop_database(name)
