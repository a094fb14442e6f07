"""Who a message is from: phone, LID or both, in the words of every gateway version."""

import pytest

from plixa.whatsapp.domain import Ignored, MessageArrived, Peer, PeerNamed, translate
from tests.whatsapp import webhooks
from tests.whatsapp.webhooks import ANA, FIRST, VERSIONS, Chat, Stamp, Version

PHONE = "5511987654321"
PHONE_JID = f"{PHONE}@s.whatsapp.net"
LID = "84000000000001@lid"
OURS = Stamp(id="3EB0AA", from_me=True)


def peer(webhook: webhooks.Webhook) -> Peer:
    """The peer of the one message."""
    (fact,) = translate(webhook)
    assert isinstance(fact, MessageArrived), fact
    return fact.peer


@pytest.mark.parametrize("version", VERSIONS)
def test_a_phone_is_a_phone_in_every_version(version: Version) -> None:
    assert peer(webhooks.text(Chat(version=version))) == Peer(jid=PHONE_JID, phone=PHONE, name="Ana Souza")


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.2", Peer(jid=LID, lid=LID, name="Ana Souza")),
        ("2.3.4", Peer(jid=PHONE_JID, phone=PHONE, lid=LID, name="Ana Souza")),
        ("2.3.6", Peer(jid=LID, phone=PHONE, lid=LID, name="Ana Souza")),
        ("2.3.7", Peer(jid=PHONE_JID, phone=PHONE, name="Ana Souza")),
        ("2.4", Peer(jid=PHONE_JID, phone=PHONE, lid=LID, name="Ana Souza")),
    ],
)
def test_a_lid_chat_tells_what_its_version_knows(version: Version, expected: Peer) -> None:
    assert peer(webhooks.text(Chat(lid="84000000000001", version=version))) == expected


@pytest.mark.parametrize(
    ("version", "jid", "phone", "lid"),
    [
        ("2.2", LID, None, LID),
        ("2.3.4", LID, None, LID),
        ("2.3.6", LID, None, LID),
        ("2.3.7", PHONE_JID, PHONE, None),
        ("2.4", PHONE_JID, PHONE, None),
    ],
)
def test_our_own_number_is_never_taken_for_the_customers(version: Version, jid: str, phone: str | None, lid: str | None) -> None:
    webhook = webhooks.text(Chat(lid="84000000000001", version=version), OURS)
    assert peer(webhook) == Peer(jid=jid, phone=phone, lid=lid)


@pytest.mark.parametrize("sender", ["551130000000@s.whatsapp.net", "551187654321:3@s.whatsapp.net", None])
def test_an_alternative_address_of_our_own_message_counts_only_when_surely_not_ours(sender: str | None) -> None:
    webhook = webhooks.text(ANA, OURS) | {"sender": sender}
    webhook["data"]["key"] |= {"remoteJid": LID, "remoteJidAlt": PHONE_JID}
    expected = PHONE if sender and sender.startswith("551130") else None
    assert peer(webhook) == Peer(jid=LID, phone=expected, lid=LID)


def test_a_lid_beside_the_customers_phone_in_our_own_message_may_be_ours() -> None:
    webhook = webhooks.text(ANA, OURS)
    webhook["data"]["key"] |= {"remoteJidAlt": LID, "addressingMode": "pn"}
    assert peer(webhook) == Peer(jid=PHONE_JID, phone=PHONE)


def test_our_own_number_put_in_place_of_the_chat_gives_way_to_the_lid() -> None:
    webhook = webhooks.text(ANA, OURS)
    webhook["data"]["key"] |= {"remoteJid": f"{ANA.own}@s.whatsapp.net", "remoteJidAlt": LID}
    assert peer(webhook) == Peer(jid=LID, lid=LID)


def test_a_note_to_self_is_a_chat_with_ourselves() -> None:
    own = Chat(phone=ANA.own)
    assert peer(webhooks.text(own, OURS)) == Peer(jid=f"{ANA.own}@s.whatsapp.net", phone=ANA.own)


def test_somebody_known_by_lid_alone_is_somebody() -> None:
    assert peer(webhooks.lid_only()) == Peer(jid=LID, lid=LID, name="Caio")


