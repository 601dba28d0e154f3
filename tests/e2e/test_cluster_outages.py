"""What goes away while a restore works: the API server, etcd, a token, rights, the process itself for a while.

A restore that has begun is patient: it waits for the API server, and what the database does meanwhile is finished. Where
it cannot go on, everything is undone or left to the next run, which settles it. E2E_OUTAGE_SECONDS=120 makes the outages
as long as a control plane's upgrade takes.
"""

import itertools
import os
import signal
import threading
import time
import zlib

import pytest

from support.cluster_shop import ACCOUNT, SHORT_LEASE, shipped_rules
from support.fault_proxy import Answer, HangUp, LoseAnswer
from support.pg_proxy import Stall, sql
from support.scenario import MONDAY, SWAP, TUESDAY
from support.waiting import wait_until
from testbed.api import Api, ApiError

OUTAGE_SECONDS = int(os.environ.get("E2E_OUTAGE_SECONDS", "8"))  # longer than the lease
IS_FULL = os.environ.get("TORTURE") == "full"
SEED = os.environ.get("TORTURE_SEED", "1")
LOAD = sql("^ANALYZE")  # the end of the load


class Outage:
    """An action of pg_proxy: components go away now, and come back by themselves after a while."""

    def __init__(self, cluster, *components: str, how: str = "killed"):
        self._cluster, self._components, self._how = cluster, components, how
        self._thread = threading.Thread(target=self._bring_back)
        self.is_over = threading.Event()

    def __call__(self, *_):
        if self._how == "killed":
            self._cluster.stop(*self._components, grace=0)
        else:
            self._cluster.pause(*self._components)
        self._thread.start()

    def _bring_back(self):
        time.sleep(OUTAGE_SECONDS)  # how long it lasts, not what anybody waits for
        self.is_over.set()  # before it is ready: nobody answers earlier
        if self._how == "killed":
            self._cluster.start(*self._components)
        else:
            self._cluster.resume(*self._components)

    def join(self):
        self._thread.join(60)
        wait_until(self._cluster.api.answers, "the API server is back", 60)


@pytest.fixture
def shop(cluster_shop):
    cluster_shop.flags = SHORT_LEASE
    cluster_shop.state.desire(MONDAY.at)
    return cluster_shop


KINDS = ["kube-apiserver killed", "kube-apiserver frozen", "etcd killed"]
LONG = [(when, what) for when in ("in the load", "at the swap") for what in KINDS]
SHORT = [("in the load", "kube-apiserver killed"), ("in the load", "etcd killed"), ("at the swap", "kube-apiserver killed"), ("at the swap", "kube-apiserver frozen")]


@pytest.mark.timeout(120 + 2 * OUTAGE_SECONDS)
@pytest.mark.parametrize("when, what", LONG if IS_FULL else SHORT)
def test_an_outage_of_the_control_plane_is_waited_for(shop, pg_proxy, when, what):
    """Never: a restore of hours given up because a control plane was upgraded; a swap begun by one whose lease nobody can
    see; a swap that was begun broken off because the API server did not answer."""
    component, how = what.split()
    proxy, outage = pg_proxy(shop.server), Outage(shop.cluster, component, how=how)
    shop.through(proxy)
    begun_early, done_early = [], []
    if when == "in the load":
        proxy.before(LOAD, outage)
        proxy.before(SWAP, lambda *_: begun_early.append(not outage.is_over.is_set()))
    else:
        proxy.before(SWAP, outage)
        proxy.after(SWAP, lambda *_: done_early.append(not outage.is_over.is_set()))
    with shop.start() as running:
        run = running.wait(90 + OUTAGE_SECONDS)
    outage.join()
    run.expect(0, "Succeeded")
    assert (begun_early, done_early) == (([False], []) if when == "in the load" else ([], [True]))
    shop.assert_consistent(MONDAY.edition)
    assert shop.state.published() == MONDAY.at and len(shop.history()) == 1


# --- answers that are lost, one at a time -------------------------------------------------------------------------------


def is_write(request) -> bool:
    return request.method in ("PUT", "PATCH", "POST") and "selfsubject" not in request.target


FAULTS = [LoseAnswer(), HangUp(), Answer(503), Answer(500), Answer(429, headers={"Retry-After": "1"})]


@pytest.mark.timeout(600 if IS_FULL else 180)
def test_any_one_write_that_fails_once_is_tried_again(shop, api_proxy):
    """Writes of a run, in runs one after another; by default a third of them, another one for each seed. Never: an answer that is lost taken for a failure."""
    shop.identify(url=api_proxy.url)
    shop.state.configure(keepPrevious="1s", onRevert="load")
    shop.run().expect(0)
    count = len([request for request in api_proxy.requests if is_write(request)])
    assert count > 8
    places = range(count - 4)  # the last ones are there or not: renewals of the Lease
    chosen = itertools.product(places, FAULTS) if IS_FULL else zip(places[zlib.crc32(SEED.encode()) % 3::3], itertools.cycle(FAULTS))
    for number, (skip, fault) in enumerate(chosen):
        wanted = (TUESDAY, MONDAY)[number % 2]
        shop.state.desire(wanted.at, request=f"with fault {number}")
        api_proxy.reset()
        api_proxy.on(is_write, fault, skip=skip)
        run = shop.run().expect(0, "Succeeded")
        assert any(request.fault for request in api_proxy.requests), run
        shop.assert_consistent(wanted.edition)


