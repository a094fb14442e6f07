"""The other side of a chat, read from a message key of any gateway version."""

from plixa.kernel.phones import canonical_phone
from plixa.whatsapp.domain.facts import Peer
from plixa.whatsapp.domain.identity import is_direct, lid_of, normal_jid, phone_of
from plixa.whatsapp.domain.values import flag, identifier, word

# 2.3.5 and later: remoteJidAlt; 2.3.1 to 2.3.4: senderPn, previousRemoteJid; Baileys 6.7: senderLid.
_ADDRESS_FIELDS = ("remoteJid", "remoteJidAlt", "senderPn", "senderLid", "previousRemoteJid")
_ABOUT_THE_SENDER = ("remoteJidAlt", "senderPn", "senderLid")
_OUR_NAMES = {"você", "voce", "you"}
_SHORTEST_NUMBER = 5


def aliases_of(peer: Peer) -> list[str]:
    """The addresses by which somebody is known, at most a phone and a LID, in one form each."""
    phone = [f"phone:{canonical_phone(peer.phone)}"] if peer.phone else []
    return phone + ([f"lid:{peer.lid}"] if peer.lid else [])


def peer_of(key: dict[str, object], ours: str | None, push_name: object) -> Peer | None:
    """The peer of a message key; ``ours`` is our own address. None when no address is a person's."""
    addresses = _addresses(key)
    if flag(key.get("fromMe")):
        addresses = _without_ours(addresses, ours) or addresses
    if not addresses:
        return None
    jids = list(addresses.values())
    return Peer(
        jid=jids[0],
        phone=next((phone for jid in jids if (phone := phone_of(jid))), None),
        lid=next((lid for jid in jids if (lid := lid_of(jid))), None),
        name=None if flag(key.get("fromMe")) else real_name(push_name),
    )


def remote_jid(key: dict[str, object]) -> str | None:
    """The chat's address; digits that lost their server in a LID chat are a LID."""
    jid = word(key.get("remoteJid"))
    if jid and "@" not in jid and key.get("addressingMode") == "lid":
        return f"{jid}@lid"
    return jid


def real_name(raw: object) -> str | None:
    """What a person calls themselves: not the gateway's "Você", not an address, not just a number."""
    name = " ".join((word(raw) or "").split())
    if not name or name.lower() in _OUR_NAMES or ("@" in name and is_direct(name)):
        return None
    digits = sum(sign.isdigit() for sign in name)
    if digits >= _SHORTEST_NUMBER and not any(sign.isalpha() for sign in name):
        return None
    return name


def is_ours(jid: str, ours: str | None) -> bool:
    """Whether an address is our own number, with or without ninth digit."""
    phone, own = phone_of(jid), phone_of(ours or "")
    return phone is not None and own is not None and canonical_phone(phone) == canonical_phone(own)


def _addresses(key: dict[str, object]) -> dict[str, str]:
    told = {field: identifier(key.get(field)) for field in _ADDRESS_FIELDS} | {"remoteJid": remote_jid(key)}
    return {field: normal_jid(jid) for field, jid in told.items() if jid and is_direct(jid)}


def _without_ours(addresses: dict[str, str], ours: str | None) -> dict[str, str]:
    """What a key of our own message tells about the peer.

    Baileys fills the alternative address from the *sender's* attributes, so it may be ours. A phone is compared with
    our number; a LID cannot be, and counts only when ``remoteJid`` itself had been replaced by our number.
    """
    theirs = {field: jid for field, jid in addresses.items() if not is_ours(jid, ours)}
    if "remoteJid" not in theirs:
        return theirs
    return {field: jid for field, jid in theirs.items() if field not in _ABOUT_THE_SENDER or (ours and phone_of(jid))}
