"""Evolution API v2 webhooks (2.2 to 2.4) translated into facts. Pure, and total: any JSON object has an answer."""

import hashlib
from collections.abc import Callable

from plixa.whatsapp.domain.facts import (
    Acknowledged,
    AckStatus,
    ConnectionChanged,
    ConnectionState,
    Edited,
    Fact,
    Ignored,
    MessageArrived,
    Peer,
    PeerNamed,
    QrChanged,
    Reacted,
    Revoked,
)
from plixa.whatsapp.domain.identity import indirect_reason, phone_of
from plixa.whatsapp.domain.messages import content_of, context_of, is_forwarded, quoted_id, unwrapped
from plixa.whatsapp.domain.peers import aliases_of, is_ours, peer_of, real_name, remote_jid
from plixa.whatsapp.domain.values import flag, identifier, instant, record, text, whole, word

Item = dict[str, object]

_STATUSES: dict[str, AckStatus] = {
    "PENDING": "pending",
    "SERVER_ACK": "sent",
    "DELIVERY_ACK": "delivered",
    "READ": "read",
    "PLAYED": "played",
    "ERROR": "failed",
}
_STATUS_NUMBERS = ("ERROR", "PENDING", "SERVER_ACK", "DELIVERY_ACK", "READ", "PLAYED")
_STATES: dict[str, ConnectionState] = {
    "open": "open",
    "connecting": "connecting",
    "close": "close",
    "closed": "close",
    "refused": "refused",
}
_EDIT = ("MESSAGE_EDIT", 14)
_REVOKE = ("REVOKE", 0)


def translate(payload: dict[str, object]) -> list[Fact]:
    """The facts of one webhook, in its order: at least one, each ``Ignored`` reason once. Never raises."""
    event = event_name(payload.get("event"))
    read = _READERS.get(event)
    if read is None:
        return [Ignored(reason=_IGNORED.get(event) or f"event {event or 'without name'}")]
    ours = word(payload.get("sender"))
    data = payload.get("data")
    items = data if isinstance(data, list) else [data]
    facts = [read(record(item), ours) for item in items]
    return list({fact if isinstance(fact, Ignored) else index: fact for index, fact in enumerate(facts)}.values()) or [
        Ignored(reason=f"{event} without data")
    ]


def event_name(event: object) -> str:
    """``messages.upsert``, ``messages-upsert`` and ``MESSAGES_UPSERT`` are ``MESSAGES_UPSERT``."""
    return (word(event, 64) or "").upper().replace(".", "_").replace("-", "_")


def dedupe_key(fact: Fact) -> str | None:
    """The key under which a fact counts once per phone instance; None when applying it again changes nothing."""
    match fact:
        case MessageArrived():
            return f"message:{fact.gateway_id}"
        case Acknowledged():
            return f"ack:{fact.gateway_id}:{fact.status}"
        case Edited():
            return f"edit:{fact.target_gateway_id}:{_moment(fact)}"
        case Revoked():
            return f"revoke:{fact.target_gateway_id}"
        case Reacted():
            return f"reaction:{fact.gateway_id}"
        case _:
            return None


def message_of(fact: Fact) -> str | None:
    """The gateway's id of the message that a fact brings or is about."""
    match fact:
        case MessageArrived() | Acknowledged():
            return fact.gateway_id
        case Edited() | Revoked() | Reacted():
            return fact.target_gateway_id
        case _:
            return None


def claims(instance_id: int, fact: Fact) -> list[str]:
    """What nobody else may apply facts about at the same time: the message, and the addresses of whom it is from or to."""
    message = message_of(fact)
    told = [f"message/{instance_id}/{message}"] if message is not None else []
    return told + ([f"contact/{alias}" for alias in aliases_of(fact.peer)] if isinstance(fact, MessageArrived) else [])


def _moment(edit: Edited) -> str:
    """Milliseconds, or a digest of the text when the gateway told no time."""
    if edit.at is None:
        return hashlib.sha256(edit.body.encode()).hexdigest()[:16]
    return str(round(edit.at.timestamp() * 1000))


