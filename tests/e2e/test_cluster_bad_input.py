"""Bad input that a cluster can give: exit code, reason, what to do about it, nothing changed. Never silence."""

import contextlib
import copy
import itertools
import threading

import pytest

from support.background import free_port
from support.cluster_shop import ACCOUNT, SHORT_LEASE, shipped_rules
from support.fault_proxy import Answer, CutBody, HangUp, Stall
from support.scenario import MONDAY, TODAY
from support.waiting import wait_until


@pytest.fixture
def shop(cluster_shop):
    cluster_shop.state.desire(MONDAY.at)
    return cluster_shop


def assert_nothing_done(shop):
    shop.assert_untouched()
    shop.assert_cluster_at_rest()


# --- what is not there ------------------------------------------------------------------------------------------------


def test_a_missing_configmap(shop):
    shop.namespace.delete("ConfigMap", shop.state.name)
    run = shop.run().expect(2, "StateMissing")
    assert f"{shop.namespace.name}/restore-state" in run.text and "kubectl" in run.text
    assert_nothing_done(shop)


def test_a_missing_namespace(shop):
    """As somebody who may see that there is none."""
    run = shop.run("--namespace", "nowhere", "--kubeconfig", shop.cluster.kubeconfig).expect(2, "StateMissing")
    assert '"nowhere" not found' in run.report["message"] and "--namespace" in run.report["message"]
    assert_nothing_done(shop)


def test_a_namespace_that_is_none_of_ours(shop):
    run = shop.run("--namespace", "default").expect(14, "Forbidden")
    assert "'default'" in run.report["message"] and "add to the rules of the Role" in run.report["message"]
    assert_nothing_done(shop)


@pytest.mark.parametrize("key", ["desiredBackupTimestamp", "restore.yaml"])
def test_a_missing_key(shop, key):
    shop.namespace.patch("ConfigMap", shop.state.name, {"data": {key: None}})
    run = shop.expect(2, "InvalidConfiguration")
    assert key in run.report["message"]
    assert_nothing_done(shop)


def test_a_configmap_without_data(shop):
    shop.namespace.patch("ConfigMap", shop.state.name, {"data": None})
    shop.run().expect(2, "InvalidConfiguration")
    assert_nothing_done(shop)


def test_a_key_that_is_nearly_right(shop):
    shop.namespace.patch("ConfigMap", shop.state.name, {"data": {"desiredBackupTimestamps": MONDAY.at}})
    run = shop.run().expect(2, "InvalidConfiguration")
    assert "did you mean 'desiredBackupTimestamp'" in run.report["message"]
    assert_nothing_done(shop)


def test_an_immutable_configmap_is_found_before_anything_is_changed(shop):
    """Never: a restore whose result cannot be written down."""
    shop.namespace.patch("ConfigMap", shop.state.name, {"immutable": True})
    assert "is immutable" in shop.run().expect(2, "InvalidConfiguration").report["message"]
    assert_nothing_done(shop)


@contextlib.contextmanager
def being_deleted(namespace, name: str):
    """Within the block the ConfigMap is about to go, and something holds it back."""
    namespace.patch("ConfigMap", name, {"metadata": {"finalizers": ["test.example/hold"]}})
    namespace.delete("ConfigMap", name)
    yield
    namespace.patch("ConfigMap", name, {"metadata": {"finalizers": None}})


def test_a_configmap_that_is_being_deleted(shop):
    with being_deleted(shop.namespace, shop.state.name):
        assert "being deleted" in shop.run().expect(2, "StateMissing").text
        assert_nothing_done(shop)


# --- who we are -------------------------------------------------------------------------------------------------------


def test_an_api_server_that_nobody_reaches(shop):
    port = free_port()
    shop.identify(url=f"https://127.0.0.1:{port}")
    run = shop.run().expect(4, "ApiUnavailable")
    assert str(port) in run.report["message"]
    assert run.seconds < 45, "it has waited twice"
    assert_nothing_done(shop)
    assert shop.journal() == {} and shop.lease() is None


def test_an_api_server_with_an_unknown_certificate(shop, authority):
    shop.identify(ca=authority.ca)
    run = shop.run().expect(4, "TlsFailed")
    assert run.seconds < 20 and "certificate-authority" in run.text
    assert_nothing_done(shop)


@pytest.mark.parametrize("token", ["garbage", "eyJhbGciOiJub25lIn0.e30."], ids=["garbage", "unsigned"])
def test_a_token_that_is_none(shop, token):
    shop.token_file().write_text(token)
    run = shop.run().expect(4, "Unauthenticated")
    assert token not in run.text, "a token is in the log"
    assert_nothing_done(shop)


def test_an_empty_token_file(shop):
    path = shop.token_file()
    path.write_text("\n")
    assert str(path) in shop.run().expect(2, "InvalidConfiguration").report["message"]
    assert_nothing_done(shop)


def test_a_token_of_an_account_that_is_gone(shop):
    api = shop.namespace.api_as(ACCOUNT)
    shop.namespace.delete("ServiceAccount", ACCOUNT)
    wait_until(lambda: not api.answers("/api"), "the API server refuses the token", 30)
    run = shop.run().expect(4, "Unauthenticated")
    assert "hint" in run.text
    assert_nothing_done(shop)


