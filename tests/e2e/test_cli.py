"""The command line: words, flags, environment, help, and what people and programs read."""

import json
import re
import subprocess

import pytest
import yaml

from support.pg_proxy import Stall, sql
from support.postgres import PASSWORD
from support.reconciler import Reconciler, binary
from support.s3 import SECRET_KEY
from support.scenario import MONDAY

COMMANDS = ["run", "plan", "status", "backups", "rollback", "collect", "load", "validate", "version"]


@pytest.fixture
def program(tmp_path):
    return Reconciler(tmp_path / "home", {})


def test_version_is_told_in_three_ways(program):
    version = json.loads(program.run("version").expect(0).stdout)["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", version)
    assert json.loads(program.run("--version").expect(0).stdout)["version"] == version
    assert version in program.run("version", "--output", "text").expect(0).stdout


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help_names_every_command(program, words):
    text = program.run(*words).expect(0).stdout
    assert [command for command in COMMANDS if command not in text] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(program, command):
    run = program.run(command, "--help").expect(0)
    assert command in run.stdout and run.stderr == ""


@pytest.mark.parametrize("words, said", [
    (["rn"], "run"), (["rollbak"], "rollback"), (["run", "--state-dri", "x"], "state-dir"), (["run", "--state-dir"], "state-dir"), (["run"], "state-dir"), (["run", "x"], "x"),
    (["run", "--log-level", "loud", "--state-dir", "."], "log-level"), (["run", "--log-format", "xml", "--state-dir", "."], "log-format"), (["run", "--startup-jitter", "soon", "--state-dir", "."], "startup-jitter"),
    (["run", "--lease-duration", "5"], "lease-duration"), (["plan", "--lease-duration", "3601"], "lease-duration"), (["run", "--name", "A_b"], "A_b"),
    (["load", "x"], "dbname"), (["load"], "ARCHIVE"), (["load", "x", "--dbname", "y", "--jobs", "0x"], "jobs"), (["validate"], "FILE"), (["collect", "--now"], "now"), (["-z"], "z")], ids=" ".join)
def test_wrong_usage_is_explained_and_exits_2(program, words, said):
    run = program.run(*words)
    assert run.exit == 2 and said in run.stderr, run


def test_run_is_the_default_command(shop):
    shop.state.desire(MONDAY.at)
    shop.reconciler.run("--state-dir", shop.state.path).expect(0, result="Succeeded")
    shop.assert_consistent(MONDAY.edition)


def test_flags_may_stand_in_the_environment_and_the_flag_wins(shop):
    shop.state.desire(MONDAY.at)
    environment = {"RESTORE_RECONCILER_STATE_DIR": str(shop.state.path), "RESTORE_RECONCILER_LOG_FORMAT": "text"}
    run = shop.reconciler.run("plan", environment=environment)
    assert run.exit == 9 and "{" not in run.stderr, run
    run = shop.reconciler.run("plan", "--state-dir", shop.folder / "nowhere", environment=environment)
    assert run.exit == 2, run


def test_without_any_state_every_way_to_name_one_is_said(program):
    run = program.run("run").expect(2, "WrongUsage")
    for way in ("--state-dir", "restore-state.yaml", "--kubeconfig", "KUBECONFIG", "KUBERNETES_SERVICE_HOST", "~/.kube/config"):
        assert way in run.report["message"], run


def test_the_last_line_goes_to_the_termination_log_as_well(shop, tmp_path):
    shop.state.desire(MONDAY.at)
    file = tmp_path / "termination-log"
    for result in ("Succeeded", "NothingToDo"):
        run = shop.run("--termination-log", file).expect(0, result=result)
        assert json.loads(file.read_text()) == run.report


def test_another_name_of_the_state(shop):
    shop.state.file.rename(shop.state.path / "other.yaml")
    shop.state.desire(MONDAY.at)
    shop.state.file.rename(shop.state.path / "other.yaml")
    shop.run("--name", "other").expect(0)
    assert (shop.state.path / "other.applied.yaml").exists() and (shop.state.path / "other.journal.json").exists()
    shop.assert_live_is(MONDAY.edition)


def test_the_log_level_is_respected(shop):
    shop.state.desire(MONDAY.at)
    assert shop.run("--log-level", "error").expect(0).stderr == ""


def test_the_log_as_text_is_for_people(shop):
    shop.state.desire(MONDAY.at)
    text = shop.run("--log-format", "text").expect(0).stderr
    assert text and not [line for line in text.splitlines() if line.startswith("{")]
    assert "\x1b" not in text, "no colours where there is no terminal"