def _message(item: Item, ours: str | None, *, echo: bool = False) -> Fact:
    key = record(item.get("key"))
    if reason := _indirect(key):
        return Ignored(reason=reason)
    gateway_id, peer = identifier(key.get("id")), peer_of(key, ours, item.get("pushName"))
    if gateway_id is None or peer is None:
        return Ignored(reason="message without id" if gateway_id is None else "message without address")
    message = unwrapped(record(item.get("message")))
    if protocol := record(message.get("protocolMessage")):
        return _protocol(protocol)
    if "albumMessage" in message:
        return Ignored(reason="album: its pictures come one by one")
    reaction = _reaction(item, message, gateway_id, peer)
    return reaction or _arrived(item, message, (gateway_id, peer, ours, echo))


def _echo(item: Item, ours: str | None) -> Fact:
    return _message(item, ours, echo=True)


def _arrived(item: Item, message: Item, envelope: tuple[str, Peer, str | None, bool]) -> MessageArrived:
    gateway_id, peer, ours, echo = envelope
    content = content_of(message, item.get("messageType"), phone_of(ours or ""))
    context = context_of(message, item.get("contextInfo"))
    return MessageArrived(
        gateway_id=gateway_id,
        peer=peer,
        from_me=_is_from_me(item),
        echo=echo,
        kind=content.kind,
        unsupported_kind=content.unsupported_kind,
        body=content.body,
        sent_at=instant(item.get("messageTimestamp")),
        quoted_gateway_id=quoted_id(context),
        media=content.media,
        location=content.location,
        contacts=content.contacts,
        forwarded=is_forwarded(context),
    )


def _reaction(item: Item, message: Item, gateway_id: str, peer: Peer) -> Reacted | None:
    reaction = record(message.get("reactionMessage"))
    target = identifier(record(reaction.get("key")).get("id"))
    if target is None:
        return None
    return Reacted(
        target_gateway_id=target,
        gateway_id=gateway_id,
        peer=peer,
        from_me=_is_from_me(item),
        emoji=word(reaction.get("text"), 64),
        at=instant(reaction.get("senderTimestampMs")) or instant(item.get("messageTimestamp")),
    )


def _edit(item: Item, _ours: str | None) -> Fact:
    """MESSAGES_EDITED and SEND_MESSAGE_UPDATE: the protocol message itself, or a message around it."""
    around = unwrapped(record(item.get("message")) or item)
    return _protocol(record(around.get("protocolMessage")) or item)


def _protocol(protocol: Item) -> Fact:
    """An edit or a revoke; its key is told from the sender's side, so only the id and a group address count."""
    key = record(protocol.get("key"))
    if reason := _indirect(key):
        return Ignored(reason=reason)
    target, kind = identifier(key.get("id")), protocol.get("type")
    edited = record(protocol.get("editedMessage"))
    if target is None:
        return Ignored(reason=f"protocol message {word(kind, 64) or 'without type'}")
    if edited and (kind is None or kind in _EDIT):
        return _edited(target, edited, protocol)
    if kind in _REVOKE and not isinstance(kind, bool):
        return Revoked(target_gateway_id=target)
    return Ignored(reason=f"protocol message {word(kind, 64) or 'without type'}")


def _edited(target: str, edited: Item, protocol: Item) -> Fact:
    message = unwrapped({"editedMessage": edited} if isinstance(edited.get("message"), dict) else edited)
    body = content_of(message, None, None).body
    if not body:
        return Ignored(reason="edit without text")
    return Edited(target_gateway_id=target, body=body, at=instant(protocol.get("timestampMs")))


def _acknowledged(item: Item, _ours: str | None) -> Fact:
    key = record(item.get("key")) or item
    if reason := _indirect(key):
        return Ignored(reason=reason)
    gateway_id = identifier(item.get("keyId")) or identifier(record(item.get("key")).get("id"))
    if gateway_id is None:
        return Ignored(reason="acknowledgement without id")
    if item.get("message") is not None:
        return Ignored(reason="acknowledgement that reports an edit")
    raw = _raw_status(item.get("status"))
    if raw == "DELETED" and "message" in item:
        return Revoked(target_gateway_id=gateway_id)
    if raw not in _STATUSES:
        # DELETED alone is the gateway's word for "no status" (≤ 2.3.6): true revokes come as MESSAGES_DELETE.
        return Ignored(reason=f"acknowledgement with status {raw or 'missing'}")
    from_me = flag(key["fromMe"]) if key.get("fromMe") is not None else None
    return Acknowledged(gateway_id=gateway_id, status=_STATUSES[raw], from_me=from_me, error=_error(item), raw=raw)