def test_no_cluster_at_all(shop):
    run = shop.run(environment={"KUBECONFIG": None}).expect(2, "WrongUsage")
    assert all(word in run.text for word in ("KUBECONFIG", "--state-dir")), run
    assert_nothing_done(shop)


@pytest.mark.parametrize("text", ["", "{", "apiVersion: v1\nkind: Pod\n", "\0\0", "a: &x [*x]"])
def test_a_kubeconfig_that_is_none(shop, text):
    shop.identify().write_text(text)
    run = shop.run()
    assert run.exit == 2 and "kubeconfig" in run.text, run
    assert_nothing_done(shop)


def test_a_kubeconfig_that_runs_a_program_is_refused(shop):
    path = shop.identify(user={"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "aws", "interactiveMode": "Never"}})
    run = shop.run().expect(2, "Unsupported")
    assert "exec" in run.text and "create token" in run.text, path.read_text()
    assert_nothing_done(shop)


# --- rights -----------------------------------------------------------------------------------------------------------

# Those that a restore without an application needs. Without the right to post events a run goes on.
NEEDED = ("restore-state", "restore-state-journal", "restore-reconciler-restore-state")


def needed_rights() -> list[tuple[str, str, str]]:
    rules = [rule for rule in shipped_rules() if rule.get("resourceNames", [""])[0] in NEEDED]
    return [(rule["resources"][0], rule["resourceNames"][0], verb) for rule in rules for verb in rule["verbs"]]


def without(resource: str, name: str, verb: str) -> list[dict]:
    rules = copy.deepcopy(shipped_rules())
    [rule] = [rule for rule in rules if resource in rule["resources"] and name in rule.get("resourceNames", [])]
    rule["verbs"].remove(verb)
    return [rule for rule in rules if rule["verbs"]]


@pytest.mark.parametrize("resource, name, verb", needed_rights(), ids=lambda value: value.removeprefix("restore-"))
def test_a_right_that_is_missing_is_named_with_the_line_to_add(shop, resource, name, verb):
    """Each right of the shipped Role in turn. Never: a restore that finds out halfway."""
    shop.use_rules(without(resource, name, verb))
    run = shop.run()
    assert run.exit == 14 and run.report["reason"] in ("Forbidden", "PreflightFailed"), run
    for words in (verb, resource, f'resources: [{resource}], resourceNames: ["{name}"], verbs: [{verb}]}}'):
        assert words in run.report["message"], f"'{words}' is not said\n{run}"
    shop.use_rules(shipped_rules())
    assert_nothing_done(shop)


def test_without_the_right_to_post_events_it_restores_and_says_so_once(shop):
    shop.use_rules([rule for rule in shipped_rules() if rule["resources"] != ["events"]])
    run = shop.run().expect(0)
    assert run.text.count("no event can be posted") == 1
    shop.assert_consistent(MONDAY.edition)


# --- answers ----------------------------------------------------------------------------------------------------------


def reads(name: str):
    return lambda request: request.method == "GET" and request.path.endswith(f"/{name}")


JSON = {"Content-Type": "application/json"}
ANSWERS = {
    "not JSON": Answer(200, b"<html>Welcome to the proxy</html>", {"Content-Type": "text/html"}),
    "half of JSON": Answer(200, b'{"kind": "ConfigMap", "data": {"a": ', JSON),
    "empty": Answer(200, b"", JSON),
    "another object": Answer(200, b'{"kind": "Pod", "apiVersion": "v1"}', JSON),
    "deep": Answer(200, b'{"data":' + b"[" * 100000 + b"]" * 100000 + b"}", JSON),
    "moved": Answer(302, b"", {"Location": "https://example.org/"}),
    "a login page": Answer(403, b"<html>Please log in</html>", {"Content-Type": "text/html"}),
}


OBJECTS = pytest.mark.parametrize("name", NEEDED, ids=["state", "journal", "lease"])


@OBJECTS
@pytest.mark.parametrize("fault", [CutBody(100), HangUp()], ids=["cut off", "connection lost"])
def test_an_answer_that_is_cut_off_is_asked_for_again(shop, api_proxy, name, fault):
    """Never: half an answer taken for a whole one."""
    shop.identify(url=api_proxy.url)
    api_proxy.on(reads(name), fault)
    shop.run().expect(0, "Succeeded")
    assert [request for request in api_proxy.requests if request.fault]
    shop.assert_consistent(MONDAY.edition)


@OBJECTS
@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_makes_no_sense_changes_nothing(shop, api_proxy, name, answer):
    """Never: a guess at what was meant."""
    shop.identify(url=api_proxy.url)
    api_proxy.on(reads(name), ANSWERS[answer], times=None)
    run = shop.run()
    assert run.exit in (4, 14) and run.report["reason"] not in ("", "InternalError", "OutOfMemory"), run
    assert_nothing_done(shop)


def test_an_answer_of_100_mb_is_not_taken(shop, api_proxy):
    """Never: memory for as much as somebody likes to send. It has 96 MB of address space."""
    shop.identify(url=api_proxy.url)
    api_proxy.on(reads("restore-state"), Answer(200, b'{"kind": "ConfigMap", "data": {"a": "' + b"x" * 100_000_000 + b'"}}', JSON), times=None)
    run = shop.run(wrapper=["prlimit", f"--as={96 << 20}"])
    assert run.exit == 4 and "over 8388608" in run.report["message"], run
    assert_nothing_done(shop)


def test_a_slow_answer_is_waited_for(shop, api_proxy):
    shop.identify(url=api_proxy.url)
    stall = api_proxy.on(reads("restore-state"), Stall(after=20))
    with shop.start() as running:
        assert stall.reached.wait(20)
        threading.Timer(2, stall.release).start()
        running.wait().expect(0)
    shop.assert_consistent(MONDAY.edition)


# --- objects of others --------------------------------------------------------------------------------------------------


def make_lease(shop, **spec):
    shop.cluster.api.create({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": shop.lease_name}, "spec": spec}, shop.namespace.name)


def test_a_lease_that_this_program_would_never_make_is_never_taken(shop):
    make_lease(shop, holderIdentity="a controller", leaseDurationSeconds=86400)
    before = shop.lease()
    run = shop.run().expect(2, "Unsupported")
    assert "86400" in run.report["message"] and "kubectl" in run.report["message"]
    assert shop.lease() == before
    shop.assert_untouched()


def test_a_lease_held_by_somebody_who_lives_is_left_alone(shop):
    make_lease(shop, holderIdentity="somebody else", leaseDurationSeconds=30, renewTime="2024-01-01T00:00:00.000000Z")
    ended = threading.Event()

    def renew():
        for number in itertools.count(1):
            if ended.wait(0.5):
                return
            shop.namespace.patch("Lease", shop.lease_name, {"spec": {"renewTime": f"2024-01-01T00:00:{number % 60:02}.000000Z"}})

    renewer = threading.Thread(target=renew)
    renewer.start()
    try:
        run = shop.run("--exit-code-locked").expect(3, "Locked")
    finally:
        ended.set()
        renewer.join()
    assert "somebody else" in run.report["message"]
    assert shop.holder() == "somebody else" and shop.journal() == {}
    shop.assert_untouched()


@pytest.mark.parametrize("renewed", ["2099-01-01T00:00:00.000000Z", None], ids=["in the future", "never"])
def test_a_lease_that_nobody_renews_is_taken_over(shop, renewed):
    """What counts is our own clock since it was first seen, never the times in it."""
    shop.flags = SHORT_LEASE
    spec = {"holderIdentity": "somebody dead", "leaseDurationSeconds": 3, "leaseTransitions": 4}
    make_lease(shop, **spec, **({"renewTime": renewed} if renewed else {}))
    run = shop.run().expect(0)
    assert run.seconds > 3
    assert shop.lease()["leaseTransitions"] == 5
    shop.assert_consistent(MONDAY.edition)


@pytest.mark.parametrize("label", [None, "helm"])
def test_a_journal_that_is_not_ours_is_never_overwritten(shop, label):
    labels = {"app.kubernetes.io/managed-by": label} if label else {}
    shop.namespace.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": shop.state.journal_name, "labels": labels}, "data": {"a": "b"}})
    before = shop.state.snapshot()
    run = shop.run().expect(4, "JournalCorrupt")
    assert "hint" in run.text
    assert shop.state.snapshot() == before
    shop.assert_untouched()


def test_a_journal_that_holds_garbage_is_not_believed(shop):
    """Danger 12. It has our label, but the database's own record knows of no such run."""
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"phase": "Somewhere", "undo": "[{", "runId": "aaaaaaaaaaaaaaaa"},
                "metadata": {"name": shop.state.journal_name, "labels": {"app.kubernetes.io/managed-by": "restore-reconciler"}}}
    shop.cluster.api.apply(manifest, shop.namespace.name, manager="restore-reconciler")
    run = shop.run().expect(0)
    assert "JournalStale" in run.warnings()
    shop.assert_consistent(MONDAY.edition)


def test_an_immutable_journal_is_found_before_anything_is_changed(shop):
    shop.state.desire("2024-12-01T00:00:00Z")
    shop.run().expect(0, "Adopted")
    shop.namespace.patch("ConfigMap", shop.state.journal_name, {"immutable": True})
    shop.state.desire(MONDAY.at)
    assert "is immutable" in shop.run().expect(4, "JournalCorrupt").report["message"]
    shop.assert_live_is(TODAY)
    assert shop.ours() == {} and not shop.holder()


def test_a_journal_that_is_being_deleted_does_not_stop_a_restore(shop):
    shop.state.desire("2024-12-01T00:00:00Z")
    shop.run().expect(0, "Adopted")
    with being_deleted(shop.namespace, shop.state.journal_name):
        shop.state.desire(MONDAY.at)
        shop.run().expect(0)
    shop.assert_live_is(MONDAY.edition)
    shop.run().expect(0)
    assert len([row for row in shop.history() if row["kind"] == "restore"]) == 1
    shop.assert_cluster_at_rest()