def test_no_secret_is_ever_written(shop):
    """Never: a password in a log, a journal, a process list or an error."""
    shop.state.desire(MONDAY.at)
    run = shop.run("--log-level", "debug").expect(0)
    for secret in (PASSWORD, SECRET_KEY):
        assert secret not in run.text and json.dumps(secret)[1:-1] not in run.text
        assert all(secret.encode() not in content for content in shop.state.snapshot().values())


def test_no_secret_is_in_the_process_list_or_the_server(shop, pg_proxy):
    proxy, stall = pg_proxy(shop.server), Stall()
    shop.through(proxy)
    shop.state.desire(MONDAY.at)
    trap = proxy.before(sql("^ANALYZE"), stall)
    with shop.start() as running:
        proxy.victim = running
        trap.wait()
        with open(f"/proc/{running.pid}/cmdline", "rb") as line:
            assert PASSWORD.encode() not in line.read()
        names = [row[0] for row in shop.server.sql("SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'restore-reconciler/%%' AND %s", True)]
        assert names, "its sessions can be told apart"
        stall.release()
        running.wait().expect(0)


def test_a_database_url_is_as_good_as_variables(shop):
    shop.state.desire(MONDAY.at)
    quoted = PASSWORD.replace("%", "%25").replace(" ", "%20").replace("'", "%27").replace("\\", "%5C")
    url = f"postgresql://postgres:{quoted}@127.0.0.1:{shop.server.port}/?sslmode=disable"
    changes = {name: None for name in shop.reconciler.environment if name.startswith("PG")}
    run = shop.run(environment={**changes, "DATABASE_URL": url}).expect(0)
    assert PASSWORD not in run.text
    shop.assert_consistent(MONDAY.edition)


# --- validate ----------------------------------------------------------------------------------------------------------------


def test_validate_accepts_a_good_state_offline(shop):
    shop.reconciler.run("validate", shop.state.file, environment={"PGPORT": "1", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"}).expect(0)


def test_validate_accepts_a_bare_restore_yaml(shop, tmp_path):
    path = tmp_path / "restore.yaml"
    path.write_text(yaml.safe_dump(shop.state.spec))
    shop.reconciler.run("validate", path).expect(0)


def test_validate_reads_what_kubectl_prints(shop, tmp_path):
    """As `kubectl get configmap -o yaml` and `-o json` have it: with everything that the API server adds."""
    state = yaml.safe_load(shop.state.file.read_text())
    state["metadata"] |= {
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(state) + "\n"}, "creationTimestamp": "2026-01-02T03:04:05Z",
        "finalizers": ["example.com/keep"], "labels": {"app": "shop"}, "namespace": "shop", "resourceVersion": "81234", "uid": "0aa1b2c3-0000-4000-8000-000000000000",
        "managedFields": [{"apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {".": {}, "f:restore.yaml": {}}}, "manager": "kubectl",
                           "operation": "Update", "time": "2026-01-02T03:04:05Z"}]}
    for name, text in (("yaml", yaml.safe_dump(state)), ("json", json.dumps(state, indent=4))):
        (tmp_path / name).write_text(text)
        shop.reconciler.run("validate", tmp_path / name).expect(0)


def test_validate_names_every_mistake_with_its_place(shop, tmp_path):
    path = tmp_path / "restore.yaml"
    path.write_text("database: app\nbackups:\n  location: s3://b/\n  nmae: '%Y'\njobs: many\nkeepPrevius: 1h\n")
    run = shop.reconciler.run("validate", path)
    assert run.exit == 2, run
    for place in (":4:", ":5:", ":6:"):
        assert f"restore.yaml{place}" in run.text, run


def test_validate_knows_where_it_is_meant_to_run(shop, tmp_path):
    shop.state.configure(preSteps=[{"scaleDeployments": 0}], postSteps=[{"scaleDeployments": "auto"}], application={"deployments": ["web"]})
    run = shop.reconciler.run("validate", shop.state.file)
    assert run.exit == 2 and "scaleDeployments" in run.text, run


def test_validate_of_a_missing_file_is_an_error(program, tmp_path):
    assert program.run("validate", tmp_path / "none").exit == 2


# --- the binary ----------------------------------------------------------------------------------------------------------------


def test_what_ships_needs_nothing_of_the_system():
    """Never: a binary that looks for a library in an image that has none."""
    if "static" not in str(binary()):
        assert binary().exists(), "this run tests another binary than the one that ships"
        return
    told = subprocess.run(["ldd", binary()], capture_output=True, text=True)
    assert "not a dynamic executable" in told.stdout + told.stderr or "statically linked" in told.stdout
    assert binary().stat().st_size < 8 << 20


def test_it_starts_in_milliseconds(program):
    assert min(program.run("version").seconds for _ in range(5)) < 0.5
