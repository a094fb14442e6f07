"""Two contacts turn out to be one: their conversations become one, and nothing of either is lost, or left behind."""

import asyncio
from typing import Any

import pytest

from plixa.inbox.actors import Actors
from plixa.kernel.delivery import deliver
from plixa.whatsapp.client import SendText, Sent
from tests.inbox.desk import Desk, stamp
from tests.inbox.test_arrivals import named, two_of_one
from tests.support.effects import do_effects
from tests.support.world import Member
from tests.whatsapp import webhooks
from tests.whatsapp.webhooks import Chat

READABLE = """SELECT s.stream_id FROM webhook_seen s WHERE s.tenant_id = $1 AND (s.stream_id IS NULL
OR EXISTS (SELECT FROM stream_key k WHERE k.tenant_id = s.tenant_id AND k.stream_id = s.stream_id))"""


async def merged(desk: Desk) -> tuple[int, int]:
    """The conversation that stays, and the one that went on in it."""
    first, second, both = await two_of_one(desk)
    await desk.hear(named(both))
    winner = (await desk.only())["id"]
    return winner, second if winner == first else first


async def test_the_one_that_is_gone_answers_as_if_it_had_never_been(desk: Desk) -> None:
    _, loser = await merged(desk)
    for method, path, body in (
        ("GET", "", None),
        ("GET", "/messages", None),
        ("GET", "/events", None),
        ("PATCH", "", {"notes": "x"}),
        ("POST", "/messages", {"body": "Oi"}),
        ("POST", "/messages", {"body": "Oi", "type": "note"}),
        ("POST", "/close", None),
        ("POST", "/read", None),
        ("POST", "/snooze", {"until": None}),
        ("DELETE", "", None),
    ):
        answer = await desk.call(method, f"/{loser}{path}", json=body)
        assert answer.status_code == 404, (method, path, answer.text)
    for action in ({"action": "close"}, {"action": "assign", "assignee_id": desk.workspace.owner.id}, {"action": "delete"}):
        assert (await desk.do("POST", "/bulk", json={**action, "ids": [loser]}))["affected"] == 0


async def test_what_members_noted_on_either_stays(desk: Desk) -> None:
    first, second, both = await two_of_one(desk)
    label = await desk.label("VIP")
    owner = desk.workspace.owner.id
    for number, notes in ((first, "prefere manhã"), (second, "paga em dinheiro")):
        await desk.do("PATCH", f"/{number}", json={"notes": notes})
    await desk.do("PATCH", f"/{first}", json={"assigned_user_id": owner, "contact_name": "Seu Caio"})
    await desk.do("POST", "/bulk", json={"action": "add_label", "ids": [first], "label_id": label})
    await desk.do("POST", f"/{second}/snooze", json={"until": "2027-01-05T10:00:00Z"})
    await desk.hear(named(both))
    shown = await desk.only()
    assert sorted((shown["notes"] or "").split("\n\n")) == ["paga em dinheiro", "prefere manhã"]
    assert (shown["contact_name"], shown["assigned_user"]["id"], [one["id"] for one in shown["labels"]]) == ("Seu Caio", owner, [label])
    assert shown["snoozed_until"] is None
    assert shown["status"] == "open"


@pytest.mark.parametrize("place", [0, 1])
async def test_the_sector_goes_along_and_a_member_who_is_gone_does_not(desk: Desk, ana: Member, place: int) -> None:
    *numbers, both = await two_of_one(desk)
    headers = desk.workspace.owner.headers
    sector = (await desk.client.post("/v1/sectors", json={"name": "Vendas"}, headers=headers)).json()["data"]["id"]
    await desk.do("PATCH", f"/{numbers[place]}", json={"sector_id": sector, "assigned_user_id": ana.id})
    assert (await desk.client.delete(f"/v1/team/members/{ana.id}", headers=headers)).status_code == 204
    await desk.hear(named(both))
    await do_effects(desk.workspace, "inbox.unassign_member")
    shown = await desk.only()
    assert (shown["sector_id"], shown["assigned_user"]) == (sector, None)


