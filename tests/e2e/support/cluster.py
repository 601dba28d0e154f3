"""A cluster for a test session: started when the first test asks for it, gone with the session.

All tests that use one run on one worker (conftest.py), so that a single control plane is started.
"""

import asyncio
import contextlib
import os

from testbed.bed import owned
from testbed.cluster import Cluster, Namespace

from .background import Background, close

__all__ = ["Cluster", "Doorway", "FIXTURES", "KUBERNETES", "Namespace", "make_cluster"]

KUBERNETES = os.environ.get("E2E_KUBERNETES", "1.37")  # of the control plane; the real node takes 1.37 only
FIXTURES = {"cluster", "node_cluster"}


@contextlib.contextmanager
def make_cluster(with_node: bool, has_failed):
    """with_node: a real node in the place of the simulated one. The logs are kept when has_failed() at the end."""
    version = "1.37" if with_node else KUBERNETES
    with owned(kubernetes=version, with_node=with_node, with_kwok=not with_node) as bed:
        yield Cluster(bed)
        if has_failed():
            bed.keep_logs()


class Doorway:
    """Lets pods of the real node reach what listens on 127.0.0.1 of this machine: the same port at cluster.host_ip."""

    def __init__(self, background: Background, cluster: Cluster, port: int):
        self.host, self.port = cluster.host_ip, port
        self._background = background
        self._server = background.run(asyncio.start_server(self._serve, self.host, port))

    def close(self):
        self._background.loop.call_soon_threadsafe(self._server.close)

    async def _serve(self, client_reader, client_writer):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            await close(client_writer, reset=True)  # as a port that nobody listens on would
            return
        await asyncio.gather(_copy(client_reader, writer), _copy(reader, client_writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
    try:
        while data := await reader.read(1 << 18):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # one side went; the other is told below
    await close(writer)
