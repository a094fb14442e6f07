"""Who is who on WhatsApp: addresses (JIDs), phone numbers and the one form under which they compare."""

import re

PHONE_SERVER = "s.whatsapp.net"
LID_SERVER = "lid"
_SERVERS = {"": PHONE_SERVER, "c.us": PHONE_SERVER, "hosted": PHONE_SERVER, "hosted.lid": LID_SERVER}
_INDIRECT = {"g.us": "group", "broadcast": "broadcast", "newsletter": "newsletter", "bot": "bot"}
_META_BOT = re.compile(r"1313555\d{4}|131655500\d{2}")
_LONGEST_USER = 20

_BR_NINTH = re.compile(r"(55\d\d)9(\d{8})")
_BR_MOBILE = re.compile(r"(55\d\d)(9?)([6-9]\d{7})")
_MX_ONE = re.compile(r"(52)1(\d{10})")
_AR_NINE = re.compile(r"(54)9(\d{10})")
_MX_OR_AR = re.compile(r"(52|54)(\d{10})")
_EXTRA_DIGIT = {"52": "1", "54": "9"}


def canonical_phone(digits: str) -> str:
    """The key under which two numbers are the same person's: no Brazilian ninth digit, Mexican 1, Argentine 9."""
    number = "".join(sign for sign in digits if sign in "0123456789")
    for pattern in (_BR_NINTH, _MX_ONE, _AR_NINE):
        if match := pattern.fullmatch(number):
            return match[1] + match[2]
    return number


def phone_variants(digits: str) -> tuple[str, ...]:
    """The forms under which WhatsApp may know a number, the given one first.

    A Brazilian number gets or loses the ninth digit only when the rest is in the mobile range: a mobile and a
    landline that share their last eight digits are two businesses.
    """
    if match := _BR_MOBILE.fullmatch(digits):
        return digits, match[1] + ("" if match[2] else "9") + match[3]
    short = canonical_phone(digits)
    if short != digits and short[:2] in _EXTRA_DIGIT:
        return digits, short
    if match := _MX_OR_AR.fullmatch(digits):
        return digits, match[1] + _EXTRA_DIGIT[match[1]] + match[2]
    return (digits,)


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
