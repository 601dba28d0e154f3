"""An HTTP proxy in front of the S3 server or the API server that misbehaves on command.

    proxy.on(gets("app.dump"), Answer(503), times=2)      # the first two GETs of that object
    proxy.on(gets("app.dump"), CutBody(after=1000), skip=3)
    proxy.requests                                        # everything that was asked, in order

Requests are passed on byte for byte (the signature covers the Host header that the client used), so what the proxy
does not spoil is exactly what the server answers.
"""

import asyncio
import dataclasses
import functools
import ssl
import threading
import typing
import urllib.parse

from .background import Background, close


@dataclasses.dataclass
class Request:
    number: int  # 1, 2, 3 …
    method: str
    target: str
    headers: dict[str, str]  # names in lower case
    fault: str = ""  # what was done to it

    @property
    def path(self) -> str:
        return urllib.parse.unquote(self.target.split("?", 1)[0])

    @property
    def query(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(self.target.partition("?")[2], keep_blank_values=True))


def anything(_: Request) -> bool:
    return True


def gets(ending: str):
    """GETs of an object whose path ends so."""
    return lambda request: request.method == "GET" and request.path.endswith(ending)


def lists(request: Request) -> bool:
    return request.method == "GET" and "list-type" in request.query


# --- faults ---------------------------------------------------------------------------------------------------------


class Fault(typing.Protocol):
    async def apply(self, exchange: "Exchange") -> None: ...


@dataclasses.dataclass
class Answer:
    """Answers without asking the server. Headers win over Content-Length, so a lie about the length is possible."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = dataclasses.field(default_factory=dict)

    async def apply(self, exchange):
        headers = {"Content-Length": str(len(self.body)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} {self.status}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        body = b"" if exchange.request.method == "HEAD" else self.body
        await exchange.send("\r\n".join(lines).encode() + body)
        if headers["Content-Length"] != str(len(self.body)):
            await exchange.hang_up()


def xml_error(status: int, code: str) -> Answer:
    """An error as S3 words it."""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>made by a test</Message></Error>'
    return Answer(status, body.encode(), {"Content-Type": "application/xml"})


@dataclasses.dataclass
class HangUp:
    """Closes the connection without an answer."""

    async def apply(self, exchange):
        await exchange.hang_up()


@dataclasses.dataclass
class LoseAnswer:
    """Lets the server do what it was asked, and hangs up without saying so."""

    async def apply(self, exchange):
        _, body = await exchange.ask()
        await body.read_all()
        await exchange.hang_up()


@dataclasses.dataclass
class CutBody:
    """Passes the answer's head and so many bytes of its body on, then resets the connection."""

    after: int

    async def apply(self, exchange):
        head, body = await exchange.ask()
        await exchange.send(head + await _read_up_to(body, self.after))
        await exchange.hang_up()


@dataclasses.dataclass
class Stall:
    """Passes so many bytes of the body on (None: not even the head), then nothing until release() is called."""

    after: int | None = None
    _released: threading.Event = dataclasses.field(default_factory=threading.Event)
    reached: threading.Event = dataclasses.field(default_factory=threading.Event)

    def release(self):
        self._released.set()

    async def apply(self, exchange):
        head, body = await exchange.ask()
        if self.after is not None:
            await exchange.send(head + await _read_up_to(body, self.after))
            head = b""
        self.reached.set()
        while not self._released.is_set() and not exchange.is_client_gone():
            await asyncio.sleep(0.05)
        await exchange.send(head)
        await exchange.stream(body)


@dataclasses.dataclass
class ChangeHeaders:
    """Passes the answer on with other headers; None removes one. A wrong Content-Length ends the connection."""

    headers: dict[str, str | None]

    async def apply(self, exchange):
        head, body = await exchange.ask()
        status, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        changed = {name.lower() for name in self.headers}
        lines = [line for line in lines if line.split(":", 1)[0].lower() not in changed]
        lines += [f"{name}: {value}" for name, value in self.headers.items() if value is not None]
        await exchange.send("\r\n".join([status, *lines, "", ""]).encode("latin-1"))
        await exchange.stream(body)
        if "content-length" in changed:
            await exchange.hang_up()


@dataclasses.dataclass
class FlipByte:
    """Passes the answer on with one byte of the body inverted: the one at this offset of the body."""

    offset: int

    async def apply(self, exchange):
        head, body = await exchange.ask()
        content = bytearray(await body.read_all())
        if content:
            content[min(self.offset, len(content) - 1)] ^= 0xFF
        await exchange.send(head + bytes(content))


@dataclasses.dataclass
class Call:
    """Calls a function of the test (in a thread) with the request, then passes the answer on unspoilt."""

    function: typing.Callable[[Request], None]

    async def apply(self, exchange):
        await asyncio.get_running_loop().run_in_executor(None, self.function, exchange.request)
        await Pass().apply(exchange)


