"""The application of a shop in a cluster: taken away for the swap, and back whatever happens.

All runs have the rights of the shipped Role, or those that print-rbac prints for their ConfigMap, and nothing more.
The numbers of dangers are those of docs/dangers.md.
"""

import asyncio
import itertools
import os
import random
import threading

import pytest
import yaml

from support.cluster_shop import ACCOUNT, APPLICATION, INGRESS, MARKS, POST_STEPS, PRE_STEPS, SHORT_LEASE, patches, shipped_rules, writes
from support.fault_proxy import Answer, Call, Kill
from support.parts import CHECKOUT
from support.scenario import MONDAY, SWAP, TODAY, TUESDAY
from support.waiting import wait_until

SEED = os.environ.get("TORTURE_SEED", "1")
IS_FULL = os.environ.get("TORTURE") == "full"

AWAY = {"Deployment/shop-web": 0, "Deployment/shop-worker": 0}
MAINTENANCE = "restore-reconciler-maintenance:80"


@pytest.fixture
def shop(cluster_shop):
    """Asks for MONDAY, and has an application to take away."""
    cluster_shop.with_application()
    cluster_shop.state.desire(MONDAY.at)
    return cluster_shop


def at_the_swap(shop, pg_proxy, action) -> list:
    """Calls action() right before each swap. What it answered is in the list that comes back."""
    answers = []
    proxy = pg_proxy(shop.server)
    shop.through(proxy)
    trap = SWAP

    def act(*_):
        answers.append(action())
        proxy.before(trap, act)  # for a second one

    proxy.before(trap, act)
    return answers


def set_timeout(shop, timeout: str):
    shop.state.configure(application={**shop.state.spec["application"], "timeout": timeout})


def scale_as(shop, name: str, replicas: int, manager: str):
    api = shop.cluster.api
    path = api.resource("Deployment").path(shop.namespace.name, name)
    api.request("PATCH", path, {"spec": {"replicas": replicas}}, "application/merge-patch+json", query={"fieldManager": manager})


def annotate(shop, kind: str, name: str, **marks: str | None):
    """Changes the program's annotations, as nobody should; None takes one out."""
    shop.namespace.patch(kind, name, {"metadata": {"annotations": {MARKS + key: value for key, value in marks.items()}}})


def no_marks() -> dict[str, None]:
    return dict.fromkeys(("replicas", "backends", "run", "state"))


# --- away and back ----------------------------------------------------------------------------------------------------

LABELS = {"app.kubernetes.io/part-of": "shop"}
NAMES = {"deployments": ["shop-web", "shop-worker", "shop-idle"], "statefulSets": ["shop-cart"], "ingresses": ["shop"]}
BY = {"names": NAMES, "selector": {"selector": "app.kubernetes.io/part-of=shop", "maintenanceService": "sorry:8080"}}

INGRESS_OF_ALL_KINDS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: shop
  labels: {app.kubernetes.io/part-of: shop}
  annotations: {nginx.ingress.kubernetes.io/rewrite-target: /$1}
spec:
  ingressClassName: nginx
  tls: [{hosts: [shop.example], secretName: shop-tls}]
  defaultBackend: {service: {name: shop-web, port: {number: 8080}}}
  rules:
  - host: shop.example
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: shop-web, port: {name: http}}}}
      - {path: /cart, pathType: Exact, backend: {service: {name: shop-cart, port: {number: 81}}}}
      - {path: /static, pathType: ImplementationSpecific, backend: {resource: {apiGroup: example.com, kind: Bucket, name: static}}}
  - host: nothing.example
  - http: {paths: [{path: /v2, pathType: Prefix, backend: {service: {name: shop-worker, port: {number: 80}}}}]}
