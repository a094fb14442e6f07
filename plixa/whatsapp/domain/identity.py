"""Who is who on WhatsApp: addresses (JIDs), and whether somebody is there."""

import re
from functools import lru_cache

PHONE_SERVER = "s.whatsapp.net"
LID_SERVER = "lid"
_SERVERS = {"": PHONE_SERVER, "c.us": PHONE_SERVER, "hosted": PHONE_SERVER, "hosted.lid": LID_SERVER}
_INDIRECT = {"g.us": "group", "broadcast": "broadcast", "newsletter": "newsletter", "bot": "bot"}
_META_BOT = re.compile(r"1313555\d{4}|131655500\d{2}")
_LONGEST_USER = 20


@lru_cache(maxsize=512)
def normal_jid(jid: str) -> str:
    """The address without device (``:12``) and agent (``_1``); digits alone are a user, ``c.us`` is the old server."""
    user, _, server = jid.strip().partition("@")
    server = server.lower()
    return f"{user.partition(':')[0].partition('_')[0]}@{_SERVERS.get(server, server)}"


def phone_of(jid: str) -> str | None:
    """The digits of a phone address; None for every other."""
    user, _, server = normal_jid(jid).partition("@")
    return user if server == PHONE_SERVER and is_direct(jid) else None


def lid_of(jid: str) -> str | None:
    """The ``…@lid`` address without device; None for every other."""
    normal = normal_jid(jid)
    return normal if normal.endswith("@" + LID_SERVER) and is_direct(normal) else None


@lru_cache(maxsize=512)
def is_direct(jid: str) -> bool:
    """Whether somebody alone is at this address: a phone or a LID."""
    user, _, server = normal_jid(jid).partition("@")
    return server in (PHONE_SERVER, LID_SERVER) and _is_person(user)


def indirect_reason(jid: str) -> str | None:
    """Why nobody alone is at this address; None when somebody is."""
    if is_direct(jid):
        return None
    user, _, server = normal_jid(jid).partition("@")
    if server in (PHONE_SERVER, LID_SERVER):
        return "bot" if _META_BOT.fullmatch(user) else "system address"
    return _INDIRECT.get(server, "unknown kind of address")


def _is_person(user: str) -> bool:
    """Digits, but neither WhatsApp's own account 0 nor one of Meta's bots."""
    digits = user.isascii() and user.isdigit() and len(user) <= _LONGEST_USER
    return digits and user.strip("0") != "" and not _META_BOT.fullmatch(user)
