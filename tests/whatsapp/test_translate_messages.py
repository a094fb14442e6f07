"""Messages of every kind, from every gateway version, become the same fact."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from plixa.whatsapp.domain import ContactCard, Ignored, Location, Media, MessageArrived, Reacted, dedupe_key, translate
from tests.whatsapp import webhooks
from tests.whatsapp.webhooks import ANA, FIRST, VERSIONS, Chat, Stamp, Version

THUMBNAIL = base64.b64encode(webhooks.JPEG).decode()


def arrived(webhook: webhooks.Webhook) -> MessageArrived:
    """The one message of a webhook."""
    (fact,) = translate(webhook)
    assert isinstance(fact, MessageArrived), fact
    return fact


def content(**parts: object) -> MessageArrived:
    """The message with this ``data.message``."""
    return arrived(webhooks.message(ANA, FIRST, parts))


MEDIA: list[tuple[Callable[[Chat], webhooks.Webhook], str, str, Media]] = [
    (webhooks.image, "image", "Olha só", Media(mime="image/jpeg", size=183_402, thumbnail=THUMBNAIL)),
    (webhooks.video, "video", "", Media(mime="video/mp4", size=2_400_000, seconds=12, thumbnail=THUMBNAIL)),
    (
        webhooks.voice,
        "voice",
        "",
        Media(mime="audio/ogg; codecs=opus", size=15_214, seconds=7, waveform=list(webhooks.WAVEFORM)),
    ),
    (webhooks.audio, "audio", "", Media(mime="audio/mpeg", size=3_100_000, seconds=190)),
    (webhooks.document, "document", "", Media(mime="application/pdf", size=90_112, filename="orçamento.pdf", pages=3)),
    (webhooks.sticker, "sticker", "", Media(mime="image/webp", size=22_000, animated=True)),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("make", "kind", "body", "media"), MEDIA, ids=[case[1] for case in MEDIA])
def test_media_read_the_same_from_every_version(
    make: Callable[[Chat], webhooks.Webhook], kind: str, body: str, media: Media, version: Version
) -> None:
    fact = arrived(make(Chat(version=version)))
    assert (fact.kind, fact.body, fact.media) == (kind, body, media)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_text_reads_the_same_from_every_version(version: Version) -> None:
    fact = arrived(webhooks.text(Chat(version=version)))
    assert (fact.kind, fact.body, fact.from_me, fact.echo) == ("text", "Oi, vocês entregam?", False, False)
    assert fact.sent_at == datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert dedupe_key(fact) == f"message:{FIRST.id}"


@pytest.mark.parametrize(
    "timestamp",
    [1_767_600_000, "1767600000", 1_767_600_000.0, {"low": 1_767_600_000, "high": 0, "unsigned": True}, 1767600000000],
)
def test_the_time_is_read_from_every_encoding(timestamp: object) -> None:
    webhook = webhooks.text()
    webhook["data"]["messageTimestamp"] = timestamp
    assert arrived(webhook).sent_at == datetime(2026, 1, 5, 8, tzinfo=UTC)


@pytest.mark.parametrize("timestamp", [None, 0, -5, "soon", "²", "9" * 5000, 10**400, float("nan"), float("inf"), {}, True])
def test_a_message_without_usable_time_still_arrives(timestamp: object) -> None:
    webhook = webhooks.text()
    webhook["data"]["messageTimestamp"] = timestamp
    assert arrived(webhook).sent_at is None


def test_a_long_with_a_negative_low_half_is_a_large_number() -> None:
    fact = content(documentMessage={"fileLength": {"low": -294_967_296, "high": 0, "unsigned": True}})
    assert fact.media == Media(mime="application/octet-stream", size=4_000_000_000)


def test_a_location_has_its_point_and_a_readable_body() -> None:
    fact = arrived(webhooks.location())
    assert fact.location == Location(latitude=-23.56141, longitude=-46.65588, name="MASP", address="Av. Paulista, 1578")
    assert (fact.kind, fact.body) == ("location", "MASP\nAv. Paulista, 1578")
    live = content(liveLocationMessage={"degreesLatitude": 1, "degreesLongitude": 2, "caption": "Chegando"})
    assert (live.kind, live.body) == ("location", "Chegando")
    bare = content(locationMessage={"degreesLatitude": 1.5, "degreesLongitude": 2})
    assert bare.body == "1.500000, 2.000000"


def test_a_contact_card_has_its_number() -> None:
    fact = arrived(webhooks.contact_card())
    assert fact.contacts == (ContactCard(name="Bruno Lima", phone="5521998877665"),)
    assert (fact.kind, fact.body) == ("contact", "Bruno Lima +55 21 99887-7665")


@pytest.mark.parametrize(
    ("tel", "phone"),
    [
        ("TEL;type=CELL:+1 415-555-2671", "14155552671"),
        ("TEL:(11) 98765-4321", "5511987654321"),
        ("TEL:0800 ", "550800"),
        ("TEL:call me", None),
        ("NOTE:none", None),
    ],
)
def test_a_card_without_whatsapp_number_is_read_with_our_country(tel: str, phone: str | None) -> None:
    cards = {"displayName": "Dois", "contacts": [{"vcard": f"BEGIN:VCARD\r\nFN:Bia\r\n{tel}\r\nEND:VCARD"}, 5]}
    fact = content(contactsArrayMessage=cards)
    assert fact.contacts == (ContactCard(name="Bia", phone=phone), ContactCard())


@pytest.mark.parametrize(
    "parts",
    [
        {"buttonsResponseMessage": {"selectedButtonId": "1", "selectedDisplayText": "Sim"}},
        {"listResponseMessage": {"title": "Sim", "singleSelectReply": {"selectedRowId": "row-1"}}},
        {"listResponseMessage": {"singleSelectReply": {"selectedRowId": "Sim"}}},
        {"templateButtonReplyMessage": {"selectedId": "1", "selectedDisplayText": "Sim"}},
        {"interactiveResponseMessage": {"body": {"text": "Sim"}}},
        {"interactiveResponseMessage": {"nativeFlowResponseMessage": {"paramsJson": '{"id":"1","title":"Sim"}'}}},
        {"interactiveResponseMessage": {"nativeFlowResponseMessage": {"paramsJson": "[[" * 5000, "name": "Sim"}}},
        {"extendedTextMessage": {"text": "Sim"}},
        {"messageContextInfo": {}, "conversation": "Sim"},
        {"ephemeralMessage": {"message": {"extendedTextMessage": {"text": "Sim"}}}},
        {"viewOnceMessage": {"message": {"ephemeralMessage": {"message": {"conversation": "Sim"}}}}},
        {"someNewEnvelope": {"message": {"conversation": "Sim"}}},
    ],
)
def test_what_the_customer_saw_is_the_text(parts: dict[str, object]) -> None:
    fact = content(**parts)
    assert (fact.kind, fact.body) == ("text", "Sim")


def test_five_envelopes_are_opened_and_a_sixth_is_not() -> None:
    message: dict[str, object] = {"conversation": "fundo"}
    for _ in range(5):
        message = {"viewOnceMessageV2": {"message": message}}
    assert content(**message).body == "fundo"
    fact = content(ephemeralMessage={"message": message})
    assert (fact.kind, fact.unsupported_kind) == ("unsupported", "viewOnceMessageV2")


def test_a_document_with_caption_is_a_document() -> None:
    part = {"fileName": "../../etc/a\\b/nota\u202efdp.pdf", "mimetype": "text/html\r\nX: 1", "caption": "Nota"}
    fact = content(documentWithCaptionMessage={"message": {"documentMessage": part}})
    assert (fact.kind, fact.body) == ("document", "Nota")
    assert fact.media == Media(mime="application/octet-stream", filename="notafdp.pdf")


@pytest.mark.parametrize(
    ("parts", "kind", "body"),
    [
        (
            {"pollCreationMessage": {"name": "Dia?", "options": [{"optionName": "Seg"}, 1]}},
            "pollCreationMessage",
            "Dia?\n- Seg",
        ),
        ({"orderMessage": {"orderTitle": "2 bolos"}}, "orderMessage", "2 bolos"),
        ({"productMessage": {"product": {}}}, "productMessage", ""),
        ({"groupInviteMessage": {"groupName": "Turma"}}, "groupInviteMessage", "Turma"),
        ({"placeholderMessage": {"type": "MASK_LINKED_DEVICES"}}, "placeholderMessage", ""),
        ({"interactiveMessage": {"body": {"text": "Escolha"}}}, "interactiveMessage", "Escolha"),
        ({"hologramMessage": None}, "hologramMessage", ""),
        ({"hologramMessage": [1]}, "hologramMessage", ""),
        ({"imageMessage": 5}, "imageMessage", ""),
        ({"locationMessage": {"degreesLatitude": 900, "degreesLongitude": 0}}, "locationMessage", ""),
        ({"reactionMessage": {"text": "👍"}}, "reactionMessage", "👍"),
        ({"conversation": ""}, "conversation", ""),
        ({"messageContextInfo": {}}, "messageContextInfo", ""),
        ({}, "unknown", ""),
    ],
)
def test_what_we_cannot_show_is_a_visible_message(parts: dict[str, object], kind: str, body: str) -> None:
    fact = content(**parts)
    assert (fact.kind, fact.unsupported_kind, fact.body) == ("unsupported", kind, body)


@pytest.mark.parametrize("message", [None, 5, "text", []])
def test_a_message_without_content_is_a_visible_message(message: object) -> None:
    webhook = webhooks.text()
    webhook["data"] |= {"message": message, "messageType": None}
    fact = arrived(webhook)
    assert (fact.kind, fact.unsupported_kind) == ("unsupported", "empty")


def test_an_unknown_kind_keeps_its_name() -> None:
    assert arrived(webhooks.unknown_kind()).unsupported_kind == "hologramMessage"


@pytest.mark.parametrize("version", [version for version in VERSIONS if version != "2.4"])
def test_a_quoted_reply_knows_what_it_quotes(version: Version) -> None:
    fact = arrived(webhooks.quoted_reply(Chat(version=version), FIRST, "Isso", "3EB0AA"))
    assert (fact.body, fact.quoted_gateway_id) == ("Isso", "3EB0AA")


def test_a_quote_lost_by_the_gateway_is_lived_with() -> None:
    fact = arrived(webhooks.quoted_reply(Chat(version="2.4"), FIRST, "Isso", "3EB0AA"))
    assert (fact.body, fact.quoted_gateway_id) == ("Isso", None)


def test_the_quote_inside_the_message_counts_when_the_envelope_has_another_context() -> None:
    inside = {"imageMessage": {"contextInfo": {"stanzaId": "3EB0AA", "isForwarded": True}}}
    for beside in (None, {}, {"messageSecret": "x", "stanzaId": None}, [1]):
        fact = arrived(webhooks.message(ANA, FIRST, inside, beside))
        assert (fact.quoted_gateway_id, fact.forwarded) == ("3EB0AA", True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("emoji", "expected"), [("👍", "👍"), ("", None)])
def test_a_reaction_is_no_message(version: Version, emoji: str, expected: str | None) -> None:
    (fact,) = translate(webhooks.reaction(Chat(version=version), FIRST, "3EB0AA", emoji))
    assert isinstance(fact, Reacted)
    assert (fact.target_gateway_id, fact.gateway_id, fact.emoji) == ("3EB0AA", FIRST.id, expected)
    assert fact.at == datetime(2026, 1, 5, 8, 0, 0, 250_000, tzinfo=UTC)
    assert dedupe_key(fact) == f"reaction:{FIRST.id}"


def test_an_album_header_waits_for_its_pictures() -> None:
    (fact,) = translate(webhooks.message(ANA, FIRST, {"albumMessage": {"expectedImageCount": 2}}))
    assert isinstance(fact, Ignored)


def test_a_picture_of_an_album_is_a_picture() -> None:
    assert content(associatedChildMessage={"message": {"imageMessage": {}}}).kind == "image"


def test_what_the_owner_types_and_what_the_api_sends_are_told_apart() -> None:
    typed = arrived(webhooks.echo(ANA, FIRST, "Já vai"))
    sent = arrived(webhooks.sent(ANA, FIRST, "Já vai"))
    assert (typed.from_me, typed.echo, sent.from_me, sent.echo) == (True, False, True, True)
    assert typed.peer == sent.peer
    assert dedupe_key(typed) == dedupe_key(sent)


def test_text_is_bounded_and_storable() -> None:
    fact = content(conversation="a\x00\ud800" + "b" * 70_000)
    assert len(fact.body) <= 65_536
    assert fact.body.startswith("ab")
    assert fact.body.encode()


@pytest.mark.parametrize(
    "octets",
    [
        base64.b64encode(b"\x01\xff").decode(),
        {"0": 1, "1": 255},
        {"1": 255, "0": 1},
        [1, 255],
        {"type": "Buffer", "data": [1, 255]},
    ],
)
def test_bytes_are_read_from_every_encoding(octets: object) -> None:
    fact = content(imageMessage={"jpegThumbnail": octets})
    assert fact.media == Media(mime="image/jpeg", thumbnail="Af8=")


@pytest.mark.parametrize(
    "octets",
    [
        "",
        "not base64!",
        "é",
        {},
        {"0": 300},
        {"a": 1},
        {"0": True},
        [-1],
        5,
        None,
        "A" * 70_000,
        [0] * 60_000,
        [0] * 99_999,
    ],
)
def test_unreadable_or_huge_bytes_are_left_out(octets: object) -> None:
    fact = content(imageMessage={"jpegThumbnail": octets})
    assert fact.media == Media(mime="image/jpeg")


@pytest.mark.parametrize("gateway_id", [None, "", 5, "x" * 300, " padded ", "nul\x00"])
def test_a_message_without_a_whole_id_is_ignored_aloud(gateway_id: object) -> None:
    webhook = webhooks.text()
    webhook["data"]["key"]["id"] = gateway_id
    assert translate(webhook) == [Ignored(reason="message without id")]


def test_a_list_of_messages_is_read_one_by_one() -> None:
    first, second = webhooks.text(), webhooks.text(ANA, Stamp(id="3A02"))
    webhook: dict[str, Any] = first | {"data": [first["data"], second["data"], None, 7]}
    facts = translate(webhook)
    assert [getattr(fact, "gateway_id", None) for fact in facts] == [FIRST.id, "3A02", None]
