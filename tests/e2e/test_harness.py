"""The harness itself: every proxy, server and check that the other tests rely on does what they believe it does.

None of these needs the program. A check that could not fail would make all other tests worthless, so each of them is
shown both outcomes.
"""

import signal
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request

import boto3
import botocore.config
import botocore.exceptions
import psycopg
import pytest
import yaml

from support import invariants
from support.archive import NOT_SET, SET, read_toc
from support.fault_proxy import Answer, Call, ChangeHeaders, CutBody, FlipByte, HangUp, Stall as HttpStall, anything, gets, lists, xml_error
from support.fingerprint import fingerprint, properties
from support.parts import MAJORS
from support.pg_proxy import PgProxy, Stall, cut, kill, kind, sql
from support.postgres import PASSWORD
from support.reconciler import Reconciler
from support.s3 import ACCESS_KEY, REGION, SECRET_KEY
from support.scenario import MONDAY, TODAY, TUESDAY
from support.shop import make_roles, make_shop
from support.tls import TlsFront
from support.waiting import wait_until

# --- servers and dumps ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("major", MAJORS)
def test_a_dump_that_pg_restore_loads_has_the_fingerprint_of_its_source(servers, major, tmp_path):
    server, editions = servers.get(major), servers.editions(major)
    assert server.one("SHOW server_version").startswith(f"{major}.")
    server.create_database("restored")
    server.client("pg_restore", "-d", "restored", editions.archive(1))
    assert editions.fingerprint(1).difference(fingerprint(server, "restored")) == ""
    assert fingerprint(server, "restored") == editions.fingerprint(1)
    servers.clean()


@pytest.mark.parametrize("change", [
    "UPDATE shop.users SET name = 'x' WHERE id = 7",
    "DELETE FROM shop.notes WHERE id = 3",
    "INSERT INTO shop.nothing DEFAULT VALUES",
    "SELECT nextval('shop.invoice_number')",
    "SELECT lo_put(101, 3, 'x')",
    "SELECT lo_unlink(109)",
    "REFRESH MATERIALIZED VIEW shop.sales WITH NO DATA",
    "DROP INDEX shop.users_name",
    "COMMENT ON TABLE shop.users IS 'x'",
    "REVOKE SELECT ON shop.orders FROM shop_app",
    "ALTER TABLE shop.orders OWNER TO postgres",
    "ALTER TABLE shop.products DISABLE TRIGGER products_noted",
])
def test_the_fingerprint_notices_every_change(server, servers, change):
    editions = servers.editions(server.major)
    server.create_database("changed", template=editions.template(1))
    assert fingerprint(server, "changed") == editions.fingerprint(1)
    server.sql(change, database="changed")
    assert fingerprint(server, "changed") != editions.fingerprint(1)
    assert editions.fingerprint(1).difference(fingerprint(server, "changed"))


def test_editions_are_told_apart(servers, server):
    editions = servers.editions(server.major)
    fingerprints = [editions.fingerprint(edition) for edition in (MONDAY.edition, TUESDAY.edition, TODAY)]
    assert len({found.data() for found in fingerprints}) == 3
    assert [editions.recognise(found) for found in fingerprints] == [1, 2, 9]
    server.create_database("mixture", template=editions.template(1))
    server.sql("DELETE FROM shop.audit", database="mixture")
    assert editions.recognise(fingerprint(server, "mixture")) is None


@pytest.mark.parametrize("major", MAJORS)
def test_dumps_by_file_and_by_pipe_differ_in_their_offsets(servers, tmp_path, major):
    server, template = servers.get(major), servers.editions(major).template(1)
    for how, expected in (("file", SET), ("pipe", NOT_SET)):
        toc = read_toc(server.dump(template, tmp_path / how, how))
        assert {entry.has_offset for entry in toc.data_entries() if entry.desc == "TABLE DATA"} == {expected}
        assert "users" in {entry.tag for entry in toc.entries}
    redirected = server.dump(template, tmp_path / "redirect", "redirect")
    assert {entry.dump_id for entry in read_toc(redirected).entries} == {entry.dump_id for entry in toc.entries}


def test_a_restarted_server_keeps_its_data_and_a_crash_ends_its_sessions(server):
    server.create_database("kept")
    session = server.connect("kept")
    server.restart("immediate")
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    assert server.oid("kept") is not None


