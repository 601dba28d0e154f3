"""Enough of pg_dump's custom format to know what a test damages: header, table of contents, offsets."""

import dataclasses
import pathlib
import struct

NOT_SET, SET, NO_DATA = 1, 2, 3  # what is known of an entry's offset


@dataclasses.dataclass(frozen=True)
class Entry:
    dump_id: int
    desc: str
    tag: str
    definition: str
    has_offset: int
    offset: int


@dataclasses.dataclass(frozen=True)
class Toc:
    version: tuple[int, int]
    database: str
    entries: list[Entry]
    end: int  # where the table of contents ends and the data begin

    def data_entries(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.has_offset != NO_DATA]


def read_toc(path: pathlib.Path) -> Toc:
    return _Reader(path.read_bytes()).toc()


class _Reader:
    def __init__(self, content: bytes):
        self._content = content
        self._at = 0

    def toc(self) -> Toc:
        assert self._take(5) == b"PGDMP"
        major, minor, _revision, int_size, offset_size, kind = self._take(6)
        assert (int_size, offset_size, kind) == (4, 8, 1)
        version = (major, minor)
        self._take(1 if version >= (1, 15) else 5)  # compression
        for _ in range(7):
            self._int()
        database, _, _ = self._str(), self._str(), self._str()
        entries = [self._entry(version) for _ in range(self._int())]
        return Toc(version, database, entries, self._at)

    def _entry(self, version) -> Entry:
        dump_id, _, _, _, tag, desc = self._int(), self._int(), self._str(), self._str(), self._str(), self._str()
        _section, definition = self._int(), self._str()
        for _ in range(4 if version < (1, 14) else 5):  # drop and copy statement, namespace, tablespace, access method
            self._str()
        if version >= (1, 16):
            self._int()  # kind of relation
        _owner, _with_oids = self._str(), self._str()
        while self._str() is not None:  # dependencies
            pass
        has_offset, offset = struct.unpack("<BQ", self._take(9))
        return Entry(dump_id, desc, tag, definition or "", has_offset, offset)

    def _take(self, size: int) -> bytes:
        self._at += size
        return self._content[self._at - size : self._at]

    def _int(self) -> int:
        sign, value = struct.unpack("<BI", self._take(5))
        return -value if sign else value

    def _str(self) -> str | None:
        size = self._int()
        return None if size < 0 else self._take(size).decode("utf-8", "surrogateescape")