@pytest.mark.parametrize(
    ("remote_jid", "mode", "expected"),
    [
        (f"{PHONE}:12@s.whatsapp.net", None, Peer(jid=PHONE_JID, phone=PHONE)),
        (f"{PHONE}", "pn", Peer(jid=PHONE_JID, phone=PHONE)),
        ("84000000000001", "lid", Peer(jid=LID, lid=LID)),
        ("84000000000001:7@lid", "lid", Peer(jid=LID, lid=LID)),
        ("551187654321@s.whatsapp.net", None, Peer(jid="551187654321@s.whatsapp.net", phone="551187654321")),
        ("5215512345678@s.whatsapp.net", None, Peer(jid="5215512345678@s.whatsapp.net", phone="5215512345678")),
        ("5491123456789@s.whatsapp.net", None, Peer(jid="5491123456789@s.whatsapp.net", phone="5491123456789")),
    ],
)
def test_addresses_lose_their_device_and_keep_the_rest(remote_jid: str, mode: str | None, expected: Peer) -> None:
    webhook = webhooks.text(Chat(name=""))
    webhook["data"]["key"] |= {"remoteJid": remote_jid, "addressingMode": mode}
    assert peer(webhook) == expected


def test_a_message_without_chat_address_is_found_by_the_alternative() -> None:
    webhook = webhooks.text()
    webhook["data"]["key"] |= {"remoteJid": None, "remoteJidAlt": PHONE_JID}
    assert peer(webhook).phone == PHONE


@pytest.mark.parametrize(
    ("push_name", "name"),
    [
        ("  Ana \n Souza ", "Ana Souza"),
        ("Ana 2", "Ana 2"),
        ("🌸", "🌸"),
        ("", None),
        (None, None),
        (7, None),
        ("Você", None),
        ("You", None),
        (PHONE, None),
        ("+55 11 98765-4321", None),
        (PHONE_JID, None),
        (LID, None),
        ("\x00", None),
    ],
)
def test_a_name_is_what_a_person_calls_themselves(push_name: object, name: str | None) -> None:
    webhook = webhooks.text()
    webhook["data"]["pushName"] = push_name
    assert peer(webhook).name == name


def test_our_own_profile_name_is_not_the_customers() -> None:
    webhook = webhooks.text(ANA, OURS)
    webhook["data"]["pushName"] = "Lúcia Studios"
    assert peer(webhook).name is None


@pytest.mark.parametrize(
    ("remote_jid", "reason"),
    [
        ("120363021234567890@g.us", "group"),
        ("status@broadcast", "broadcast"),
        ("120363021234567890@newsletter", "newsletter"),
        ("867051314767696@bot", "bot"),
        ("server@c.us", "system address"),
        (None, "message without address"),
        (5, "message without address"),
    ],
)
def test_chats_with_nobody_alone_are_ignored_aloud(remote_jid: object, reason: str) -> None:
    webhook = webhooks.text()
    webhook["data"]["key"]["remoteJid"] = remote_jid
    assert translate(webhook) == [Ignored(reason=reason)]


def test_a_group_message_is_ignored_aloud() -> None:
    assert translate(webhooks.group_message()) == [Ignored(reason="group")]


def test_contacts_tell_names_one_by_one_or_in_a_list() -> None:
    ana = {"remoteJid": PHONE_JID, "pushName": "Ana", "profilePicUrl": None}
    named = PeerNamed(peer=Peer(jid=PHONE_JID, phone=PHONE, name="Ana"))
    assert translate(webhooks.envelope(ANA, "contacts.update", ana)) == [named]
    others = [
        {"remoteJid": LID, "pushName": "84000000000001"},
        {"remoteJid": "1@g.us", "pushName": "Turma"},
        {"remoteJid": "2@g.us", "pushName": "Turma 2"},
        {"remoteJid": f"{ANA.own}@s.whatsapp.net", "pushName": "Lúcia"},
        {"remoteJid": None},
    ]
    assert translate(webhooks.envelope(ANA, "CONTACTS_UPSERT", [ana, *others])) == [
        named,
        Ignored(reason="contact without name"),
        Ignored(reason="group"),
        Ignored(reason="our own contact"),
        Ignored(reason="contact without address"),
    ]


def test_a_contact_that_binds_lid_and_phone_is_told_even_without_name() -> None:
    contact = {"remoteJid": LID, "remoteJidAlt": PHONE_JID, "pushName": ""}
    assert translate(webhooks.envelope(ANA, "contacts.upsert", [contact])) == [PeerNamed(peer=Peer(jid=LID, phone=PHONE, lid=LID))]


def test_the_first_message_of_a_chat_and_its_contact_agree() -> None:
    contact = {"remoteJid": PHONE_JID, "pushName": "Ana Souza"}
    (named,) = translate(webhooks.envelope(ANA, "contacts.upsert", contact))
    assert isinstance(named, PeerNamed)
    assert named.peer == peer(webhooks.text(ANA, FIRST))