def test_the_password_is_needed_over_tcp(server):
    address = {"host": "127.0.0.1", "port": server.port, "user": "postgres", "dbname": "postgres"}
    with psycopg.connect(**address, password=PASSWORD) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(**address, password="wrong")


def test_settings_last_as_long_as_asked_for(server):
    with server.settings(work_mem="7MB"):
        assert server.one("SHOW work_mem") == "7MB"
    assert server.one("SHOW work_mem") != "7MB"


def test_role_r_is_no_superuser_but_may_act_as_the_owner(server):
    make_roles(server)
    server.create_restorer("r", "shop_owner")
    assert server.sql("SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = 'r'") == [(False, True)]
    server.create_database("theirs", owner="shop_owner")
    server.sql("ALTER DATABASE theirs RENAME TO ours", user="r")
    server.create_database("not_theirs")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        server.sql("ALTER DATABASE not_theirs RENAME TO ours_too", user="r")


def test_properties_of_a_database_show_grants_settings_and_limits(server):
    make_roles(server)
    server.create_database("plain")
    before = properties(server, "plain")
    for change in ("GRANT CREATE ON DATABASE plain TO shop_app", "ALTER DATABASE plain SET work_mem = '5MB'",
                   "ALTER ROLE shop_app IN DATABASE plain SET search_path = shop", "ALTER DATABASE plain CONNECTION LIMIT 9", "ALTER DATABASE plain OWNER TO shop_owner"):
        server.sql(change)
        after = properties(server, "plain")
        assert after != before, change
        before = after


# --- the PostgreSQL proxy ---------------------------------------------------------------------------------------------


def connect_through(proxy, **more):
    return psycopg.connect(host="127.0.0.1", port=proxy.port, user="postgres", password=PASSWORD, dbname="postgres", autocommit=True, **more)


class FakeProgram:
    """Stands for the program: kill() is noticed."""

    def __init__(self):
        self.killed = threading.Event()

    def kill(self):
        self.killed.set()

    def is_running(self):
        return not self.killed.is_set()


def test_the_proxy_counts_each_round_trip_once(server, pg_proxy):
    proxy = pg_proxy(server)
    with connect_through(proxy) as session:
        session.execute("SELECT 1; SELECT 2")  # one simple query
        session.execute("SELECT %s", ["x"])  # one extended group
        session.execute("SELECT %s", ["y"])  # and another
        session.execute("CREATE TEMPORARY TABLE t (x text)")
        with session.cursor().copy("COPY t FROM STDIN") as copy:
            for _ in range(1000):
                copy.write("some text\n")
    proxy.wait_for_quiet()
    kinds = [message.kind for message in proxy.messages]
    assert kinds == ["startup", "Query", "Extended", "Extended", "Query", "Query", "CopyData", "CopyDone", "Terminate"], proxy.describe()
    assert [message.number for message in proxy.messages] == list(range(1, 10))
    assert proxy.messages[1].sql == "SELECT 1; SELECT 2" and "SELECT $1" in proxy.messages[2].sql
    assert "user postgres" in proxy.messages[0].sql


def test_the_proxy_passes_a_pipeline_on(server, pg_proxy):
    proxy = pg_proxy(server)
    with connect_through(proxy) as session, session.pipeline():
        cursors = [session.execute("SELECT %s::int", [n]) for n in range(20)]
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(20))


def test_the_proxy_passes_much_copy_data_and_errors_on(server, pg_proxy):
    proxy = pg_proxy(server)
    row = "x" * 199 + "\n"
    with connect_through(proxy) as session:
        session.execute("CREATE TEMPORARY TABLE big (x text)")
        with session.cursor().copy("COPY big FROM STDIN") as copy:
            for _ in range(2000):
                copy.write(row * 50)  # 20 MB in all
        assert session.execute("SELECT count(*), sum(length(x)) FROM big").fetchone() == (100_000, 199 * 100_000)
        with session.cursor().copy("COPY big TO STDOUT") as copy:
            assert sum(len(data) for data in copy) == 200 * 100_000
        with pytest.raises(psycopg.errors.BadCopyFileFormat):
            with session.cursor().copy("COPY big FROM STDIN") as copy:
                copy.write("a\tb\tc\n")
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_a_kill_before_a_message_keeps_it_from_the_server(server, pg_proxy):
    server.sql("CREATE TABLE IF NOT EXISTS marks (x text); TRUNCATE marks")
    proxy, program = pg_proxy(server), FakeProgram()
    proxy.victim = program
    trap = proxy.before(3, kill)
    with pytest.raises(psycopg.OperationalError), connect_through(proxy) as session:
        session.execute("INSERT INTO marks VALUES ('first')")
        session.execute("INSERT INTO marks VALUES ('second')")
    trap.wait()
    proxy.wait_for_quiet()
    assert program.killed.wait(5)
    assert server.sql("SELECT x FROM marks") == [("first",)]


