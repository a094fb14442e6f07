"""Edits, deletes, acknowledgements, connection and QR, and everything that is not for us."""

from datetime import UTC, datetime
from typing import Any

import pytest

from plixa.whatsapp.domain import (
    Acknowledged,
    ConnectionChanged,
    Edited,
    Ignored,
    QrChanged,
    Revoked,
    dedupe_key,
    redact,
    translate,
)
from tests.whatsapp import webhooks
from tests.whatsapp.webhooks import ANA, FIRST, VERSIONS, Chat, Stamp, Version

OURS = Stamp(id="3EB0AA", from_me=True)
EDITED_AT = 1_767_600_030_500


def told(event: str, data: object) -> list[Any]:
    """The facts of one event."""
    return list(translate(webhooks.envelope(ANA, event, data)))


@pytest.mark.parametrize("event", ["messages.edited", "MESSAGES_EDITED", "send.message.update"])
def test_an_edit_names_its_message_its_text_and_its_time(event: str) -> None:
    (fact,) = translate(webhooks.edit(ANA, "3A01", "agora sim", EDITED_AT) | {"event": event})
    at = datetime(2026, 1, 5, 8, 0, 30, 500_000, tzinfo=UTC)
    assert fact == Edited(target_gateway_id="3A01", body="agora sim", at=at)
    assert dedupe_key(fact) == f"edit:3A01:{EDITED_AT}"


@pytest.mark.parametrize(
    "edited",
    [
        {"conversation": "agora"},
        {"extendedTextMessage": {"text": "agora"}},
        {"imageMessage": {"caption": "agora"}},
        {"message": {"conversation": "agora"}},
        {"ephemeralMessage": {"message": {"conversation": "agora"}}},
    ],
)
@pytest.mark.parametrize("kind", ["MESSAGE_EDIT", 14, None])
@pytest.mark.parametrize("at", [EDITED_AT, str(EDITED_AT), {"low": -1_960_155_020, "high": 411, "unsigned": False}])
def test_an_edit_is_read_from_every_shape(edited: object, kind: object, at: object) -> None:
    protocol = {"key": {"id": "3A01"}, "type": kind, "editedMessage": edited, "timestampMs": at}
    (fact,) = told("messages.edited", protocol)
    assert (fact.target_gateway_id, fact.body, fact.at.year) == ("3A01", "agora", 2026)
    assert told("messages.upsert", webhooks.message(ANA, FIRST, {"protocolMessage": protocol})["data"]) == [fact]
    wrapped = {"editedMessage": {"message": {"protocolMessage": protocol}}}
    assert told("messages.upsert", webhooks.message(ANA, FIRST, wrapped)["data"]) == [fact]
    assert told("messages.edited", {"message": wrapped}) == [fact]


def test_two_edits_without_time_are_two_edits() -> None:
    protocol = {"key": {"id": "3A01"}, "type": "MESSAGE_EDIT"}
    texts = [protocol | {"editedMessage": {"conversation": body}} for body in ("a", "b", "a")]
    first, second, again = (dedupe_key(told("messages.edited", data)[0]) for data in texts)
    assert first == again != second


@pytest.mark.parametrize(
    ("protocol", "reason"),
    [
        ({"key": {"id": "3A01"}, "type": "EPHEMERAL_SETTING"}, "protocol message EPHEMERAL_SETTING"),
        ({"key": {"id": "3A01"}, "type": "MESSAGE_EDIT"}, "protocol message MESSAGE_EDIT"),
        ({"key": {"id": "3A01"}, "type": False}, "protocol message without type"),
        ({"key": {"id": "3A01"}}, "protocol message without type"),
        ({"type": "HISTORY_SYNC_NOTIFICATION"}, "protocol message HISTORY_SYNC_NOTIFICATION"),
        ({"key": {"id": "3A01"}, "type": "MESSAGE_EDIT", "editedMessage": {"x": 1}}, "edit without text"),
        ({"key": {"id": "3A01", "remoteJid": "1@g.us"}, "type": "REVOKE"}, "group"),
        ({}, "protocol message without type"),
    ],
)
def test_other_protocol_messages_are_ignored_aloud(protocol: dict[str, object], reason: str) -> None:
    assert told("messages.edited", protocol) == [Ignored(reason=reason)]