"""
STRANGERS = INGRESS_OF_ALL_KINDS.replace("name: shop\n", "name: stranger\n").replace("part-of: shop", "part-of: another")


@pytest.mark.parametrize("by", BY)
def test_what_is_taken_away_comes_back_field_by_field(cluster_shop, api_proxy, pg_proxy, by):
    """Deployments and a StatefulSet, one of them at 0 before, an Ingress with every kind of backend. What is not named
    or selected is not touched. Danger 11: both records are written before, or with, the first change."""
    shop = cluster_shop
    shop.namespace.workload("shop-web", 3, labels=LABELS, gone="2s")
    shop.namespace.workload("shop-worker", 1, labels=LABELS)
    shop.namespace.workload("shop-idle", 0, labels=LABELS)
    shop.namespace.workload("shop-cart", 2, kind="StatefulSet", labels=LABELS)
    shop.namespace.workload("stranger", 1)
    shop.namespace.apply(INGRESS_OF_ALL_KINDS)
    shop.namespace.apply(STRANGERS)
    service = yaml.safe_load((CHECKOUT / "manifests/base/maintenance-service.yaml").read_text())
    if by == "selector":
        service["metadata"]["name"] = "sorry"
    shop.namespace.apply(service)
    shop.state.configure(application=BY[by], preSteps=PRE_STEPS, postSteps=POST_STEPS)
    shop.state.desire(MONDAY.at)
    shop.use_printed_rules()
    shop.remember_application()
    specs = {name: shop.namespace.get("Ingress", name)["spec"] for name in ("shop", "stranger")}

    recorded, ready = [], []
    api_proxy.on(lambda request: request.method == "PATCH" and "/apps/v1/" in request.path, Call(lambda _: recorded.append(shop.journal()["undo"])))
    api_proxy.on(patches("ingresses/shop"), Call(lambda _: ready.append(all_ready(shop))), skip=1)
    shop.identify(url=api_proxy.url)
    seen = at_the_swap(shop, pg_proxy, lambda: (shop.replicas(), shop.backends(), shop.marks(), pods_of(shop)))
    run = shop.run().expect(0, "Succeeded")

    [(replicas, backends, marks, pods)] = seen
    assert replicas == {"Deployment/shop-web": 0, "Deployment/shop-worker": 0, "Deployment/shop-idle": 0, "StatefulSet/shop-cart": 0, "Deployment/stranger": 1}
    assert pods == ["stranger"], "the swap has not waited until the pods are gone"
    assert backends == {"shop": [MAINTENANCE if by == "names" else "sorry:8080"] * 5, "stranger": shop.backends()["stranger"]}
    run_id = run.report["runId"]
    counts = {"Deployment/shop-web": "3", "Deployment/shop-worker": "1", "StatefulSet/shop-cart": "2"}
    ingress_marks = marks.pop("Ingress/shop")
    assert marks == {name: {f"{MARKS}replicas": count, f"{MARKS}run": run_id, f"{MARKS}state": "restore-state"} for name, count in counts.items()}
    assert ingress_marks.keys() == {f"{MARKS}backends", f"{MARKS}run", f"{MARKS}state"}
    assert all(name in recorded[0] for name in ("shop-web", "shop-worker", "shop-cart")), "changed before it was recorded"
    assert ready == [True], "visitors were let in before all were ready"
    assert {name: shop.namespace.get("Ingress", name)["spec"] for name in specs} == specs
    assert run.report["downtimeSeconds"] >= 2
    shop.assert_consistent(MONDAY.edition)


def all_ready(shop) -> bool:
    return all(found["status"].get("readyReplicas", 0) == found["spec"]["replicas"]
               for kind in ("Deployment", "StatefulSet") for found in shop.namespace.find(kind))


def pods_of(shop) -> list[str]:
    """Whose pods there are."""
    return sorted({pod["metadata"]["labels"]["app"] for pod in shop.namespace.pods()})


def test_a_rollback_takes_the_same_care(shop, pg_proxy):
    shop.run().expect(0)
    seen = at_the_swap(shop, pg_proxy, lambda: (shop.replicas(), pods_of(shop), set(shop.backends()[INGRESS])))
    shop.run(command="rollback").expect(0)
    assert seen == [(AWAY, [], {MAINTENANCE})]
    shop.assert_consistent(TODAY)


def test_a_failed_verification_takes_nothing_away(shop):
    shop.state.configure(verify=[{"sql": "SELECT false"}])
    mark = shop.cluster.audit.mark()
    shop.run().expect(10, "VerificationFailed")
    touched = [write for write in shop.writes(mark) if "configmaps" not in write and "leases" not in write and "events" not in write]
    assert not touched, touched
    shop.assert_untouched()
    shop.assert_cluster_at_rest()


def test_a_failed_smoke_check_swaps_back_and_brings_the_application_back(shop, pg_proxy):
    shop.state.configure(smoke=[{"sql": "SELECT false"}])
    seen = at_the_swap(shop, pg_proxy, lambda: (shop.replicas(), pods_of(shop), set(shop.backends()[INGRESS])))
    shop.run().expect(10, "SmokeCheckFailed")
    assert seen == [(AWAY, [], {MAINTENANCE})] * 2, "the application was not away at both swaps"
    shop.assert_consistent(TODAY)


# --- pods that do not go, workloads that do not come ------------------------------------------------------------------


def test_a_pod_that_never_goes_is_named_and_everything_comes_back(cluster_shop):
    """Never: a swap beside a pod that may still write; an application that stays away because of it."""
    shop = cluster_shop.with_application(gone="never")
    set_timeout(shop, "1s")
    shop.state.desire(MONDAY.at)
    pods = [pod["metadata"]["name"] for pod in shop.namespace.pods()]
    message = shop.expect(10, "StepFailed").report["message"]
    assert "preSteps[1]" in message and any(pod in message for pod in pods) and "fake-node" in message
    shop.assert_untouched()
    shop.assert_consistent(TODAY)


def test_a_workload_that_somebody_scales_up_during_the_step_is_named_with_the_manager(cluster_shop):
    """A sync tool with replicas in Git. What somebody set is left as it is; the rest comes back."""
    shop = cluster_shop.with_application(gone="never")
    shop.state.desire(MONDAY.at)
    with shop.start() as running:
        wait_until(lambda: shop.replicas() == AWAY, "the application is scaled to 0")
        scale_as(shop, "shop-web", 4, "argocd-controller")
        run = running.wait().expect(10, "StepFailed")
    for word in ("shop-web", "scaled up", "4 replicas", "argocd-controller"):
        assert word in run.report["message"], run
    assert shop.replicas() == {"Deployment/shop-web": 4, "Deployment/shop-worker": 1}
    shop.scale_back()
    shop.assert_untouched()
    shop.assert_consistent(TODAY)


def test_what_somebody_changes_while_the_application_is_away_is_left_as_it_is(shop, pg_proxy):
    """With warnings that name it: replicas, a backend, a workload that is deleted."""
    def meddle():
        scale_as(shop, "shop-web", 5, "somebody")
        backend = {"service": {"name": "canary", "port": {"number": 8080}}}
        shop.namespace.patch("Ingress", INGRESS, [{"op": "replace", "path": "/spec/rules/0/http/paths/0/backend", "value": backend}], how="json")
        shop.namespace.delete("Deployment", "shop-worker")

    at_the_swap(shop, pg_proxy, meddle)
    warnings = shop.run().expect(0).warnings()
    assert "somebody scaled it meanwhile" in warnings and "somebody changed backends" in warnings and "does not exist any more" in warnings
    assert shop.application() == {"replicas": {"Deployment/shop-web": 5}, "backends": {INGRESS: ["shop-web:80", "canary:8080"]}}
    shop.remember_application()
    shop.assert_consistent(MONDAY.edition)


def test_a_workload_that_does_not_get_ready_is_waited_for_by_the_next_run(shop, pg_proxy):
    """The data are restored and stay; visitors are kept out; every run says what is missing until it is mended."""
    def break_it(ready: str | None = "never"):
        shop.namespace.patch("Deployment", "shop-web", {"spec": {"template": {"metadata": {"annotations": {"testbed/ready": ready}}}}})

    set_timeout(shop, "1s")
    at_the_swap(shop, pg_proxy, break_it)
    for _ in range(2):
        run = shop.expect(10, "StepFailed")
        for word in ("application may still be away", "postSteps[0]", "shop-web", "0 of 2 replicas ready", "pod"):
            assert word in run.report["message"], run
        assert run.report["applicationAway"] and "application may still be away" in shop.journal()["message"]
        shop.assert_live_is(MONDAY.edition)
        assert set(shop.backends()[INGRESS]) == {MAINTENANCE} and shop.replicas()["Deployment/shop-web"] == 2
    set_timeout(shop, "30s")
    break_it(ready=None)
    shop.run().expect(0)
    assert shop.state.published() == MONDAY.at and len(shop.history()) == 1
    shop.assert_consistent(MONDAY.edition)


def test_a_terminated_run_brings_the_application_back_at_once(cluster_shop):
    """SIGTERM while it waits for pods: a drained node."""
    shop = cluster_shop.with_application(gone="never")
    shop.state.desire(MONDAY.at)
    with shop.start() as running:
        wait_until(lambda: shop.replicas() == AWAY, "the application is scaled to 0")
        running.terminate()
        run = running.wait(20).expect(5, "Interrupted")
    assert run.report.get("result") == "Interrupted"
    shop.assert_untouched()
    shop.assert_consistent(TODAY)


def test_a_run_that_is_terminated_while_a_patch_is_under_way_waits_for_its_answer(shop, api_proxy):
    """Never: undone before it is done, by a server that was slow, and away for ever without anybody knowing."""
    shop.identify(url=api_proxy.url)
    ended = threading.Event()

    def terminate(_):
        running.terminate()
        ended.wait(5)

    api_proxy.on(patches("deployments/shop-worker"), Call(terminate))
    with shop.start() as running:
        run = running.wait(60)
        ended.set()
    run.expect(5, "Interrupted")
    assert shop.application() == shop.before() and not shop.marks(), run
    shop.assert_untouched()


# --- found before anything is changed ---------------------------------------------------------------------------------


def assert_nothing_done(shop):
    shop.assert_untouched()
    shop.assert_cluster_at_rest()


def test_everything_that_is_missing_is_named_at_once(shop):
    shop.state.configure(application={"deployments": ["shop-web", "no-web"], "statefulSets": ["no-cart"], "ingresses": [INGRESS, "no-ingress"]})
    shop.namespace.delete("Service", "restore-reconciler-maintenance")
    shop.use_printed_rules()
    run = shop.expect(14, "PreflightFailed")
    for word in ("Deployment 'no-web'", "StatefulSet 'no-cart'", "Ingress 'no-ingress'", "Service 'restore-reconciler-maintenance'", shop.namespace.name):
        assert word in run.text, run
    assert_nothing_done(shop)


def test_a_selector_that_matches_nothing_is_named(shop):
    shop.state.configure(application={"selector": "app.kubernetes.io/part-of=nothing"})
    shop.use_printed_rules()
    run = shop.expect(14, "PreflightFailed")
    assert run.text.count("app.kubernetes.io/part-of=nothing") >= 2 and "no Ingress" in run.text and "no Deployment and no StatefulSet" in run.text
    assert_nothing_done(shop)


def test_a_selector_that_matches_the_database_itself_is_named(cluster_shop):
    """Never: the database scaled to 0 in the middle of its restore, and asked in vain who took it away."""
    shop = cluster_shop
    shop.namespace.workload("shop-web", 1, labels=LABELS)
    shop.namespace.workload("shop-db", 1, kind="StatefulSet", labels=LABELS)
    [pod] = shop.namespace.pods("app=shop-db")
    address = {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}
    shop.namespace.patch("Pod", pod["metadata"]["name"], {"status": address}, subresource="status")
    shop.state.configure(application={"selector": "app.kubernetes.io/part-of=shop"}, preSteps=[{"scaleDeployments": 0}], postSteps=[{"scaleDeployments": "auto"}])
    shop.state.desire(MONDAY.at)
    shop.use_printed_rules()
    shop.remember_application()
    run = shop.run()
    assert run.exit == 14 and "StatefulSet 'shop-db'" in run.report["message"], run
    assert_nothing_done(shop)


def rights_of_steps() -> list[tuple[str, str, str]]:
    """Resource, name (or nothing), verb of every right that only the steps need."""
    return [(resource, name, verb) for rule in shipped_rules() for resource in rule["resources"] if resource not in ("configmaps", "leases", "events")
            for name in rule.get("resourceNames", [""]) for verb in rule["verbs"]]


def by_one(rules: list[dict]) -> list[dict]:
    """The same rules, one for each resource, name and verb."""
    return [{"apiGroups": rule["apiGroups"], "resources": [resource], **({"resourceNames": [name]} if name else {}), "verbs": [verb]}
            for rule in rules for resource in rule["resources"] for name in rule.get("resourceNames", [""]) for verb in rule["verbs"]]


def is_right(rule: dict, resource: str, name: str, verb: str) -> bool:
    return (rule["resources"], rule.get("resourceNames", [""]), rule["verbs"]) == ([resource], [name], [verb])


@pytest.mark.timeout(120)
def test_each_right_of_the_steps_that_is_missing_is_named_with_the_line_to_add(shop):
    """Never: an application that is away, and a right missing to bring it back."""
    rights = rights_of_steps()
    assert len(rights) >= 10
    for missing in rights:
        [line] = [right for right in by_one(shipped_rules()) if is_right(right, *missing)]
        shop.use_rules([right for right in by_one(shipped_rules()) if right != line])
        run = shop.run()
        assert run.exit == 14 and run.report["reason"] in ("PreflightFailed", "Forbidden"), f"without {missing}\n{run}"
        assert yaml.safe_load(run.report["message"].split("add to the rules of the Role: ")[1]) == [line], run
    shop.use_rules(shipped_rules())
    assert_nothing_done(shop)


class TurnAway:
    """Answers 503, the first time after calling a function: the server is away for one client only."""

    def __init__(self, function):
        self.function = function

    async def apply(self, exchange):
        function, self.function = self.function, None
        if function:
            await asyncio.get_running_loop().run_in_executor(None, function)
        await Answer(503, headers={"Retry-After": "1"}).apply(exchange)


def test_a_run_that_loses_its_lease_while_a_write_waits_for_the_server_does_not_do_it(shop, api_proxy):
    """Danger 26. Cut off from the API server for longer than its Lease lasts, and taken over by a run that has ended
    since. Never: an application that is taken away by a run that is over, and that nobody looks for."""
    shop.identify(url=api_proxy.url)
    api, path = shop.cluster.api, shop.cluster.api.resource("Lease").path(shop.namespace.name, "restore-reconciler-restore-state")
    take = {"spec": {"holderIdentity": "another", "leaseTransitions": 7}}
    fault = TurnAway(lambda: api.request("PATCH", path, take, "application/merge-patch+json"))
    api_proxy.on(patches("deployments/shop-web"), fault, times=4)
    run = shop.run(*SHORT_LEASE)
    assert run.exit == 13 and run.report["reason"] == "FenceLost", run
    assert shop.replicas() == shop.before()["replicas"], run
    assert run.report["applicationAway"] is True, run  # the Ingress


# --- killed -----------------------------------------------------------------------------------------------------------


def killed_in_pre_steps(shop, api_proxy):
    """A run that died when the last of the application was taken away."""
    shop.run_killed_at(api_proxy, patches("deployments/shop-worker"), "after")
    assert shop.replicas() == AWAY and set(shop.backends()[INGRESS]) == {MAINTENANCE}


def lose_config_map(shop):
    shop.namespace.delete("ConfigMap", shop.state.name)


def break_configuration(shop):
    shop.namespace.patch("ConfigMap", shop.state.name, {"data": {"restore.yaml": "database: [\n"}})


def strip_annotations(shop):
    for kind, name in (("Deployment", "shop-web"), ("Deployment", "shop-worker"), ("Ingress", INGRESS)):
        annotate(shop, kind, name, **no_marks())


def write_nonsense(shop):
    annotate(shop, "Deployment", "shop-web", replicas="many")
    annotate(shop, "Deployment", "shop-worker", replicas="-1")
    annotate(shop, "Ingress", INGRESS, backends='[{"path":')


def lose_database_and_journal(shop):
    shop.state.lose_journal()
    shop.reconciler.environment["PGPORT"] = "1"


AFTER_A_KILL = {  # what happens then, the next run's exit code, and what live holds after it
    "nothing": (lambda shop: None, 0, MONDAY.edition),
    "the journal is lost": (lambda shop: shop.state.lose_journal(), 0, MONDAY.edition),
    "the annotations are lost": (strip_annotations, 0, MONDAY.edition),
    "the annotations are nonsense": (write_nonsense, 0, MONDAY.edition),
    "the ConfigMap is lost": (lose_config_map, 2, TODAY),
    "the configuration is broken": (break_configuration, 2, TODAY),
    "the database and the journal are lost": (lose_database_and_journal, 4, TODAY),
}


@pytest.mark.parametrize("what", AFTER_A_KILL)
def test_after_a_kill_in_the_pre_steps_the_application_comes_back(shop, api_proxy, what):
    """Danger 11. Never: replicas 0 for ever, because a record is lost or a configuration is broken."""
    happen, code, edition = AFTER_A_KILL[what]
    killed_in_pre_steps(shop, api_proxy)
    happen(shop)
    shop.run().expect(code)
    assert shop.application() == shop.before() and not shop.marks()
    shop.assert_live_is(edition)
    if code == 0:
        shop.assert_consistent(edition)


def test_what_a_run_left_away_before_its_swap_comes_back_while_the_database_is_away(shop, api_proxy):
    """Its journal does not name the swap, so it has not begun. Never: a database that cannot be asked because it is
    among what was scaled to 0."""
    killed_in_pre_steps(shop, api_proxy)
    run = shop.run(environment={"PGPORT": "1"})
    assert run.exit in (4, 10) and run.report["reason"] == "DatabaseUnreachable", run
    assert shop.application() == shop.before() and not shop.marks()
    assert "applicationAway" not in run.report
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)


def test_what_a_run_left_away_at_its_swap_waits_for_the_database(shop, pg_proxy):
    """Whether it has swapped, and whether the new data pass their smoke check, only the database knows. Never: silence
    about an application that is away."""
    shop.run_killed(pg_proxy(shop.server), "after", SWAP)
    shop.free_lease()
    run = shop.run(environment={"PGPORT": "1"})
    assert run.exit in (4, 10) and run.report["applicationAway"] is True, run
    assert shop.replicas() == AWAY
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)


def test_what_nobody_knows_any_more_is_said_with_what_to_do(shop, api_proxy):
    """Never: silence about an application that is away."""
    killed_in_pre_steps(shop, api_proxy)
    shop.state.lose_journal()
    write_nonsense(shop)
    run = shop.run()
    assert run.exit not in (0, 1), run
    assert "kubectl scale Deployment shop-web --replicas=N" in run.text and "put the backends back by hand" in run.text, run


def test_what_another_state_has_taken_away_is_not_touched(shop):
    """Two states that share an application. Ours waits, gives up, and brings the rest back."""
    annotate(shop, "Deployment", "shop-web", replicas="2", run="anotherrun", state="another-state")
    scale_as(shop, "shop-web", 0, "restore-reconciler")
    before = shop.namespace.get("Deployment", "shop-web")["metadata"]["annotations"]
    shop.remember_application()
    set_timeout(shop, "1s")
    run = shop.run()
    assert run.exit == 10 and "another-state" in run.report["message"], run
    assert shop.namespace.get("Deployment", "shop-web")["metadata"]["annotations"] == before
    assert shop.marks().keys() == {"Deployment/shop-web"} and shop.application() == shop.before()
    shop.assert_live_is(TODAY)


def test_what_there_was_is_recorded_once_however_many_runs_die(shop, api_proxy):
    """Never: 0 taken for what there was, because a second run looked while the first one's work was done."""
    killed_in_pre_steps(shop, api_proxy)
    shop.run_killed_at(api_proxy, patches("deployments/shop-web"), "before")  # recovery, on its way back
    shop.run_killed_at(api_proxy, patches("deployments/shop-worker"), "after")  # which was back, and is away again
    assert shop.replicas() == AWAY
    shop.run().expect(0)
    shop.assert_consistent(MONDAY.edition)


