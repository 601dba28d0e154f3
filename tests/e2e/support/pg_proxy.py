"""A TCP proxy between the program and PostgreSQL that counts round trips and can strike at any of them.

The shipped binary has no hooks for tests; this proxy is how a test gets between any two of its database calls. It
numbers, over all connections, every client message that starts something on the server:

    startup     a new connection                       Query      one simple query
    Extended    Parse/Bind/Execute … up to Sync        CopyData   the first data of a COPY
    CopyDone    the end of a COPY (or CopyFail)        Terminate  the goodbye

A trap strikes before or after one of them: *before* it is passed on to the server, or *after* the server has answered
and before the program reads that answer.

    proxy.before(17, kill)                            # by number
    proxy.after(sql("INSERT INTO .*history"), cut)    # by what the message says
    proxy.messages                                    # what was seen, in order

An action is a function of (proxy, message), called in a thread of its own while that connection is held; it returns
None (go on), CUT (this connection) or CUT_ALL. Other connections go on meanwhile.
"""

import asyncio
import dataclasses
import re
import struct
import threading
import time
import typing

from .background import Background, close
from .waiting import wait_until

CUT, CUT_ALL = "cut", "cut all"
CHUNK = 1 << 18
SQL_CHARACTERS = 4000  # of a statement that are kept for matching and for reports

_SSL_REQUEST, _GSS_REQUEST, _CANCEL_REQUEST = 80877103, 80877104, 80877102
_Q, _F, _P, _S, _X = b"QFPSX"
_COPY_DATA, _COPY_ENDS = ord("d"), b"cf"
_EXTENDED = b"PBDECH"
_HEADER = struct.Struct("!Bi")  # type and length of a message
_Z, _BACKEND_KEY = b"ZK"
_ANSWERS = b"ZGW"  # ReadyForQuery, CopyInResponse, CopyBothResponse


@dataclasses.dataclass
class Message:
    number: int  # 1, 2, 3 … over all connections since the last reset
    connection: int
    kind: str
    sql: str
    trap: "Trap | None" = None  # one that waits for the answer
    answered: bool = False

    def __str__(self):
        return f"#{self.number} connection {self.connection} {self.kind} {self.sql[:200]!r}"


class Trap:
    """reached is set when the message is there and the action begins, fired when the action is over."""

    def __init__(self, matches, when: str, action):
        self.matches, self.when, self.action = matches, when, action
        self.reached, self.fired = threading.Event(), threading.Event()
        self.message: Message | None = None

    def wait(self, seconds: float = 30.0):
        """Waits until the program has come here."""
        if not self.reached.wait(seconds):
            raise TimeoutError(f"after {seconds} s the program had not come to this trap")

    def wait_until_over(self, seconds: float = 60.0):
        """Waits until the action is over as well."""
        if not self.fired.wait(seconds):
            raise TimeoutError(f"after {seconds} s the action was not over")


# --- which message, what to do ----------------------------------------------------------------------------------------


def sql(pattern: str):
    """Messages whose SQL matches this regular expression (anywhere, any case)."""
    compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return lambda message: compiled.search(message.sql) is not None


def kind(name: str):
    return lambda message: message.kind == name


def cut(_proxy, _message):
    return CUT


def cut_all(_proxy, _message):
    return CUT_ALL


def kill(proxy, _message):
    """SIGKILLs the program and waits until it is dead; nothing of the held message gets through."""
    wait_until(lambda: proxy.victim, "the test has named the program (proxy.victim)", 5).kill()
    return CUT


class Stall:
    """An action that holds the message until release() is called or the program is gone."""

    def __init__(self):
        self._released = threading.Event()

    def release(self):
        self._released.set()

    def __call__(self, proxy, message):
        while not self._released.wait(0.05):
            if proxy.is_closed or not proxy.is_connected(message.connection) or (proxy.victim and not proxy.victim.is_running()):
                return CUT
        return None


# --- the proxy ------------------------------------------------------------------------------------------------------