@pytest.mark.parametrize("kind", ["REVOKE", 0])
def test_a_revoke_told_as_an_edit_is_a_revoke(kind: object) -> None:
    assert told("messages.edited", {"key": {"id": "3A01"}, "type": kind}) == [Revoked(target_gateway_id="3A01")]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_delete_names_its_message_in_every_version(version: Version) -> None:
    (fact,) = translate(webhooks.revoke(Chat(version=version, lid="84000000000001"), FIRST))
    assert fact == Revoked(target_gateway_id=FIRST.id)
    assert dedupe_key(fact) == f"revoke:{FIRST.id}"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            {"id": "cm5j1rowid", "key": {"id": "3A01", "fromMe": True}, "status": "DELETED"},
            Revoked(target_gateway_id="3A01"),
        ),
        ({"id": "cm5j1rowid", "key": {}}, Ignored(reason="deletion without id")),
        ({"id": "3A01"}, Revoked(target_gateway_id="3A01")),
        ({"id": "3A01", "remoteJid": "1@g.us"}, Ignored(reason="group")),
        (None, Ignored(reason="deletion without id")),
    ],
)
def test_the_row_id_of_a_delete_is_never_taken_for_the_message(data: object, expected: object) -> None:
    assert told("messages.delete", data) == [expected]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("PENDING", "pending"),
        ("SERVER_ACK", "sent"),
        ("DELIVERY_ACK", "delivered"),
        ("READ", "read"),
        ("PLAYED", "played"),
        ("ERROR", "failed"),
    ],
)
def test_an_ack_says_how_far_the_message_got(version: Version, raw: str, status: str) -> None:
    (fact,) = translate(webhooks.ack(Chat(version=version), OURS, raw))
    assert isinstance(fact, Acknowledged)
    assert (fact.gateway_id, fact.status, fact.raw, fact.from_me) == ("3EB0AA", status, raw, True)
    assert dedupe_key(fact) == f"ack:3EB0AA:{status}"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({"keyId": "3EB0AA", "status": "READ"}, "read"),
        ({"key": {"id": "3EB0AA"}, "status": 4}, "read"),
        ({"keyId": "3EB0AA", "status": "read", "message": None}, "read"),
        ({"keyId": "3EB0AA", "status": 0}, "failed"),
    ],
)
def test_an_ack_is_matched_by_id_alone(data: dict[str, object], status: str) -> None:
    (fact,) = told("messages.update", data)
    assert (fact.gateway_id, fact.status, fact.from_me) == ("3EB0AA", status, None)


def test_a_failure_keeps_whatsapps_reason() -> None:
    (fact,) = told("messages.update", {"keyId": "3EB0AA", "status": "ERROR", "messageStubParameters": ["463", 7]})
    assert (fact.status, fact.error) == ("failed", "463")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"keyId": "A", "status": "DELETED"}, Ignored(reason="acknowledgement with status DELETED")),
        (
            {"keyId": "A", "status": "DELETED", "message": {"a": 1}},
            Ignored(reason="acknowledgement that reports an edit"),
        ),
        ({"keyId": "A", "status": "DELETED", "message": None}, Revoked(target_gateway_id="A")),
        (
            {"keyId": "A", "status": "SERVER_ACK", "message": {"a": 1}},
            Ignored(reason="acknowledgement that reports an edit"),
        ),
        ({"keyId": "A"}, Ignored(reason="acknowledgement with status missing")),
        ({"keyId": "A", "status": "EDITED"}, Ignored(reason="acknowledgement with status EDITED")),
        ({"keyId": "A", "status": 9}, Ignored(reason="acknowledgement with status missing")),
        ({"keyId": "A", "status": "READ", "remoteJid": "1@g.us"}, Ignored(reason="group")),
        ({"status": "READ"}, Ignored(reason="acknowledgement without id")),
        (None, Ignored(reason="acknowledgement without id")),
    ],
)
def test_an_update_without_real_status_changes_nothing(data: object, expected: object) -> None:
    assert told("messages.update", data) == [expected]


