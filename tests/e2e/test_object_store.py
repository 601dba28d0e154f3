"""S3 as it is: slow, paged, behind TLS, and at times not there. Never: bytes believed that were not asked for."""

import concurrent.futures
import os

import pytest

from support.fault_proxy import Answer, ChangeHeaders, CutBody, FlipByte, HangUp, Stall, anything, gets, lists, xml_error
from support.scenario import MONDAY
from support.tls import TlsFront
from support.waiting import wait_until

DUMP = gets(MONDAY.name)


@pytest.fixture
def s3_shop(make_shop):
    shop = make_shop(store="s3")
    shop.state.desire(MONDAY.at)
    return shop


@pytest.fixture
def faulty(s3_shop, fault_proxy):
    """A shop that reaches S3 through the fault proxy."""
    s3_shop.s3_through(fault_proxy.url)
    return s3_shop


@pytest.mark.parametrize("fault", [Answer(500), Answer(502), Answer(503), xml_error(503, "SlowDown"), Answer(429, headers={"Retry-After": "1"}), HangUp(), CutBody(100)], ids=repr)
@pytest.mark.parametrize("where", ["list", "head", "read"])
def test_trouble_that_passes_is_tried_again(faulty, fault_proxy, fault, where):
    """Never: a restore that fails because of one answer."""
    matches = {"list": lists, "head": lambda request: request.method == "HEAD", "read": DUMP}[where]
    fault_proxy.on(matches, fault, times=2)
    faulty.run().expect(0)
    assert sum(bool(request.fault) for request in fault_proxy.requests) == 2
    faulty.assert_consistent(MONDAY.edition)


def test_trouble_that_stays_ends_in_time_and_changes_nothing(faulty, fault_proxy):
    fault_proxy.on(anything, Answer(503), times=None)
    run = faulty.run().expect(4)
    assert run.report["reason"] in ("UnexpectedAnswer", "NetworkUnreachable"), run
    faulty.assert_untouched()


def run_through_faults(shop, proxy):
    """A run that is told to stop once it has met the fault a few times: it may go on trying for minutes."""
    with shop.start() as running:
        wait_until(lambda: not running.is_running() or sum(bool(request.fault) for request in proxy.requests) >= 3, "the fault was met", 60)
        if running.is_running():
            running.terminate()
        run = running.wait(30)
    if run.exit == 0:  # what was spoilt did not matter for what was asked
        shop.assert_consistent(MONDAY.edition)
    else:
        assert run.exit in (2, 4, 5, 10, 14), run
        shop.assert_untouched()
    return run


def test_trouble_that_begins_during_the_load_is_undone(faulty, fault_proxy):
    fault_proxy.on(DUMP, Answer(500), times=None, skip=2)
    assert run_through_faults(faulty, fault_proxy).exit in (5, 10)


if os.environ.get("TORTURE") == "full":

    @pytest.mark.timeout(400)
    def test_trouble_that_stays_during_the_load_ends_by_itself(faulty, fault_proxy):
        """Takes minutes. Never: a restore that hangs on a store that is gone."""
        fault_proxy.on(DUMP, Answer(500), times=None, skip=2)
        faulty.run(seconds=300).expect(10)
        faulty.assert_untouched()


def test_a_denied_object_is_not_asked_for_again_and_again(faulty, fault_proxy):
    fault_proxy.on(DUMP, xml_error(403, "AccessDenied"), times=None)
    faulty.expect(14, "BackupAccessDenied")
    assert sum(bool(request.fault) for request in fault_proxy.requests) <= 2
    faulty.assert_untouched()


def test_a_whole_object_in_place_of_a_range_is_not_taken_for_the_range(faulty, fault_proxy):
    """Never: the first bytes of the object believed to be those from the middle."""
    content = faulty.store.get(f"shop/{MONDAY.name}")
    fault_proxy.on(DUMP, Answer(200, content), times=None)
    run_through_faults(faulty, fault_proxy)


@pytest.mark.parametrize("headers", [{"Content-Range": "bytes 0-9/36000"}, {"Content-Range": None}, {"Content-Range": "bytes 5-4/3"}, {"Content-Length": "7"}, {"Content-Length": "99999999"}, {"Content-Range": "bytes 0-99999999999999999999/*"}], ids=str)
def test_an_answer_that_lies_about_its_range_is_not_believed(faulty, fault_proxy, headers):
    fault_proxy.on(DUMP, ChangeHeaders(headers), times=None, skip=1)
    run_through_faults(faulty, fault_proxy)