def test_a_trap_after_a_message_holds_back_every_byte_of_the_answer(server, pg_proxy):
    proxy = pg_proxy(server)
    proxy.after(sql("generate_series"), cut)
    rows = []
    with pytest.raises(psycopg.OperationalError), connect_through(proxy) as session:
        rows.extend(session.cursor().stream("SELECT repeat('x', 1000) FROM generate_series(1, 20000)"))
    assert rows == []


@pytest.mark.parametrize("which", [3, sql("VALUES \\('second'\\)")])
def test_a_kill_after_a_message_lets_the_server_finish_and_the_program_not_know(server, pg_proxy, which):
    server.sql("CREATE TABLE IF NOT EXISTS marks (x text); TRUNCATE marks")
    proxy, program = pg_proxy(server), FakeProgram()
    proxy.victim = program
    trap = proxy.after(which, kill)
    with connect_through(proxy) as session:
        session.execute("INSERT INTO marks VALUES ('first')")
        with pytest.raises(psycopg.OperationalError):
            session.execute("INSERT INTO marks VALUES ('second')")
    assert trap.message.number == 3 and program.killed.wait(5)
    proxy.wait_for_quiet()
    assert server.sql("SELECT x FROM marks ORDER BY 1") == [("first",), ("second",)]


def test_a_trap_after_startup_and_after_the_start_of_a_copy_springs(server, pg_proxy):
    proxy = pg_proxy(server)
    trap = proxy.after(1, cut)
    with pytest.raises(psycopg.OperationalError):
        connect_through(proxy)
    trap.wait()
    proxy.wait_for_quiet()
    proxy.reset()
    trap = proxy.after(sql("^COPY"), cut)
    with connect_through(proxy) as session:
        session.execute("CREATE TEMPORARY TABLE t (x text)")
        with pytest.raises(psycopg.OperationalError), session.cursor().copy("COPY t FROM STDIN") as copy:
            copy.write("x\n")
    assert trap.message.kind == "Query"


def test_every_kind_of_message_can_be_trapped_before_and_after(server, pg_proxy):
    server.sql("CREATE TABLE IF NOT EXISTS marks (x text)")
    proxy = pg_proxy(server)
    for number in range(1, 8):
        for when in (proxy.before, proxy.after):
            server.sql("TRUNCATE marks")
            proxy.reset()
            trap = when(number, cut)
            try:
                with connect_through(proxy) as session:
                    session.execute("INSERT INTO marks VALUES ('query')")
                    session.execute("INSERT INTO marks VALUES (%s)", ["extended"])
                    with session.cursor().copy("COPY marks FROM STDIN") as copy:
                        copy.write("copy\n")
            except psycopg.OperationalError:
                pass
            trap.wait()
            proxy.wait_for_quiet()
            seen = {row[0] for row in server.sql("SELECT x FROM marks")}
            expected = {"query": 2, "extended": 3, "copy": 6}
            reached = number if when == proxy.after else number - 1
            assert seen == {what for what, needs in expected.items() if reached >= needs}, (number, when, proxy.describe())


def test_a_stalled_message_holds_only_its_connection(server, pg_proxy):
    proxy, stall = pg_proxy(server), Stall()
    answers = []
    proxy.before(sql("SELECT 'held'"), stall)
    with connect_through(proxy) as held, connect_through(proxy) as other:
        waiting = threading.Thread(target=lambda: answers.append(held.execute("SELECT 'held'").fetchone()))
        waiting.start()
        assert other.execute("SELECT 'other'").fetchone() == ("other",)
        assert answers == []
        stall.release()
        waiting.join(10)
    assert answers == [("held",)]


