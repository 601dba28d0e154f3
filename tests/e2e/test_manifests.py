"""The manifests, as files: what a cluster would not refuse and people would trip over. Real API servers get them elsewhere."""

import pathlib
import re

import pytest
import yaml

from support.parts import CHECKOUT
from support.reconciler import Reconciler

BASE, EXAMPLE = CHECKOUT / "manifests/base", CHECKOUT / "manifests/example"
MANIFESTS = sorted(path for path in (CHECKOUT / "manifests").rglob("*.yaml"))
CREATE_JOB = "--from=cronjob/restore-reconciler"


def load(path: pathlib.Path) -> dict:
    [document] = yaml.safe_load_all(path.read_text())
    return document


@pytest.fixture
def cronjob():
    return load(BASE / "cronjob.yaml")["spec"]


@pytest.fixture
def rules():
    return load(BASE / "role.yaml")["rules"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_a_manifest_is_one_object_without_a_namespace(path):
    assert "namespace" not in load(path).get("metadata", {})


def test_the_base_holds_every_file_of_its_folder_and_no_state():
    """Applied again, a ConfigMap in the base would set people's timestamps back."""
    files = {path.name for path in BASE.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(load(BASE / "kustomization.yaml")["resources"]) == files
    kinds = sorted(load(BASE / name)["kind"] for name in files)
    assert kinds == ["CronJob", "Role", "RoleBinding", "Service", "ServiceAccount"]


def test_the_example_applies_the_state_without_what_the_program_writes():
    assert load(EXAMPLE / "kustomization.yaml")["resources"] == ["../base", "restore-state.yaml"]
    assert [path.name for path in sorted(EXAMPLE.glob("*.yaml"))] == ["kustomization.yaml", "restore-state.yaml"]  # kubectl apply -f DIR
    asked, seen = (load(EXAMPLE / name) for name in ("restore-state.yaml", "in-cluster/restore-state.yaml"))
    assert set(asked["data"]) == {"desiredBackupTimestamp", "restore.yaml"}
    assert seen["data"].pop("lastAppliedTimestamp") == seen["data"]["desiredBackupTimestamp"]
    assert seen == asked
    assert "lastAppliedTimestamp" in (EXAMPLE / "restore-state.yaml").read_text()  # said in a comment


@pytest.mark.parametrize("name", ["restore-state.yaml", "in-cluster/restore-state.yaml"])
def test_the_example_is_valid(tmp_path, name):
    Reconciler(tmp_path / "home", {}).run("validate", "--store", "kubernetes", EXAMPLE / name).expect(0)


def test_the_role_of_the_base_is_what_print_rbac_prints_for_the_example(tmp_path):
    """Never: a right that is asked for before a restore, and that the shipped Role does not give."""
    run = Reconciler(tmp_path / "home", {}).run("print-rbac", EXAMPLE / "restore-state.yaml").expect(0)
    assert yaml.safe_load(run.stdout) == load(BASE / "role.yaml")


@pytest.mark.parametrize("path", [BASE / "cronjob.yaml", BASE / "kustomization.yaml", EXAMPLE / "kustomization.yaml"], ids=lambda path: path.name)
def test_how_to_run_it_now_stands_where_people_look(path):
    comments = [line for line in path.read_text().splitlines() if line.lstrip().startswith("#")]
    assert any("kubectl create job" in line and CREATE_JOB in line for line in comments)


def test_the_image_is_the_one_that_make_image_makes(cronjob):
    [container] = cronjob["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    default = re.search(r"^IMAGE \?= (.*)$", (CHECKOUT / "Makefile").read_text(), re.M)[1]
    assert container["image"] == default.replace("$(VERSION)", (CHECKOUT / "lib/VERSION").read_text().strip())
    assert container["image"].rpartition(":")[0] in (EXAMPLE / "kustomization.yaml").read_text()


def test_runs_do_not_overlap_and_are_not_repeated_where_it_does_not_help(cronjob):
    job = cronjob["jobTemplate"]["spec"]
    assert cronjob["concurrencyPolicy"] == "Forbid" and cronjob["startingDeadlineSeconds"] >= 10
    assert "activeDeadlineSeconds" not in job and job["podReplacementPolicy"] == "Failed"
    disruption, failure = job["podFailurePolicy"]["rules"]
    assert disruption == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    pod = job["template"]["spec"]
    assert failure == {"action": "FailJob", "onExitCodes": {
        "containerName": pod["containers"][0]["name"], "operator": "In", "values": [2, 10, 11, 12, 13, 14, 70]}}
    assert pod["restartPolicy"] == "Never"


def test_the_pod_is_a_restricted_one(cronjob):
    """What the Pod Security Standard of that name asks for, and a root file system that cannot be written."""
    pod = cronjob["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert [set(volume) for volume in pod["volumes"]] == [{"name", "secret"}]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert container["resources"]["limits"] == {"memory": "256Mi"}


def test_the_role_names_what_it_writes_and_gives_no_more(rules):
    """It is the Role for the state in the example."""
    write = {"create", "update", "patch", "delete", "deletecollection", "*"}
    for rule in rules:
        assert not {"*", "delete", "deletecollection", "escalate", "bind", "impersonate"} & set(rule["verbs"])
        assert not {"*", "secrets", "jobs", "pods/exec", "roles"} & set(rule["resources"])
        is_event = rule == {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]}
        assert is_event or "resourceNames" in rule or not write & set(rule["verbs"]), rule
    named = {(resource, name) for rule in rules for resource in rule["resources"] for name in rule.get("resourceNames", ())}
    state = load(EXAMPLE / "restore-state.yaml")
    name, application = state["metadata"]["name"], yaml.safe_load(state["data"]["restore.yaml"])["application"]
    assert named == {("configmaps", name), ("configmaps", f"{name}-journal"), ("leases", f"restore-reconciler-{name}"),
                     ("services", load(BASE / "maintenance-service.yaml")["metadata"]["name"]),
                     *(("deployments", each) for each in application["deployments"]),
                     *(("ingresses", each) for each in application["ingresses"])}


def test_every_rule_says_why():
    lines = (BASE / "role.yaml").read_text().splitlines()
    assert [line for before, line in zip(lines, lines[1:]) if line.startswith("  - apiGroups:") and not before.startswith("  # ")] == []


def test_the_maintenance_service_never_has_endpoints():
    assert "selector" not in load(BASE / "maintenance-service.yaml")["spec"]


def test_the_account_of_the_pods_is_the_one_with_the_role(cronjob):
    binding, account = load(BASE / "rolebinding.yaml"), load(BASE / "serviceaccount.yaml")["metadata"]["name"]
    assert binding["roleRef"]["name"] == load(BASE / "role.yaml")["metadata"]["name"]
    assert [subject["name"] for subject in binding["subjects"]] == [account]
    assert cronjob["jobTemplate"]["spec"]["template"]["spec"]["serviceAccountName"] == account