@pytest.mark.parametrize(
    ("event", "data", "expected"),
    [
        (
            "connection.update",
            {"state": "connecting", "statusReason": 200},
            ConnectionChanged(state="connecting", reason=200),
        ),
        ("connection.update", {"state": "close", "statusReason": 401}, ConnectionChanged(state="close", reason=401)),
        (
            "connection.update",
            {"state": "refused", "statusReason": 428},
            ConnectionChanged(state="refused", reason=428),
        ),
        ("connection.update", {"state": "dancing"}, Ignored(reason="connection without a known state")),
        (
            "status.instance",
            {"status": "closed", "disconnectionReasonCode": 403},
            ConnectionChanged(state="close", reason=403),
        ),
        ("logout.instance", None, ConnectionChanged(state="close")),
        ("remove.instance", None, ConnectionChanged(state="close")),
    ],
)
def test_the_connection_is_told_with_its_reason(event: str, data: object, expected: object) -> None:
    assert told(event, data) == [expected]


def test_an_open_connection_knows_who_we_are() -> None:
    (fact,) = translate(webhooks.connection())
    assert fact == ConnectionChanged(state="open", reason=200, number=ANA.own, name="Lúcia Studios")
    assert dedupe_key(fact) is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            {"qrcode": {"base64": "data:image/png;base64,AA", "pairingCode": "ABCD1234"}},
            QrChanged(qr_base64="data:image/png;base64,AA", pairing_code="ABCD1234"),
        ),
        ({"base64": "AA", "pairingCode": None}, QrChanged(qr_base64="data:image/png;base64,AA")),
        ({"message": "QR code limit reached, please login again", "statusCode": 500}, QrChanged(exhausted=True)),
        ({"qrcode": {"count": 0}}, Ignored(reason="QR without code")),
        (None, Ignored(reason="QR without code")),
    ],
)
def test_a_qr_is_new_or_there_will_be_no_more(data: object, expected: object) -> None:
    assert told("qrcode.updated", data) == [expected]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ("presence.update", "presence"),
        ("call", "call"),
        ("messages.set", "history"),
        ("chats.upsert", "event CHATS_UPSERT"),
        ("group-participants.update", "event GROUP_PARTICIPANTS_UPDATE"),
        (None, "event without name"),
        (7, "event without name"),
    ],
)
def test_other_events_are_ignored_aloud(event: object, reason: str) -> None:
    assert translate({"event": event, "data": [{"id": 1}]}) == [Ignored(reason=reason)]


def test_an_empty_object_and_an_empty_list_are_ignored_aloud() -> None:
    assert translate({}) == [Ignored(reason="event without name")]
    assert told("messages.upsert", []) == [Ignored(reason="MESSAGES_UPSERT without data")]


def test_secrets_are_not_stored() -> None:
    webhook = webhooks.text() | {"extra": [{"Token": "a", "hash": {"apikey": "b"}, "kept": 1}], "jwt": "c"}
    stored = redact(webhook)
    assert stored == {name: value for name, value in webhook.items() if name not in ("apikey", "destination", "jwt")} | {
        "extra": [{"kept": 1}]
    }
    assert webhook["apikey"] == "instance-token"
    assert translate(stored) == translate(webhook)


def test_a_bottomless_payload_is_cut() -> None:
    payload: dict[str, object] = {"apikey": "x"}
    for _ in range(5000):
        payload = {"deeper": payload}
    assert "apikey" not in str(redact(payload))