def test_cutting_all_connections_ends_the_sessions_on_the_server(server, pg_proxy):
    proxy = pg_proxy(server)
    sessions = [connect_through(proxy, application_name="cut me") for _ in range(3)]
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cut me'"
    assert server.one(count) == 3
    proxy.cut_all()
    wait_until(lambda: server.one(count) == 0, "the server has noticed")
    for session in sessions:
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")


def test_cancel_requests_pass_the_proxy_uncounted(server, pg_proxy):
    proxy = pg_proxy(server)
    words = [server.bin / "psql", "-X", "-c", "SELECT pg_sleep(60)"]
    psql = subprocess.Popen(words, env=server.environment(port=proxy.port) | {"PGDATABASE": "postgres"}, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: server.sql("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(60)' AND state = %s", "active"), "psql waits")
    psql.send_signal(signal.SIGINT)
    assert "canceling statement due to user request" in psql.communicate(timeout=20)[1]
    proxy.wait_for_quiet()
    assert [message.kind for message in proxy.messages] == ["startup", "Query", "Terminate"]


def test_a_refusing_proxy_looks_like_a_dead_server(server, pg_proxy):
    proxy = pg_proxy(server)
    proxy.refuses = True
    with pytest.raises(psycopg.OperationalError):
        connect_through(proxy)


def test_an_action_that_fails_is_reported(server, background):
    proxy = PgProxy(background, server.port)
    proxy.before(kind("Query"), lambda *_: 1 / 0)
    with pytest.raises(psycopg.OperationalError), connect_through(proxy) as session:
        session.execute("SELECT 1")
    proxy.close()
    assert isinstance(proxy.errors[0], ZeroDivisionError)


def test_the_server_ends_a_session_and_the_client_hears_why(server, pg_proxy):
    with connect_through(pg_proxy(server)) as session:
        server.sql("SELECT pg_terminate_backend(%s)", session.info.backend_pid)
        with pytest.raises(psycopg.errors.AdminShutdown):
            session.execute("SELECT 1")


# --- S3, TLS and the HTTP proxy ---------------------------------------------------------------------------------------


def client_for(url: str, **more):
    config = botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=3)
    return boto3.client("s3", endpoint_url=url, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=REGION, config=config, **more)


@pytest.fixture
def bucket(s3):
    numbers = [int(entry["Name"].rpartition("-")[2]) for entry in s3.client.list_buckets()["Buckets"] if entry["Name"].startswith("harness-")]
    bucket = s3.bucket(f"harness-{max(numbers, default=0) + 1}")
    bucket.put("some/object", b"0123456789" * 100)
    return bucket


def test_objects_come_back_as_they_were_put(bucket):
    assert bucket.get("some/object") == b"0123456789" * 100
    bucket.put("odd ä %41+&=?/name", b"x")
    assert sorted(bucket.keys()) == ["odd ä %41+&=?/name", "some/object"]
    bucket.delete("some/object")
    assert bucket.keys() == ["odd ä %41+&=?/name"]


def test_tls_is_verified_against_the_given_authority_and_name(s3, bucket, authority, background):
    front = TlsFront(background, authority.certificate("localhost"), s3.port)
    assert client_for(front.url, verify=str(authority.ca)).get_object(Bucket=bucket.name, Key="some/object")["Body"].read(4) == b"0123"
    with pytest.raises(botocore.exceptions.SSLError):
        client_for(front.url).list_objects_v2(Bucket=bucket.name)
    with pytest.raises(botocore.exceptions.SSLError):
        client_for(front.url.replace("localhost", "127.0.0.1"), verify=str(authority.ca)).list_objects_v2(Bucket=bucket.name)
    front.close()


def test_a_certificate_can_be_expired(authority, s3, background):
    front = TlsFront(background, authority.certificate("localhost", days=0), s3.port)
    with pytest.raises(urllib.error.URLError, match="certificate has expired|certificate verify failed"):
        urllib.request.urlopen(front.url, context=ssl.create_default_context(cafile=str(authority.ca)))
    front.close()