# --- killed anywhere --------------------------------------------------------------------------------------------------

SHARES = 16 if IS_FULL else 1
POINTS = 3  # of each scenario, in a sample
_requests = itertools.count(1)


def next_scenario(shop, scenario: str) -> tuple[str, int, int]:
    """Brings the shop to where a run of the scenario begins: the command, what live holds before and after."""
    shop.state.configure(smoke=[{"sql": "SELECT false"}] if scenario == "swap back" else None, keepPrevious="1s" if scenario == "restore" else "24h")
    before = shop.edition()
    wanted = TUESDAY if before == MONDAY.edition else MONDAY
    shop.state.desire(wanted.at, request=str(next(_requests)))
    if scenario == "rollback":
        shop.run().expect(0)
        return "rollback", wanted.edition, before
    return "run", before, wanted.edition  # which is live for a moment when it is swapped back


def count_writes(shop, api_proxy, command: str, scenario: str) -> int:
    api_proxy.reset()
    shop.identify(url=api_proxy.url)
    shop.run(command=command).expect(10 if scenario == "swap back" else 0)
    return len([request for request in api_proxy.requests if writes(request)])


@pytest.mark.timeout(3600 if IS_FULL else 240)
@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("scenario", ["restore", "rollback", "swap back"])
def test_a_run_killed_at_any_write_to_the_cluster_is_finished_or_undone(shop, api_proxy, scenario, share):
    """Before and after each of them. Never: an application that stays away, marks that stay, a mixture of data."""
    command, _, _ = next_scenario(shop, scenario)
    count = count_writes(shop, api_proxy, command, scenario)
    assert count > 10
    points = [(number, when) for number in range(count) for when in ("before", "after")]
    random.Random(f"{SEED}/{scenario}").shuffle(points)
    points = points[share::SHARES] if IS_FULL else points[:POINTS]
    print(f"TORTURE_SEED={SEED} scenario={scenario!r} writes={count} points={points}")
    for number, when in points:
        command, old, new = next_scenario(shop, scenario)
        run = shop.run_killed_at(api_proxy, writes, when, skip=number, command=command)
        assert shop.edition() in (old, new), f"killed {when} write {number}: live is neither old nor new\n{run}"
        settle(shop, scenario, f"killed {when} write {number}")