async def test_deleting_erases_both_even_after_two_mergers(desk: Desk) -> None:
    await merged(desk)
    third = await desk.open("5521911112222", name="Caio")
    # The address book learns that the LID's owner has another number: three conversations are one.
    await desk.hear(named(desk.chat("5521911112222", lid="84000000000002", name="Caio", version="2.3.6")))
    shown = await desk.only()
    assert len(await desk.thread(shown["id"])) == 3, third
    as_of = (await desk.call("GET", f"/{shown['id']}/messages", params={"as_of": "2099-01-01T00:00:00Z"})).json()
    assert as_of == (await desk.call("GET", f"/{shown['id']}/messages")).json()
    await desk.do("DELETE", f"/{shown['id']}")
    keys = (
        "SELECT k.stream_id FROM stream_key k JOIN event e USING (tenant_id, stream_id) WHERE tenant_id = $1 AND e.topic LIKE 'message.%'"
    )
    assert await desk.workspace.rows(keys) == []
    assert await desk.workspace.rows(READABLE) == []
    assert await desk.is_sound()


async def test_a_reply_that_waits_while_two_become_one_is_sent(desk: Desk) -> None:
    first, second, both = await two_of_one(desk)
    replies = [await desk.do("POST", f"/{number}/messages", json={"body": f"Resposta {number}"}) for number in (first, second)]
    await desk.hear(named(both))
    winner = (await desk.only())["id"]
    gateway: Any = Taking()
    for row in await desk.workspace.rows("SELECT id FROM outbox WHERE tenant_id = $1 AND kind = 'inbox.send' ORDER BY id"):
        assert await deliver(desk.workspace.kernel, Actors(gateway).handlers(), desk.workspace.tenant, row["id"])
    assert sorted(gateway.texts) == sorted(reply["body"] for reply in replies)
    shown = [message for message in await desk.thread(winner) if message["direction"] == "out"]
    assert {message["status"] for message in shown} == {"pending"}
    await desk.hear(webhooks.ack(desk.chat(), stamp_of(shown[0]), "DELIVERY_ACK"))
    assert "delivered" in {message["status"] for message in await desk.thread(winner)}


async def test_replies_to_either_are_kept_while_they_become_one(desk: Desk) -> None:
    first, second, both = await two_of_one(desk)

    async def reply(number: int, turn: int) -> str | None:
        answer = await desk.call("POST", f"/{number}/messages", json={"body": f"{number} #{turn}"})
        assert answer.status_code in (201, 404, 409, 503), answer.text
        return f"{number} #{turn}" if answer.status_code == 201 else None

    replies = [reply(number, turn) for turn in range(12) for number in (first, second)]
    told = desk.hear_at_once([named(both), webhooks.text(both, stamp(), "e agora?")])
    *said, _ = await asyncio.gather(*replies[:6], told, *replies[6:], asyncio.sleep(0))
    winner = await desk.only()
    shown = [message["body"] for message in await desk.thread(winner["id"])]
    assert sorted(body for body in said if body) == sorted(body for body in shown if "#" in body)
    assert winner["unread_count"] == 3
    assert (await desk.do("GET", "/counts"))["all"] == 1


async def test_a_customer_who_writes_under_both_addresses_at_once_has_one_conversation(desk: Desk) -> None:
    lid = "84000000000003"
    hidden: Chat = desk.chat(None, lid=lid)
    both: Chat = desk.chat(lid=lid, version="2.3.6")
    told = [webhooks.text(hidden if turn % 2 else both, stamp(), f"#{turn}") for turn in range(16)]
    await desk.hear_at_once([*told, *told, named(both)])
    conversation = await desk.only()
    assert sorted(message["body"] for message in await desk.thread(conversation["id"])) == sorted(f"#{turn}" for turn in range(16))
    assert conversation["unread_count"] == 16


def stamp_of(message: dict[str, Any]) -> webhooks.Stamp:
    """The identity of a message of ours, as the gateway tells of it."""
    return webhooks.Stamp(id=message["evolution_message_id"], from_me=True)


class Taking:
    """A gateway's sending side alone: it takes every text."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def send_text(self, _instance: str, message: SendText) -> Sent:
        self.texts.append(message.text)
        return Sent(gateway_id=f"3EB0{len(self.texts):018X}", jid=message.to, status="PENDING", timestamp=0)
