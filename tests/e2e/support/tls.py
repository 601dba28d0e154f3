"""TLS in front of the S3 server, with a certificate of our own authority, as the program meets it in production."""

import asyncio
import pathlib
import ssl
import subprocess

from .background import Background, close


class Authority:
    """A certificate authority made with the openssl command; ca is the file that clients must trust."""

    def __init__(self, folder: pathlib.Path, existing: tuple[pathlib.Path, pathlib.Path] | None = None):
        """existing: the certificate and key of one that is there, in the place of a new one."""
        folder.mkdir(parents=True)
        self.folder = folder
        self.ca, self._key = existing or (folder / "ca.crt", folder / "ca.key")
        if not existing:
            _openssl("req", "-x509", *_KEY, "-nodes", "-keyout", self._key, "-out", self.ca, "-days", "30", "-subj", "/CN=test authority")

    def certificate(self, name: str, days: int = 30) -> tuple[pathlib.Path, pathlib.Path]:
        """Certificate and key for a DNS name or an IP address; days 0 makes one that has expired."""
        stem = self.folder / f"{name}-{days}"
        request, key, certificate, options = (stem.with_suffix(suffix) for suffix in (".csr", ".key", ".crt", ".ext"))
        kind = "IP" if name.replace(".", "").isdigit() else "DNS"
        options.write_text(f"subjectAltName={kind}:{name}\nextendedKeyUsage=serverAuth\n")
        _openssl("req", "-new", *_KEY, "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        _openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-CAserial", self.folder / "ca.srl", "-CAcreateserial",
                 "-out", certificate, "-days", days, "-extfile", options)
        return certificate, key


class TlsFront:
    """Accepts TLS on a port of localhost, and passes the bytes on to a plain port."""

    def __init__(self, background: Background, certificate: tuple[pathlib.Path, pathlib.Path], upstream_port: int):
        self._background = background
        self._upstream_port = upstream_port
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
        self._server = background.run(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context))
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"https://localhost:{self.port}"

    def close(self):
        self._background.loop.call_soon_threadsafe(self._server.close)

    async def _serve(self, client_reader, client_writer):
        reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        await asyncio.gather(_copy(client_reader, writer), _copy(reader, client_writer))


async def _copy(reader, writer):
    try:
        while data := await reader.read(1 << 18):
            writer.write(data)
            await writer.drain()
    except (OSError, ssl.SSLError):
        pass
    await close(writer)


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


def _openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