def settle(shop, scenario: str, where: str):
    """The next run finishes or undoes; it need not be asked to."""
    shop.state.configure(smoke=None)
    run = shop.run()
    try:
        assert run.exit in ((0, 10) if scenario == "swap back" else (0,)), run
        shop.assert_consistent(TODAY, MONDAY.edition, TUESDAY.edition)
    except AssertionError as error:
        raise AssertionError(f"{where}: {error}\n{run}") from error


# --- the manifests ----------------------------------------------------------------------------------------------------


def test_the_manifests_apply_cleanly(cluster):
    """Client-side, server-side, again; no warning, in a namespace that enforces "restricted". With 1.30 as well: E2E_KUBERNETES=1.30."""
    space = cluster.namespace("manifests", {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")})
    for how in (["--dry-run=server"], ["--dry-run=server", "--server-side"], [], ["--server-side", "--force-conflicts"], []):
        space.kubectl("apply", "--warnings-as-errors", *how, "-k", CHECKOUT / "manifests/example")
    assert space.get("CronJob", "restore-reconciler")["spec"]["jobTemplate"]["spec"]["podReplacementPolicy"] == "Failed"
    assert space.get("ServiceAccount", ACCOUNT) and space.get("Role", ACCOUNT) and space.get("RoleBinding", ACCOUNT)
    space.abandon()
