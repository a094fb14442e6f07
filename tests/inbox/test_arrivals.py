"""Whatever customers send and the gateway tells is in the inbox, once, as members see it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.inbox.desk import Desk, stamp
from tests.whatsapp import webhooks
from tests.whatsapp.webhooks import VERSIONS, Chat, Version, Webhook

KINDS: dict[str, tuple[Callable[..., Webhook], dict[str, Any]]] = {
    "image": (webhooks.image, {"body": "Olha só"}),
    "video": (webhooks.video, {"body": None}),
    "voice": (webhooks.voice, {"body": None}),
    "audio": (webhooks.audio, {"body": None}),
    "document": (webhooks.document, {"body": None}),
    "sticker": (webhooks.sticker, {"body": None}),
    "location": (webhooks.location, {"body": "MASP\nAv. Paulista, 1578"}),
    "contact": (webhooks.contact_card, {}),
    "unsupported": (webhooks.unknown_kind, {"unsupported_kind": "hologramMessage"}),
    "text": (webhooks.text, {"body": "Oi, vocês entregam?"}),
}
FILES = {"image": "image/jpeg", "video": "video/mp4", "voice": "audio/ogg; codecs=opus", "document": "application/pdf"}


class TestKinds:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_every_kind_is_shown_in_list_and_thread(self, desk: Desk, kind: str) -> None:
        say, shown = KINDS[kind]
        await desk.hear(say(desk.chat(), stamp()))
        conversation = await desk.only()
        (message,) = await desk.thread(conversation["id"])
        assert conversation["last_message"]["type"] == message["type"] == kind
        assert conversation["last_message"]["id"] == message["id"]
        assert conversation["last_message_at"] == message["created_at"]
        assert conversation["unread_count"] == 1
        assert message | shown == message
        assert (message["direction"], message["status"], message["author"]["type"]) == ("in", "received", "customer")
        if kind in FILES:
            assert (message["media"]["mime"], message["media"]["state"]) == (FILES[kind], "pending")
            answer = await desk.client.get(message["media"]["url"], headers=desk.workspace.owner.headers)
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "MEDIA_NOT_READY")

    async def test_a_place_and_a_card_keep_their_parts(self, desk: Desk) -> None:
        await desk.hear(webhooks.location(desk.chat(), stamp()), webhooks.contact_card(desk.chat(), stamp()))
        place, card = await desk.thread((await desk.only())["id"])
        assert place["location"] == {"latitude": -23.56141, "longitude": -46.65588, "name": "MASP", "address": "Av. Paulista, 1578"}
        assert card["contacts"] == [{"name": "Bruno Lima", "phone": "5521998877665"}]

    @pytest.mark.parametrize("version", VERSIONS)
    async def test_a_quoted_reply_names_what_it_answers(self, desk: Desk, version: Version) -> None:
        chat, first = desk.chat(version=version), stamp()
        await desk.hear(webhooks.text(chat, first), webhooks.quoted_reply(chat, stamp(), "Sobre isso", first.id))
        question, answer = await desk.thread((await desk.only())["id"])
        expected = None if version == "2.4" else {"id": question["id"], "body": question["body"], "type": "text"}
        assert answer["quoted_message"] == expected

    async def test_an_echo_is_the_owners_own_answer(self, desk: Desk) -> None:
        await desk.hear(webhooks.text(desk.chat(), stamp()), webhooks.echo(desk.chat(), stamp(), "Entregamos sim"))
        conversation = await desk.only()
        echo = (await desk.thread(conversation["id"]))[-1]
        assert (echo["direction"], echo["status"], echo["author"]["type"]) == ("out", "sent", "device")
        assert (conversation["handler"], conversation["last_message"]["direction"]) == ("human", "out")
        assert conversation["contact_name"] == "Ana Souza"

    async def test_groups_stay_outside(self, desk: Desk) -> None:
        await desk.hear(webhooks.group_message(desk.chat(), stamp()))
        assert await desk.all(status="all") == []

    async def test_a_customer_reopens_and_wakes(self, desk: Desk) -> None:
        number = (await desk.open())["id"]
        await desk.do("POST", f"/{number}/snooze", json={"until": "2027-01-05T10:00:00Z"})
        await desk.hear(webhooks.text(desk.chat(), stamp()))
        assert (await desk.only())["snoozed_until"] is None
        await desk.do("POST", f"/{number}/close")
        await desk.hear(webhooks.text(desk.chat(), stamp()))
        shown = await desk.only()
        assert (shown["status"], shown["episode"], shown["id"], shown["unread_count"]) == ("open", 2, number, 3)


class TestChanges:
    async def test_edit_reaction_and_delete_are_seen(self, desk: Desk) -> None:
        first, second = stamp(), stamp()
        await desk.hear(webhooks.text(desk.chat(), first, "Oi"), webhooks.text(desk.chat(), second, "Tem vaga?"))
        await desk.hear(
            webhooks.edit(desk.chat(), second.id, "Tem vaga hoje?", second.at * 1000 + 500),
            webhooks.reaction(desk.chat(), stamp(), first.id, "👍"),
        )
        conversation = await desk.only()
        one, two = await desk.thread(conversation["id"])
        assert [(reaction["by"], reaction["emoji"]) for reaction in one["reactions"]] == [("customer", "👍")]
        assert (two["body"], conversation["last_message"]["body"]) == ("Tem vaga hoje?", "Tem vaga hoje?")
        assert two["edited_at"] is not None
        assert conversation["unread_count"] == 2
        await desk.hear(webhooks.reaction(desk.chat(), stamp(), first.id, ""), webhooks.revoke(desk.chat(), second))
        conversation = await desk.only()
        one, two = await desk.thread(conversation["id"])
        assert one["reactions"] == []
        assert (two["body"], two["deleted_at"] is not None) == (None, True)
        assert (conversation["last_message"]["type"], conversation["last_message"]["body"]) == ("revoked", None)
        assert await desk.do("GET", "/search?q=vaga") == []


class TestIdentity:
    @pytest.mark.parametrize(("first", "second"), [("551187654321", "5511987654321"), ("5511987654321", "551187654321")])
    async def test_the_ninth_digit_makes_no_second_conversation(self, desk: Desk, first: str, second: str) -> None:
        await desk.hear(webhooks.text(desk.chat(first), stamp(), "um"), webhooks.text(desk.chat(second), stamp(), "dois"))
        conversation = await desk.only()
        assert [message["body"] for message in await desk.thread(conversation["id"])] == ["um", "dois"]
        for q in (first, second, first[-8:], second[4:], f"+{second[:2]} ({second[2:4]}) {second[4:-4]}-{second[-4:]}"):
            assert [one["id"] for one in await desk.all(q=q)] == [conversation["id"]], q

    async def test_a_hidden_number_is_a_contact_without_phone(self, desk: Desk) -> None:
        await desk.hear(webhooks.text(desk.chat(None, lid="84000000000001", name="Caio"), stamp()))
        shown = await desk.only()
        assert (shown["contact"]["phone"], shown["contact_name"]) == (None, "Caio")

    @pytest.mark.parametrize("version", ["2.3.4", "2.3.6", "2.4"])
    async def test_a_hidden_number_that_becomes_known_goes_on(self, desk: Desk, version: Version) -> None:
        hidden = desk.chat(None, lid="84000000000001", name="Caio")
        known = desk.chat(lid="84000000000001", name="Caio", version=version)
        await desk.hear(webhooks.text(hidden, stamp(), "um"), webhooks.text(known, stamp(), "dois"))
        conversation = await desk.only()
        assert [message["body"] for message in await desk.thread(conversation["id"])] == ["um", "dois"]
        assert conversation["contact"]["phone"] == "5511987654321"
        assert [one["id"] for one in await desk.all(q="98765")] == [conversation["id"]]

    async def test_the_address_book_binds_two_conversations(self, desk: Desk) -> None:
        hidden, known, both = await two_of_one(desk)
        await desk.hear(named(both))
        conversation = await desk.only()
        assert [message["body"] for message in await desk.thread(conversation["id"])] == ["escondido", "com número"]
        assert conversation["unread_count"] == 2
        assert {hidden, known} >= {conversation["id"]}


async def two_of_one(desk: Desk) -> tuple[int, int, Chat]:
    """Somebody who wrote once hidden and once by phone; nobody knows yet that it is one."""
    lid = "84000000000002"
    hidden = await desk.open(phone=None, lid=lid, name="Caio")  # type: ignore[arg-type]
    await desk.hear(webhooks.edit(desk.chat(None, lid=lid), await first_id(desk, hidden["id"]), "escondido", 1_767_600_500_000))
    known = await desk.open(name="Caio")
    await desk.hear(webhooks.edit(desk.chat(), await first_id(desk, known["id"]), "com número", 1_767_600_500_000))
    return hidden["id"], known["id"], desk.chat(lid=lid, name="Caio", version="2.3.6")


async def first_id(desk: Desk, number: int) -> str:
    """What the gateway calls the first message of a conversation."""
    return str((await desk.thread(number))[0]["evolution_message_id"])


def named(chat: Chat) -> dict[str, Any]:
    """The gateway's address book, which knows both addresses."""
    told = webhooks.key(chat, stamp())
    return webhooks.envelope(chat, "contacts.update", [{**told, "pushName": chat.name, "instanceId": "1"}])
