"""Whatever a gateway sends, there is an answer, and nothing a person wrote is lost."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from plixa.whatsapp.domain import Fact, Ignored, MessageArrived, Reacted, dedupe_key, redact, translate
from tests.whatsapp import webhooks

NAMES = st.sampled_from(
    [
        "key",
        "id",
        "remoteJid",
        "remoteJidAlt",
        "senderPn",
        "previousRemoteJid",
        "fromMe",
        "message",
        "messageType",
        "messageTimestamp",
        "pushName",
        "status",
        "keyId",
        "contextInfo",
        "stanzaId",
        "conversation",
        "extendedTextMessage",
        "imageMessage",
        "audioMessage",
        "documentMessage",
        "locationMessage",
        "contactMessage",
        "contactsArrayMessage",
        "contacts",
        "vcard",
        "reactionMessage",
        "protocolMessage",
        "editedMessage",
        "type",
        "timestampMs",
        "text",
        "caption",
        "fileLength",
        "low",
        "high",
        "seconds",
        "waveform",
        "jpegThumbnail",
        "data",
        "0",
        "1",
        "degreesLatitude",
        "degreesLongitude",
        "qrcode",
        "base64",
        "state",
        "statusReason",
        "interactiveResponseMessage",
        "nativeFlowResponseMessage",
        "paramsJson",
        "ephemeralMessage",
        "messageStubParameters",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20)
    | st.sampled_from(["REVOKE", "MESSAGE_EDIT", "READ", "DELETED", "5511987654321@s.whatsapp.net", "84@lid", "1@g.us", "open"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=6),
    max_leaves=25,
)
EVENTS = st.sampled_from(
    [
        "messages.upsert",
        "send.message",
        "messages.update",
        "messages.edited",
        "send.message.update",
        "messages.delete",
        "connection.update",
        "status.instance",
        "logout.instance",
        "qrcode.updated",
        "contacts.upsert",
        "contacts.update",
        "presence.update",
    ]
)
OBJECTS = st.dictionaries(NAMES | st.text(max_size=5), JSON, max_size=8)
DIRECT = st.from_regex(r"[1-9][0-9]{7,14}(:[0-9]{1,2})?(@s\.whatsapp\.net|@lid)?", fullmatch=True)


@given(EVENTS | st.text(), JSON, JSON)
def test_any_payload_is_answered_in_storable_facts(event: str, data: object, sender: object) -> None:
    facts = translate({"event": event, "data": data, "sender": sender})
    assert facts
    assert msgspec.json.decode(msgspec.json.encode(facts), type=list[Fact]) == facts
    assert all(key is None or len(key) < 400 for key in map(dedupe_key, facts))


@given(OBJECTS)
def test_any_object_at_all_is_answered_and_redacted(payload: dict[str, object]) -> None:
    assert translate(payload)
    assert redact(payload).keys() <= payload.keys()


@given(DIRECT, st.booleans(), JSON, OBJECTS)
def test_a_message_of_a_person_is_never_lost(jid: str, from_me: bool, content: object, beside: dict[str, object]) -> None:
    key = {"remoteJid": jid, "fromMe": from_me, "id": "3A01"}
    data = beside | {"key": key, "message": {"conversation": content} if isinstance(content, str) else content}
    (fact,) = translate({"event": "messages.upsert", "data": data, "sender": "5511930000000@s.whatsapp.net"})
    controls = isinstance(content, dict) and {"protocolMessage"} & set(_names(content))
    assert controls or isinstance(fact, MessageArrived | Reacted) or _is_bot(jid), fact


@given(st.integers(0, 5), st.integers(1, 12), st.integers(0, 200))
def test_a_history_is_repeatable_whole_and_without_duplicates(seed: int, customers: int, messages: int) -> None:
    history = webhooks.conversation_history(seed, customers, messages)
    assert history == webhooks.conversation_history(seed, customers, messages)
    facts = [fact for webhook in history for fact in translate(webhook)]
    assert len(facts) == len(history) == messages
    assert not any(isinstance(fact, Ignored) for fact in facts)
    keys = [dedupe_key(fact) for fact in facts]
    assert len(set(keys)) == len(keys)


def test_a_history_is_causal_and_has_everything() -> None:
    facts = [fact for webhook in webhooks.conversation_history(7, 40, 3000) for fact in translate(webhook)]
    known: set[str] = set()
    for fact in facts:
        target = getattr(fact, "target_gateway_id", None)
        assert target is None or target in known
        if isinstance(fact, MessageArrived):
            known.add(fact.gateway_id)
    assert {type(fact).__name__ for fact in facts} >= {"MessageArrived", "Reacted", "Edited", "Revoked", "Acknowledged"}
    arrived = [fact for fact in facts if isinstance(fact, MessageArrived)]
    assert len({fact.kind for fact in arrived}) == 10
    peers = [fact.peer for fact in arrived]
    alone = {peer.lid for peer in peers if peer.lid and not peer.phone}
    assert alone & {peer.lid for peer in peers if peer.phone}
    assert {len(peer.phone) for peer in peers if peer.phone} == {12, 13}


def _names(value: Any) -> list[str]:
    """Every key at any depth."""
    if isinstance(value, dict):
        return [*value, *(name for inner in value.values() for name in _names(inner))]
    return [name for inner in value for name in _names(inner)] if isinstance(value, list) else []


def _is_bot(jid: str) -> bool:
    return jid.startswith(("1313555", "131655500"))