class PgProxy:
    def __init__(self, background: Background, upstream_port: int):
        self._background = background
        self._upstream_port = upstream_port
        self._connections: dict[int, _Connection] = {}
        self._last_connection = 0
        self.messages: list[Message] = []
        self._traps: list[Trap] = []
        self.is_closed = False
        self.refuses = False  # resets every new connection
        self.poses_as_pooler = False  # tells the program another backend pid than the server's
        self.victim = None  # the running program: anything with kill() and is_running()
        self.errors: list[BaseException] = []  # what actions raised; a test must not pass over it
        self._server = background.run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]

    def before(self, which: int | typing.Callable[[Message], bool], action) -> Trap:
        return self._add("before", which, action)

    def after(self, which: int | typing.Callable[[Message], bool], action) -> Trap:
        return self._add("after", which, action)

    def reset(self):
        """Forgets traps and messages, numbers from 1 again; connections stay."""
        self._traps.clear()
        self.messages = []
        self.victim = None

    def cut_all(self):
        """Resets every connection, on both sides, now."""
        self._background.run(self._cut_all())

    def is_connected(self, connection: int) -> bool:
        return connection in self._connections and not self._connections[connection].is_client_gone()

    def wait_for_quiet(self, seconds: float = 20.0):
        """Waits until no connection is left: the server knows of everything that the program ever sent."""
        deadline = time.monotonic() + seconds
        while self._connections:
            if time.monotonic() > deadline:
                raise TimeoutError(f"still connected: {list(self._connections)}")
            time.sleep(0.01)

    def close(self):
        self.is_closed = True
        self._background.loop.call_soon_threadsafe(self._server.close)
        self.cut_all()

    def describe(self) -> str:
        return "\n".join(str(message) for message in self.messages)

    # --- private, all of it on the loop ------------------------------------------------------------------------------

    def _add(self, when, which, action) -> Trap:
        matches = (lambda message: message.number == which) if isinstance(which, int) else which
        trap = Trap(matches, when, action)
        self._traps.append(trap)
        return trap

    def _trap_for(self, message: Message, when: str) -> Trap | None:
        for trap in self._traps:
            if trap.when == when and trap.message is None and trap.matches(message):
                trap.message = message
                return trap
        return None

    async def _spring(self, trap: Trap, message: Message) -> str | None:
        trap.reached.set()
        try:
            verdict = await asyncio.get_running_loop().run_in_executor(None, trap.action, self, message)
        except Exception as error:  # the test looks at it; the program must not wait for ever
            self.errors.append(error)
            verdict = CUT_ALL
        if verdict == CUT_ALL:
            await self._cut_all()
        trap.fired.set()
        return verdict

    async def _cut_all(self):
        for connection in list(self._connections.values()):
            await connection.cut()

    def _register(self, connection: int, kind_: str, text: str) -> Message:
        message = Message(len(self.messages) + 1, connection, kind_, text)
        self.messages.append(message)
        return message

    async def _serve(self, reader, writer):
        if self.refuses:
            return await close(writer, reset=True)
        self._last_connection += 1
        connection = _Connection(self, self._last_connection, reader, writer)
        self._connections[connection.number] = connection
        try:
            await connection.run()
        finally:
            del self._connections[connection.number]


