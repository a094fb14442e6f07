"""A client as small as can be, so that the load leaves the machine to those it is put on."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlsplit

from msgspec import Struct

UNKNOWN = 0
"""The status of a request to which no answer came: it may or may not have had its effect."""
TIMEOUT = 30.0


class Answer(Struct, frozen=True):
    """What came back."""

    status: int
    body: bytes = b""

    @property
    def data(self) -> Any:
        """The payload of our envelope."""
        return json.loads(self.body)["data"]


class Caller:
    """One connection, kept as long as it holds; one request at a time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def call(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """The answer, or one of status ``UNKNOWN`` when the connection was refused, broke or stayed silent."""
        given = {"Host": self._host, "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._exchange(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            await self.close()
            return Answer(UNKNOWN)

    async def _exchange(self, request: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = head.partition("content-length:")[2].partition("\r\n")[0]
        body = await reader.readexactly(int(length or 0))
        if "\r\nconnection: close" in head:
            await self.close()
        return Answer(int(head.split(maxsplit=2)[1]), body)

    async def close(self) -> None:
        """Let go of the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