@dataclasses.dataclass
class Kill:
    """Kills the program at a request: "before" the server hears of it, or "after" the server has done it."""

    when: str
    victim: typing.Callable[[], typing.Any]  # anything with kill(), which returns when it is dead
    reached: threading.Event = dataclasses.field(default_factory=threading.Event)

    async def apply(self, exchange):
        if self.when == "after":
            _, body = await exchange.ask()
            await body.read_all()
        await asyncio.get_running_loop().run_in_executor(None, lambda: self.victim().kill())
        self.reached.set()
        await exchange.hang_up()


@dataclasses.dataclass
class Pass:
    async def apply(self, exchange):
        head, body = await exchange.ask()
        await exchange.send(head)
        await exchange.stream(body)


# --- the proxy ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class _Rule:
    matches: typing.Callable[[Request], bool]
    fault: Fault
    skip: int
    times: int | None

    def applies(self, request: Request) -> bool:
        if self.times == 0 or not self.matches(request):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class FaultProxy:
    def __init__(self, background: Background, upstream_port: int, tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None):
        """tls: what it shows to clients, and how it trusts the server; None: plain on both sides."""
        self._background = background
        self._upstream = functools.partial(asyncio.open_connection, "127.0.0.1", upstream_port, limit=1 << 20, ssl=tls and tls[1])
        self._rules: list[_Rule] = []
        self.requests: list[Request] = []
        self.connections = 0  # how many were opened
        self._server = background.run(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20, ssl=tls and tls[0]))
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def on(self, matches, fault: Fault, times: int | None = 1, skip: int = 0):
        """The next `times` requests that match, after the first `skip` of them, get this fault; None: all of them."""
        self._rules.append(_Rule(matches, fault, skip, times))
        return fault

    def reset(self):
        self._rules.clear()
        self.requests.clear()
        self.connections = 0

    def close(self):
        self._background.loop.call_soon_threadsafe(self._server.close)

    async def _serve(self, reader, writer):
        self.connections += 1
        try:
            while exchange := await self._next_exchange(reader, writer):
                rule = next((rule for rule in self._rules if rule.applies(exchange.request)), None)
                fault = rule.fault if rule else Pass()
                exchange.request.fault = repr(fault) if rule else ""
                await fault.apply(exchange)
                if exchange.must_close:
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        await close(writer)

    async def _next_exchange(self, reader, writer) -> "Exchange | None":
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, target, _ = first.split(" ", 2)
        request = Request(len(self.requests) + 1, method, target, headers)
        self.requests.append(request)
        kept = [line for line in lines if line.split(":", 1)[0].lower() != "connection"]
        raw = "\r\n".join([first, *kept, "Connection: close", "", ""]).encode("latin-1") + body
        return Exchange(request, raw, reader, writer, self._upstream)


class Exchange:
    """One request and its answer, in the hands of a fault."""

    def __init__(self, request: Request, raw: bytes, reader, writer, upstream: typing.Callable):
        self.request = request
        self._raw = raw
        self._reader = reader
        self._writer = writer
        self._upstream = upstream
        self.must_close = False

    async def ask(self) -> tuple[bytes, "_Body"]:
        """Asks the real server; the head comes back without its Connection header, the body still to be read."""
        reader, writer = await self._upstream()
        writer.write(self._raw)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = [line for line in head.rstrip("\r\n").split("\r\n") if not line.lower().startswith("connection:")]
        lengths = [int(line.split(":", 1)[1]) for line in lines if line.lower().startswith("content-length:")]
        status = int(lines[0].split(" ")[1])
        length = 0 if self.request.method == "HEAD" or status in (204, 304) else (lengths[0] if lengths else None)
        self.must_close |= length is None  # of unknown length: ends with the connection
        return "\r\n".join([*lines, "", ""]).encode("latin-1"), _Body(reader, writer, length)

    async def send(self, data: bytes):
        self._writer.write(data)
        await self._writer.drain()

    async def stream(self, body: "_Body"):
        while data := await body.read(1 << 18):
            await self.send(data)

    async def hang_up(self):
        self.must_close = True
        await close(self._writer, reset=True)

    def is_client_gone(self) -> bool:
        return self._reader.at_eof() or self._writer.is_closing()


class _Body:
    def __init__(self, reader, writer, length: int | None):
        self._reader, self._writer, self._left = reader, writer, length

    async def read(self, size: int) -> bytes:
        if self._left is not None:
            size = min(size, self._left)
        data = await self._reader.read(size) if size else b""
        if self._left is not None:
            self._left -= len(data)
        if not data:
            self._writer.close()
        return data

    async def read_all(self) -> bytes:
        parts = []
        while data := await self.read(1 << 18):
            parts.append(data)
        return b"".join(parts)


async def _read_up_to(body: _Body, size: int) -> bytes:
    parts, left = [], size
    while left and (data := await body.read(left)):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)