def _raw_status(status: object) -> str | None:
    number = whole(status)
    if number is not None and number < len(_STATUS_NUMBERS):
        return _STATUS_NUMBERS[number]
    return (word(status, 64) or "").upper() or None


def _error(item: Item) -> str | None:
    """WhatsApp's reason for a failure, such as "463"."""
    told = item.get("messageStubParameters")
    parameters = [text(value, 255) for value in told[:10]] if isinstance(told, list) else []
    return ", ".join(filter(None, parameters)) or word(item.get("error"))


def _revoked(item: Item, _ours: str | None) -> Fact:
    """The bare key of the message, or (deleted through the API) its row, whose own ``id`` is the database's."""
    key = record(item.get("key")) if "key" in item else item
    if reason := _indirect(key):
        return Ignored(reason=reason)
    target = identifier(key.get("id")) or identifier(item.get("keyId"))
    return Revoked(target_gateway_id=target) if target else Ignored(reason="deletion without id")


def _connection(item: Item, _ours: str | None) -> Fact:
    """CONNECTION_UPDATE, and STATUS_INSTANCE with its ``status: closed``."""
    state = _STATES.get(word(item.get("state")) or word(item.get("status")) or "")
    if state is None:
        return Ignored(reason="connection without a known state")
    reason = item.get("statusReason", item.get("disconnectionReasonCode"))
    name = word(item.get("profileName"))
    return ConnectionChanged(state=state, reason=whole(reason), number=phone_of(text(item.get("wuid"))), name=name)


def _closed(_item: Item, _ours: str | None) -> Fact:
    """LOGOUT_INSTANCE and REMOVE_INSTANCE tell nothing but their name."""
    return ConnectionChanged(state="close")


def _qr(item: Item, _ours: str | None) -> Fact:
    code = record(item.get("qrcode")) or item
    picture, pairing = text(code.get("base64"), 1 << 20), word(code.get("pairingCode"), 32)
    if not picture and not pairing:
        exhausted = item.get("message") is not None or item.get("statusCode") is not None
        return QrChanged(exhausted=True) if exhausted else Ignored(reason="QR without code")
    if picture and not picture.startswith("data:image/"):
        picture = f"data:image/png;base64,{picture}"
    return QrChanged(qr_base64=picture or None, pairing_code=pairing)


def _named(item: Item, ours: str | None) -> Fact:
    key = item if item.get("remoteJid") is not None else {"remoteJid": item.get("id")}
    if reason := _indirect(key):
        return Ignored(reason=reason)
    if is_ours(remote_jid(key) or "", ours):
        return Ignored(reason="our own contact")
    name = real_name(item.get("pushName")) or real_name(item.get("name"))
    peer = peer_of(key, ours, name)
    if peer is None or (name is None and not (peer.phone and peer.lid)):
        return Ignored(reason="contact without address" if peer is None else "contact without name")
    return PeerNamed(peer=peer)


def _indirect(key: Item) -> str | None:
    """Why a key is not about one person; None also when it names no address."""
    jid = remote_jid(key)
    return indirect_reason(jid) if jid else None


def _is_from_me(item: Item) -> bool:
    return flag(record(item.get("key")).get("fromMe"))


_READERS: dict[str, Callable[[Item, str | None], Fact]] = {
    "MESSAGES_UPSERT": _message,
    "SEND_MESSAGE": _echo,
    "MESSAGES_UPDATE": _acknowledged,
    "MESSAGES_EDITED": _edit,
    "SEND_MESSAGE_UPDATE": _edit,
    "MESSAGES_DELETE": _revoked,
    "CONNECTION_UPDATE": _connection,
    "STATUS_INSTANCE": _connection,
    "LOGOUT_INSTANCE": _closed,
    "REMOVE_INSTANCE": _closed,
    "QRCODE_UPDATED": _qr,
    "CONTACTS_UPSERT": _named,
    "CONTACTS_UPDATE": _named,
}
_IGNORED = {"PRESENCE_UPDATE": "presence", "CALL": "call", "MESSAGES_SET": "history"}
