"""Fixtures of the end-to-end tests. What they are made of is in support/; how to run them is in run (beside this file)."""

import contextlib
import itertools
import os
import pathlib
import shutil
import ssl
import tempfile

import pytest

from support.background import Background
from support.cluster import FIXTURES as CLUSTER_FIXTURES
from support.cluster import Doorway, make_cluster
from support.cluster_shop import ClusterShop
from support.fault_proxy import FaultProxy
from support.folder import Folder
from support.pg_proxy import PgProxy
from support.postgres import Postgres
from support.s3 import S3
from support.scenario import Editions, Shop
from support.shop import OWNER
from support.tls import Authority

STORE = os.environ.get("E2E_STORE", "s3")  # where backups are when a test does not say: s3 or file
MAJOR = int(os.environ.get("E2E_MAJOR", "17"))  # where a test does not ask for all of them


@pytest.fixture(scope="session")
def workdir(request):
    """The session's folder. The servers' account must get in; after a failure the logs stay."""
    remove_what_the_dead_left()
    path = pathlib.Path(tempfile.mkdtemp(prefix=f"rr-e2e-{os.getpid()}-", dir=roomy_memory() or "/tmp"))
    path.chmod(0o755)
    yield path
    if request.session.testsfailed:
        kept = pathlib.Path("/tmp") / path.name.replace("rr-e2e-", "rr-e2e-logs-")
        for log in path.rglob("*.log"):
            (kept / log.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(log, kept / log.parent.name / log.name)
        print(f"\nlogs of the servers: {kept}")
    shutil.rmtree(path, ignore_errors=True)


def roomy_memory() -> str | None:
    """Databases come and go by the hundred; in memory that takes half the time. None where there is not enough of it."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage("/dev/shm").free > 6 << 30:
            return "/dev/shm"
    return None


def remove_what_the_dead_left():
    """Folders of sessions that were killed: they may be memory."""
    for parent in ("/tmp", "/dev/shm"):
        for folder in pathlib.Path(parent).glob("rr-e2e-[0-9]*-*"):
            if not pathlib.Path("/proc", folder.name.split("-")[2]).exists():
                shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def background():
    loop = Background()
    yield loop
    loop.stop()


@pytest.fixture(scope="session")
def s3(workdir):
    server = S3(workdir / "s3")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def authority(workdir):
    return Authority(workdir / "authority")


class Servers:
    """One server per major version, started when it is first asked for."""

    def __init__(self, folder: pathlib.Path):
        self._folder = folder
        self._servers: dict[int, Postgres] = {}
        self._editions: dict[int, Editions] = {}

    def get(self, major: int) -> Postgres:
        if major not in self._servers:
            self._servers[major] = Postgres(major, self._folder / f"postgresql-{major}")
        self._servers[major].start()
        return self._servers[major]

    def editions(self, major: int) -> Editions:
        if major not in self._editions:
            self._editions[major] = Editions(self.get(major), self._folder / f"editions-{major}")
        return self._editions[major]

    def clean(self):
        """Takes away what a test left: every database but the templates, slots, prepared transactions."""
        for server in self._servers.values():
            server.start()
            for gid, database in server.sql("SELECT gid, database FROM pg_prepared_xacts"):
                server.sql("ROLLBACK PREPARED '" + gid.replace("'", "''") + "'", database=database)
            server.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active")
            for name in server.databases():
                if not name.startswith("template_edition_"):
                    server.drop_database(name)

    def stop(self):
        for server in self._servers.values():
            server.stop("immediate")


@pytest.fixture(scope="session")
def servers(workdir):
    all_of_them = Servers(workdir)
    yield all_of_them
    all_of_them.stop()


@pytest.fixture
def server(servers):
    """A server of the default major version; databases that a test makes are gone after it."""
    yield servers.get(MAJOR)
    servers.clean()


_numbers = itertools.count(1)


def _parts_of_a_shop(servers, s3, tmp_path, major: int = MAJOR, user: str = "postgres", database: str | None = None, store: str = STORE) -> tuple:
    """What Shop() and ClusterShop() are made of."""
    number = next(_numbers)
    if user != "postgres":
        servers.editions(major)  # makes the owner
        servers.get(major).create_restorer(user, OWNER)
    backups = s3.bucket(f"bucket-{os.getpid()}-{number}") if store == "s3" else Folder(tmp_path / f"backups-{number}")
    return servers.get(major), servers.editions(major), backups, tmp_path / str(number), database or f"app_{number}", user


@pytest.fixture
def make_shop(servers, s3, tmp_path):
    """Makes shops: make_shop(major=15, user="restorer", database="any name"). Another user than postgres is a role R."""

    def make(**words) -> Shop:
        return Shop(*_parts_of_a_shop(servers, s3, tmp_path, **words))

    yield make
    servers.clean()


@pytest.fixture
def shop(make_shop):
    """A shop on the default major version."""
    return make_shop()


@pytest.fixture
def pg_proxy(background):
    """Makes proxies between the program and a server: pg_proxy(server)."""
    made = []

    def make(server: Postgres) -> PgProxy:
        made.append(PgProxy(background, server.port))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()
        assert not proxy.errors, f"actions failed: {proxy.errors}"


@pytest.fixture
def fault_proxy(background, s3):
    """A proxy in front of the S3 server that misbehaves on command."""
    proxy = FaultProxy(background, s3.port)
    yield proxy
    proxy.close()


# --- Kubernetes -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def cluster(request):
    """A control plane with a simulated node; E2E_KUBERNETES chooses the version. Most tests want a namespace of it."""
    with make_cluster(with_node=False, has_failed=lambda: request.session.testsfailed) as made:
        yield made


@pytest.fixture(scope="session")
def node_cluster(request):
    """A control plane with a real node: pods run here, and reach this machine at node_cluster.host_ip."""
    with make_cluster(with_node=True, has_failed=lambda: request.session.testsfailed) as made:
        yield made


@pytest.fixture
def namespace(cluster):
    """A new namespace on the simulated node. What a test stopped or froze runs again after it."""
    with _namespace_of(cluster) as made:
        yield made


@pytest.fixture
def node_namespace(node_cluster):
    """A new namespace on the real node."""
    with _namespace_of(node_cluster) as made:
        yield made


@pytest.fixture
def doorway(background, node_cluster):
    """Opens ports of 127.0.0.1 to pods of the real node: doorway(server.port) has the host and port for them."""
    made = []

    def make(port: int) -> Doorway:
        made.append(Doorway(background, node_cluster, port))
        return made[-1]

    yield make
    for opened in made:
        opened.close()


@contextlib.contextmanager
def _namespace_of(cluster):
    made = cluster.namespace()
    yield made
    cluster.repair()
    made.abandon()

# --- shops in a cluster ---------------------------------------------------------------------------------------------


@pytest.fixture
def make_cluster_shop(servers, s3, cluster, namespace, tmp_path):
    """Makes shops whose state is a ConfigMap; in_new_namespace: not in the one of the fixture "namespace"."""
    more = contextlib.ExitStack()

    def make(in_new_namespace: bool = False, **words) -> ClusterShop:
        where = more.enter_context(_namespace_of(cluster)) if in_new_namespace else namespace
        return ClusterShop(where, *_parts_of_a_shop(servers, s3, tmp_path, **words))

    with more:
        yield make
    servers.clean()


@pytest.fixture
def cluster_shop(make_cluster_shop):
    """A shop in a namespace of its own, on the simulated node."""
    return make_cluster_shop()


@pytest.fixture(scope="session")
def cluster_authority(cluster, workdir):
    """The cluster's own authority: what it signs, kubeconfigs trust already."""
    return Authority(workdir / "cluster-authority", (cluster.ca, cluster.ca.with_suffix(".key")))


@pytest.fixture
def api_proxy(background, cluster, cluster_authority):
    """A proxy in front of the API server that misbehaves on command: shop.identify(url=api_proxy.url)."""
    shown, trusted = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context(cafile=str(cluster.ca))
    shown.load_cert_chain(*cluster_authority.certificate("127.0.0.1"))
    proxy = FaultProxy(background, cluster.bed.layout.port_of("api"), tls=(shown, trusted))
    yield proxy
    proxy.close()


@pytest.hookimpl(tryfirst=True)  # before the plugin that reads the groups
def pytest_collection_modifyitems(items):
    """What needs a server that is dear to start runs on one worker: a cluster, or one major version of PostgreSQL.

    The marker "cluster" stands on every test that uses the simulated node: -m cluster, -m "not cluster".
    """
    for item in items:
        major = getattr(item, "callspec", None) and item.callspec.params.get("major")
        if "cluster" in item.fixturenames:
            item.add_marker(pytest.mark.cluster)
        if CLUSTER_FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.xdist_group("cluster"))
        elif major:
            item.add_marker(pytest.mark.xdist_group(f"postgresql-{major}"))