def test_an_object_that_changes_its_etag_is_another_object(faulty, fault_proxy):
    """Never: two backups mixed in one database."""
    fault_proxy.on(DUMP, ChangeHeaders({"ETag": '"another"'}), times=None, skip=2)
    run = faulty.run().expect(10, "BackupChanged")
    faulty.assert_untouched()
    assert run.exit == 10


def test_bytes_that_are_wrong_on_the_way_are_found(faulty, fault_proxy):
    """The store keeps a checksum with the object: it is compared."""
    fault_proxy.on(DUMP, FlipByte(5000), times=None, skip=1)
    run = faulty.run()
    assert run.exit in (10, 14), run
    faulty.assert_untouched()


def test_a_store_that_falls_silent_is_given_up_when_told_to_stop(faulty, fault_proxy):
    """Never: a pod that cannot be stopped because a store does not answer."""
    stall = fault_proxy.on(DUMP, Stall(after=10), times=None, skip=1)
    with faulty.start() as running:
        assert stall.reached.wait(30)
        running.terminate()
        run = running.wait(20)
    stall.release()
    assert run.exit == 5, run
    faulty.assert_untouched()


def test_a_checksum_that_the_store_keeps_is_verified(s3_shop):
    s3_shop.put_backup(MONDAY, ChecksumAlgorithm="SHA256")
    assert s3_shop.run().expect(0).report["integrity"] == "verified"


def test_many_backups_are_listed_page_by_page(s3_shop):
    """Never: the newest backup overlooked because it is on the second page."""
    names = [f"shop/{year}-{month:02}-{day:02}T00:00:00Z.dump" for year in (1990, 1991, 1992, 1993) for month in range(1, 13) for day in range(1, 29)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: s3_shop.store.put(name, b"x"), names))
    assert len(names) > 1000
    assert len(s3_shop.run(command="backups").expect(0).stdout.splitlines()) == len(names) + 2
    s3_shop.state.configure(backups={**s3_shop.state.spec["backups"], "select": "at-or-before"})
    assert s3_shop.run().expect(0).report["backup"].endswith(MONDAY.name)


def test_odd_names_are_found_and_read(s3_shop):
    """Every character of a key is signed and escaped as S3 wants it."""
    prefix = "a b/ü%41+&=?#;/~$'(x)*!/"
    s3_shop.store.put(f"{prefix}{MONDAY.name}", s3_shop.editions.archive(MONDAY.edition))
    s3_shop.state.configure(backups={**s3_shop.state.spec["backups"], "location": f"s3://{s3_shop.store.name}/a b/ü%41+&=?#;/~$'(x)*!/"})
    run = s3_shop.run()
    if run.exit == 2:  # query and fragment are refused in a location; the rest must work
        s3_shop.store.put(f"a b/ü%41+&=;/~$'(x)*!/{MONDAY.name}", s3_shop.editions.archive(MONDAY.edition))
        s3_shop.state.configure(backups={**s3_shop.state.spec["backups"], "location": f"s3://{s3_shop.store.name}/a b/ü%41+&=;/~$'(x)*!/"})
        run = s3_shop.run()
    run.expect(0)
    s3_shop.assert_consistent(MONDAY.edition)


# --- TLS ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def front(background, authority, s3):
    """Makes TLS fronts: front("localhost"), front("other.example"), front("localhost", days=0)."""
    made = []

    def make(name: str, days: int = 30) -> TlsFront:
        made.append(TlsFront(background, authority.certificate(name, days), s3.port))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "AWS_CA_BUNDLE"])
def test_tls_with_a_given_authority(s3_shop, front, authority, variable):
    s3_shop.s3_through(front("localhost").url)
    s3_shop.reconciler.environment[variable] = str(authority.ca)
    s3_shop.run().expect(0)
    s3_shop.assert_consistent(MONDAY.edition)


@pytest.mark.parametrize("what", ["unknown authority", "another name", "expired"])
def test_a_certificate_that_is_not_good_is_refused(s3_shop, front, authority, what):
    """Never: a backup taken from whoever answers."""
    made = front("other.example" if what == "another name" else "localhost", days=0 if what == "expired" else 30)
    s3_shop.s3_through(made.url)
    if what != "unknown authority":
        s3_shop.reconciler.environment["SSL_CERT_FILE"] = str(authority.ca)
    run = s3_shop.run().expect(4, "TlsFailed")
    assert "hint" in run.text
    s3_shop.assert_untouched()


def test_plain_text_in_place_of_tls_is_refused(s3_shop, s3):
    s3_shop.s3_through(s3.url.replace("http://", "https://"))
    run = s3_shop.run().expect(4)
    assert run.report["reason"] in ("TlsFailed", "NetworkUnreachable"), run
    s3_shop.assert_untouched()