def test_the_fault_proxy_is_invisible_until_told_otherwise(bucket, fault_proxy):
    client = client_for(fault_proxy.url)
    assert client.get_object(Bucket=bucket.name, Key="some/object", Range="bytes=10-19")["Body"].read() == b"0123456789"
    assert client.head_object(Bucket=bucket.name, Key="some/object")["ContentLength"] == 1000
    client.put_object(Bucket=bucket.name, Key="other", Body=b"x" * 100_000)
    assert [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket.name)["Contents"]] == ["other", "some/object"]
    assert [request.method for request in fault_proxy.requests] == ["GET", "HEAD", "PUT", "GET"]
    assert fault_proxy.requests[0].headers["range"] == "bytes=10-19"
    assert fault_proxy.requests[3].query["list-type"] == "2"


def test_faults_hit_the_requests_they_are_meant_for(bucket, fault_proxy):
    client = client_for(fault_proxy.url)

    def get(**more):
        return client.get_object(Bucket=bucket.name, Key="some/object", **more)["Body"].read()

    fault_proxy.on(gets("object"), Answer(503), skip=1)
    assert len(get()) == 1000
    with pytest.raises(botocore.exceptions.ClientError, match="503"):
        get()
    assert len(get()) == 1000
    assert [request.fault != "" for request in fault_proxy.requests] == [False, True, False]

    fault_proxy.on(lists, xml_error(403, "AccessDenied"))
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        client.list_objects_v2(Bucket=bucket.name)

    fault_proxy.on(gets("object"), CutBody(after=10))
    with pytest.raises((botocore.exceptions.ResponseStreamingError, botocore.exceptions.IncompleteReadError)):
        get()

    fault_proxy.on(gets("object"), HangUp())
    with pytest.raises((botocore.exceptions.ConnectionClosedError, botocore.exceptions.EndpointConnectionError)):
        get()

    fault_proxy.on(gets("object"), FlipByte(3))
    assert get(Range="bytes=0-9") == b"012" + bytes([ord("3") ^ 0xFF]) + b"456789"

    fault_proxy.on(gets("object"), Answer(200, b"whole"))
    assert get(Range="bytes=0-1") == b"whole"

    fault_proxy.on(gets("object"), ChangeHeaders({"ETag": '"other"', "Content-Length": "5000"}))
    with pytest.raises((botocore.exceptions.ResponseStreamingError, botocore.exceptions.IncompleteReadError)):
        get()

    seen = []
    fault_proxy.on(anything, Call(lambda request: seen.append(request.path)), times=None)
    assert len(get()) == 1000 and seen == [f"/{bucket.name}/some/object"]


def test_a_stalled_answer_comes_when_released(bucket, fault_proxy):
    stall = fault_proxy.on(gets("object"), HttpStall(after=5))
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(client_for(fault_proxy.url).get_object(Bucket=bucket.name, Key="some/object")["Body"].read()))
    waiting.start()
    assert stall.reached.wait(10) and answers == []
    stall.release()
    waiting.join(10)
    assert len(answers[0]) == 1000


def test_a_stall_ends_when_the_client_gives_up(bucket, fault_proxy):
    fault_proxy.on(gets("object"), HttpStall())
    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        client_for(fault_proxy.url).get_object(Bucket=bucket.name, Key="some/object")
    assert client_for(fault_proxy.url).head_object(Bucket=bucket.name, Key="some/object")["ContentLength"] == 1000


# --- scenario, state directory, running a program, invariants -----------------------------------------------------------


def test_a_shop_starts_with_todays_edition_and_two_backups(shop):
    shop.assert_live_is(TODAY)
    assert shop.edition() == TODAY
    assert shop.store.keys() == [f"shop/{MONDAY.name}", f"shop/{TUESDAY.name}"]
    shop.assert_untouched()
    shop.assert_consistent(TODAY)
    shop.server.sql("DELETE FROM shop.notes", database=shop.database)
    with pytest.raises(AssertionError):
        shop.assert_untouched()
    with pytest.raises(AssertionError):
        shop.assert_consistent(TODAY, MONDAY.edition)


def test_the_state_file_is_a_config_map(shop):
    shop.state.desire(MONDAY.at, request="again")
    shop.state.configure(verify=[{"sql": "SELECT true"}])
    config_map = yaml.safe_load(shop.state.file.read_text())
    assert config_map["kind"] == "ConfigMap" and config_map["data"]["desiredBackupTimestamp"] == MONDAY.at
    assert isinstance(config_map["data"]["restore.yaml"], str)
    spec = yaml.safe_load(config_map["data"]["restore.yaml"])
    assert spec["database"] == shop.database and spec["verify"] == [{"sql": "SELECT true"}]
    assert shop.state.applied() is None
    shop.state.set_applied("2024-12-10T00:00:00Z")
    assert shop.state.applied() == "2024-12-10T00:00:00Z"