# --- tokens and rights ---------------------------------------------------------------------------------------------------


def bearer(request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")


UNAUTHORIZED = Answer(401, b'{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}',
                      {"Content-Type": "application/json"})


@pytest.mark.parametrize("how", ["in a pod", "kubeconfig"])
def test_a_token_that_is_replaced_while_a_run_works_is_read_again(shop, pg_proxy, api_proxy, how):
    """The kubelet writes a new one when 80 % of its hour are over. Never: a restore of two hours that ends with 401."""
    old = shop.token()
    if how == "in a pod":
        folder = shop.in_cluster()
        folder.replace(token=old)
        shop.reconciler.environment["KUBERNETES_SERVICE_PORT"] = str(api_proxy.port)
        put = lambda token: folder.replace(token=token)  # noqa: E731
    else:
        path = shop.token_file(url=api_proxy.url)
        put = path.write_text
        put(old)
    new = wait_until(lambda: (made := shop.token()) != old and made, "another token")
    proxy = pg_proxy(shop.server)
    shop.through(proxy)

    def rotate(*_):
        put(new)
        api_proxy.on(lambda request: bearer(request) == old, UNAUTHORIZED, times=None)

    proxy.before(LOAD, rotate)
    shop.run().expect(0, "Succeeded")
    assert {bearer(request) for request in api_proxy.requests} == {old, new}
    shop.assert_consistent(MONDAY.edition)


def is_refused(api, namespace) -> bool:
    try:
        api.get("ConfigMap", "restore-state", namespace.name)
        return False
    except ApiError as error:
        return error.status in (401, 403)


def refuse(shop, kind: str, name: str):
    """Deletes an object of RBAC, or the account, and returns when the API server acts on it: it remembers tokens for 10 s."""
    api = Api(shop.cluster.url, shop.cluster.ca, token=shop.current_token)
    shop.namespace.delete(kind, name)
    wait_until(lambda: is_refused(api, shop.namespace), "the API server refuses", 30)


@pytest.mark.parametrize("kind, reason", [("ServiceAccount", "Unauthenticated"), ("RoleBinding", "Forbidden")])
def test_rights_that_go_in_the_load_end_the_run_and_the_next_one_settles_it(shop, pg_proxy, kind, reason):
    """Never: a swap by one whose rights were taken; anything left in the server."""
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    proxy.before(LOAD, lambda *_: refuse(shop, kind, ACCOUNT))
    run = shop.run().expect(10, reason)
    assert "hint" in run.text
    assert shop.server.oid(shop.database) == shop.live_oid and shop.ours() == {}, run
    proxy.reset()
    shop.use_rules(shipped_rules())
    shop.identify()
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)


def test_rights_that_go_at_the_swap_leave_the_publishing_to_the_next_run(shop, pg_proxy):
    """Never: restored twice, because nobody could write down that it was done."""
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    proxy.before(SWAP, lambda *_: refuse(shop, "RoleBinding", ACCOUNT))
    shop.run().expect(10, "Forbidden")
    shop.assert_live_is(MONDAY.edition)
    assert shop.state.published() is None
    proxy.reset()
    shop.use_rules(shipped_rules())
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)
    assert shop.state.published() == MONDAY.at and len(shop.history()) == 1


# --- asleep ----------------------------------------------------------------------------------------------------------------


def freeze(proxy, _message):
    proxy.victim.signal(signal.SIGSTOP)


def run_until_not_locked(shop, seconds: float = 60):
    """A dead or frozen holder of the database lock is known as such after a while; until then a run finds it locked."""
    return wait_until(lambda: (run := shop.run()).report.get("reason") != "Locked" and run, "a run gets the lock", seconds)


@pytest.mark.parametrize("where", ["in the load", "at the swap"])
def test_one_that_slept_past_its_lease_changes_nothing_when_it_wakes(shop, pg_proxy, where):
    """Danger 26. Never: two at work; what the next run did undone by one that does not know of it."""
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    trap = proxy.before(LOAD if where == "in the load" else SWAP, freeze)
    with shop.start() as sleeper:
        proxy.victim = sleeper
        trap.wait()
        shop.reconciler.environment["PGPORT"] = str(shop.server.port)
        run_until_not_locked(shop).expect(0)
        shop.assert_consistent(MONDAY.edition)
        shop.state.desire(TUESDAY.at)
        shop.run().expect(0)
        before, mark, oid = shop.state.snapshot(), shop.cluster.audit.mark(), shop.server.oid(shop.database)
        sleeper.signal(signal.SIGCONT)
        sleeper.wait().expect(13, "FenceLost")
    assert [write for write in shop.writes(mark) if "events/" not in write] == [], "it has written to the cluster"
    assert shop.state.snapshot() == before and shop.server.oid(shop.database) == oid
    shop.assert_consistent(TUESDAY.edition)
    assert len(shop.history()) == 2


def test_one_that_slept_and_was_not_missed_goes_on(shop, pg_proxy):
    """A node that was paused for longer than the lease, with nobody else about: it renews, and nobody had it in between."""
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    trap = proxy.before(LOAD, freeze)
    with shop.start() as sleeper:
        proxy.victim = sleeper
        trap.wait()
        time.sleep(8)  # longer than the lease
        sleeper.signal(signal.SIGCONT)
        sleeper.wait().expect(0, "Succeeded")
    shop.assert_consistent(MONDAY.edition)
