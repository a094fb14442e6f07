"""Calls to addresses that strangers give us: by name, to the open Internet, at the address that was looked at, and nowhere after that.

A name is resolved once and the connection made to what it meant then, so that it cannot come to mean something of ours in between. No
redirect is followed, no proxy of the environment asked, and nothing is read of an answer but its head.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpx
from msgspec import Struct

from plixa.kernel.settings import LOOPBACK

PLAIN: Final = re.compile(r"https?://[a-zA-Z0-9.\-:\[\]]+(/[!-\[\]-~]*)?")
"""Nothing that two readers of a URL may take for two things: no blanks, no backslashes, no user's name, no other alphabets."""
NAME: Final = re.compile(r"(?=.{4,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])", re.IGNORECASE)
"""A name with a dot, the last part of which is no number: ``localhost``, ``127.1`` and ``0x7f.1`` are none."""
HTTPS: Final = 443
MOST_TRIED: Final = 3
TRANSLATED: Final = tuple(ipaddress.IPv6Network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "::/96"))
"""IPv6 addresses that stand for an IPv4 one."""


class ForbiddenAddress(Exception):
    """We do not call this."""


class Unreachable(Exception):
    """Nobody answered; perhaps later."""


class Head(Struct, frozen=True):
    """What is read of an answer; names of headers in lower case."""

    status: int
    headers: dict[str, str]


class Outside:
    """Calls that end within ``seconds``. ``loopback`` lets this very machine be called by its own name: in development and tests."""

    def __init__(self, *, seconds: float, loopback: bool) -> None:
        self._seconds, self._loopback = seconds, loopback
        self._tls = ssl.create_default_context()

    async def post(self, url: str, headers: dict[str, str], content: bytes) -> Head:
        """Post once; raises ForbiddenAddress, Unreachable."""
        parts = check_url(url, loopback=self._loopback)
        try:
            async with (
                asyncio.timeout(self._seconds),
                httpx.AsyncClient(verify=self._tls, trust_env=False, timeout=self._seconds) as client,
            ):
                return await self._post(client, parts, headers, content)
        except TimeoutError as error:
            raise Unreachable(f"No answer within {self._seconds} s.") from error
        except (httpx.TransportError, OSError) as error:
            raise Unreachable(type(error).__name__) from error

    async def _post(self, client: httpx.AsyncClient, parts: SplitResult, headers: dict[str, str], content: bytes) -> Head:
        """At the first of its addresses that lets us connect."""
        *others, last = (await self._resolve(parts))[:MOST_TRIED]
        for address in others:
            try:
                return await send(client, parts, address, (headers, content))
            except httpx.ConnectError:
                continue
        return await send(client, parts, last, (headers, content))

    async def _resolve(self, parts: SplitResult) -> list[str]:
        """The addresses of a name, every one of which is public; raises ForbiddenAddress, OSError."""
        host = parts.hostname or ""
        found = await asyncio.get_running_loop().getaddrinfo(host, parts.port or HTTPS, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        is_ours = self._loopback and host in LOOPBACK
        if not is_ours and not all(map(is_public, addresses)):
            raise ForbiddenAddress("Leads into a network that is not public.")
        return addresses


def check_url(url: str, *, loopback: bool) -> SplitResult:
    """The parts of a URL we may call; raises ForbiddenAddress. What its name leads to is looked at with each call."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ForbiddenAddress("Is not a URL.") from error
    if PLAIN.fullmatch(url) is None:
        raise ForbiddenAddress("Is not a plain URL.")
    if loopback and host in LOOPBACK:
        return parts
    if parts.scheme != "https" or port not in (None, HTTPS) or NAME.fullmatch(host) is None:
        raise ForbiddenAddress("Must be an https:// address of a public name.")
    return parts


async def send(client: httpx.AsyncClient, parts: SplitResult, address: str, sent: tuple[dict[str, str], bytes]) -> Head:
    """One request to one address, under the name that was asked for."""
    (headers, content), host = sent, f"[{address}]" if ":" in address else address
    port = f":{parts.port}" if parts.port else ""
    query = f"?{parts.query}" if parts.query else ""
    request = client.build_request(
        "POST",
        f"{parts.scheme}://{host}{port}{parts.path or '/'}{query}",
        headers={**headers, "host": parts.netloc},
        content=content,
        extensions={"sni_hostname": parts.hostname, "timeout": client.timeout.as_dict()},
    )
    response = await client.send(request, stream=True)
    await response.aclose()
    return Head(response.status_code, dict(response.headers))


def is_public(address: str) -> bool:
    """Is it an address of the open Internet, that stands for no other?"""
    one = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(one, ipaddress.IPv6Address) and (one.ipv4_mapped or one.is_site_local or any(one in net for net in TRANSLATED)):
        return False
    return one.is_global and not one.is_multicast and not one.is_reserved