def test_a_run_is_reported_as_it_was(tmp_path, monkeypatch):
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho \'{"level": "warn", "msg": "careful"}\' >&2\necho text\necho "{\\"reason\\": \\"FirstContact\\", \\"args\\": \\"$*\\", \\"x\\": \\"$X\\"}"\nexit 12\n')
    program.chmod(0o755)
    monkeypatch.setenv("RESTORE_RECONCILER_BIN", str(program))
    monkeypatch.setenv("PGHOST", "not for the program")
    reconciler = Reconciler(tmp_path / "home", {"X": "1"})
    run = reconciler.run("run", "--state-dir", "d", environment={"X": "2"}).expect(12, "FirstContact")
    assert run.report == {"reason": "FirstContact", "args": "run --state-dir d", "x": "2"}
    assert "careful" in run.warnings()
    for wrong in ({"exit": 0}, {"exit": 12, "reason": "Other"}):
        with pytest.raises(AssertionError):
            run.expect(**wrong)
    program.write_text("#!/bin/sh\nenv\n")
    assert "PGHOST" not in reconciler.run().text


def test_a_run_that_hangs_is_killed_and_fails(tmp_path, monkeypatch):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec sleep 100\n")
    program.chmod(0o755)
    monkeypatch.setenv("RESTORE_RECONCILER_BIN", str(program))
    with pytest.raises(AssertionError, match="still running"):
        Reconciler(tmp_path / "home", {}).run(seconds=0.3)


def test_a_missing_program_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setenv("RESTORE_RECONCILER_BIN", str(tmp_path / "none"))
    with pytest.raises(AssertionError, match="make static"):
        Reconciler(tmp_path / "home", {}).run()


def test_invariants_notice_leftovers_double_restores_locks_and_unfinished_journals(shop):
    server = shop.server

    def check():
        invariants.check_rest(server, shop.control, shop.database, shop.state)

    check()
    staging = f"{shop.database}_rrsabcdefghijkl"
    server.create_database(staging)
    with pytest.raises(AssertionError, match="no registry"):
        check()
    server.create_database(shop.control)
    server.sql("""CREATE SCHEMA restore_reconciler;
        CREATE TABLE restore_reconciler.database (oid oid, name text, state text);
        CREATE TABLE restore_reconciler.history (seq int, target text, kind text, desired text, request text)""", database=shop.control)
    server.sql("INSERT INTO restore_reconciler.database VALUES (%s, %s, 'staging')", server.oid(staging), staging, database=shop.control)
    with pytest.raises(AssertionError, match="staging left over"):
        check()
    server.drop_database(staging)
    check()
    for _ in range(2):
        server.sql("INSERT INTO restore_reconciler.history VALUES (1, %s, 'restore', 'd', '')", shop.database, database=shop.control)
    with pytest.raises(AssertionError, match="restored twice"):
        check()
    server.sql("TRUNCATE restore_reconciler.history", database=shop.control)
    with server.connect(shop.control) as session:
        session.execute("SELECT pg_advisory_lock(29298, hashtext('x'))")
        with pytest.raises(AssertionError, match="locks"):
            check()
    wait_until(lambda: not invariants.locks_held(server), "the lock is gone")
    shop.state.journal_file.write_text('{"version": 1, "data": {"phase": "Stage"}}')
    with pytest.raises(AssertionError, match="not idle"):
        check()


def test_a_database_that_cannot_be_used_is_noticed(shop):
    shop.server.sql(f"ALTER DATABASE {shop.database} ALLOW_CONNECTIONS false")
    with pytest.raises(AssertionError, match="cannot be used"):
        invariants.live_is_usable(shop.server, shop.database)


def test_a_big_shop_can_be_made(server):
    make_roles(server)
    make_shop(server, "big", edition=4, users=20_000)
    assert server.one("SELECT count(*) FROM shop.order_lines", database="big") == 40_000


def test_a_reset_connection_is_a_reset_not_a_goodbye(fault_proxy):
    fault_proxy.on(anything, HangUp())
    with socket.create_connection(("127.0.0.1", fault_proxy.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.recv(100)