class _Connection:
    def __init__(self, proxy: PgProxy, number: int, reader, writer):
        self.proxy, self.number = proxy, number
        self.client_reader, self.client_writer = reader, writer
        self.server_reader = self.server_writer = None
        self.unanswered: list[Message] = []  # oldest first; each ends with one ReadyForQuery
        self.in_group = False  # between the first message of an extended group and its Sync
        self.expects_copy_data = False
        self.passing: Message | None = None  # one with a trap that springs once it is passed on
        self.is_cut = False

    def is_client_gone(self) -> bool:
        return self.is_cut or self.client_reader.at_eof() or self.client_writer.is_closing()

    async def cut(self):
        self.is_cut = True
        for writer in (self.client_writer, self.server_writer):
            if writer is not None:
                await close(writer, reset=True)

    async def run(self):
        try:
            first = await self._first_packet()
            if first is None:
                return
            self.server_reader, self.server_writer = await asyncio.open_connection("127.0.0.1", self.proxy._upstream_port)
            if _code(first) == _CANCEL_REQUEST:
                self.server_writer.write(first)
                await self._pump_raw()
                return
            if await self._client_says("startup", _startup_text(first)):
                self.server_writer.write(first)
                await asyncio.gather(self._guard(self._pump_client()), self._guard(self._pump_server()))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for writer in (self.client_writer, self.server_writer):
                if writer is not None:
                    await close(writer)

    async def _guard(self, pump):
        """When one direction ends, the other one is told at once."""
        try:
            await pump
        except (OSError, asyncio.IncompleteReadError):
            pass
        for writer in (self.client_writer, self.server_writer):
            await close(writer)

    async def _first_packet(self) -> bytes | None:
        while True:
            try:
                head = await self.client_reader.readexactly(4)
                packet = head + await self.client_reader.readexactly(struct.unpack("!i", head)[0] - 4)
            except asyncio.IncompleteReadError:
                return None
            if _code(packet) not in (_SSL_REQUEST, _GSS_REQUEST):
                return packet
            self.client_writer.write(b"N")

    async def _pump_raw(self):
        while data := await self.server_reader.read(CHUNK):
            self.client_writer.write(data)

    # --- from the program to the server -------------------------------------------------------------------------------

    async def _pump_client(self):
        buffer, skip = bytearray(), 0  # skip: bytes of a message already judged that are still to come
        while data := await self.client_reader.read(CHUNK):
            buffer += data
            judged = min(skip, len(buffer))
            skip -= judged
            while True:
                if self.passing and not skip:
                    await self._to_server(buffer[:judged])
                    del buffer[:judged]
                    judged, message, self.passing = 0, self.passing, None
                    if not await self._answered(message):
                        return
                if len(buffer) - judged < 5:
                    break
                code, length = _HEADER.unpack_from(buffer, judged)
                if code in (_Q, _P) and len(buffer) - judged < min(1 + length, SQL_CHARACTERS):
                    break  # not enough of the SQL yet
                starts = self._what_starts(code, buffer, judged, length)
                if starts:
                    await self._to_server(buffer[:judged])
                    del buffer[:judged]
                    judged = 0
                    if not await self._client_says(*starts):
                        return
                if code == _S:
                    self.in_group = False
                end = judged + 1 + length
                judged = min(end, len(buffer))
                skip = end - judged
            await self._to_server(buffer[:judged])
            del buffer[:judged]
        if buffer:
            await self._to_server(buffer)

    def _what_starts(self, code: int, buffer, at: int, length: int) -> tuple[str, str] | None:
        """Kind and SQL of a message that is to be numbered; None for the others."""
        if code == _COPY_DATA:  # by far the most frequent
            if not self.expects_copy_data:
                return None
            self.expects_copy_data = False
            return "CopyData", ""
        if code == _Q:
            return "Query", _text(buffer[at + 5 : at + min(1 + length, SQL_CHARACTERS)])
        if code == _F:
            return "Query", "(function call)"
        if code in _EXTENDED and not self.in_group:
            self.in_group = True
            _, _, text = buffer[at + 5 : at + min(1 + length, SQL_CHARACTERS)].partition(b"\0")
            return "Extended", _text(text) if code == _P else ""
        if code in _COPY_ENDS:
            self.expects_copy_data = False
            return "CopyDone", ""
        if code == _X:
            return "Terminate", ""
        return None

    async def _client_says(self, kind_: str, text: str) -> bool:
        """Numbers the message and springs its traps; False: this connection has been cut."""
        message = self.proxy._register(self.number, kind_, text)
        if trap := self.proxy._trap_for(message, "before"):
            if await self.proxy._spring(trap, message):
                await self.cut()
                return False
        message.trap = self.proxy._trap_for(message, "after")
        if kind_ in ("CopyData", "Terminate"):  # the server says nothing to these: "after" is once they are passed on
            self.passing = message if message.trap else None
        elif kind_ == "CopyDone" and self.unanswered:
            self.unanswered[0] = message  # its answer is the one that the COPY statement still waits for
        else:
            self.unanswered.append(message)
        return not self.is_cut

    async def _to_server(self, data):
        if data and not self.is_cut:
            self.server_writer.write(bytes(data))
            await self.server_writer.drain()

    # --- from the server to the program --------------------------------------------------------------------------------

    async def _pump_server(self):
        buffer, held, skip = bytearray(), bytearray(), 0
        while data := await self.server_reader.read(CHUNK):
            buffer += data
            at = min(skip, len(buffer))
            skip -= at
            done = 0
            while len(buffer) - at >= 5:
                code, length = _HEADER.unpack_from(buffer, at)
                if code == _BACKEND_KEY and self.proxy.poses_as_pooler and len(buffer) - at >= 9:
                    buffer[at + 5 : at + 9] = b"\0\0\x27\x0f"
                if code in _ANSWERS:
                    held += buffer[done:at]
                    done = at
                    if not await self._server_answered(is_end=code == _Z):
                        return
                end = at + 1 + length
                at = min(end, len(buffer))
                skip = end - at
            held += buffer[done:at]
            del buffer[:at]
            if not self._must_hold():
                await self._to_client(held)
                held = bytearray()
        await self._to_client(held + buffer)

    def _must_hold(self) -> bool:
        """While a trap waits for this answer, the program sees nothing of it (but must see the login's questions)."""
        oldest = self.unanswered[0] if self.unanswered else None
        return oldest is not None and oldest.trap is not None and not oldest.answered and oldest.kind != "startup"

    async def _server_answered(self, is_end: bool) -> bool:
        if is_end:
            message = self.unanswered.pop(0) if self.unanswered else None
        else:
            message = self.unanswered[0] if self.unanswered else None
            self.expects_copy_data = True
        return message is None or await self._answered(message)

    async def _answered(self, message: Message) -> bool:
        if message.answered:
            return True
        message.answered = True
        if message.trap and await self.proxy._spring(message.trap, message):
            await self.cut()
            return False
        return not self.is_cut

    async def _to_client(self, data):
        if data and not self.is_cut:
            self.client_writer.write(bytes(data))
            await self.client_writer.drain()


def _code(packet: bytes) -> int:
    return struct.unpack_from("!i", packet, 4)[0] if len(packet) >= 8 else 0


def _startup_text(packet: bytes) -> str:
    return packet[8:].replace(b"\0", b" ").decode("utf-8", "replace").strip()


def _text(body: bytes) -> str:
    return body.split(b"\0", 1)[0].decode("utf-8", "replace")
