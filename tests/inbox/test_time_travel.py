"""As it was: what a conversation showed at any instant is what it shows when asked for that instant later."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.inbox.desk import Desk, stamp
from tests.inbox.test_arrivals import named, two_of_one
from tests.inbox.test_commands import PNG
from tests.whatsapp import webhooks
from tests.whatsapp.webhooks import Chat


class Diary:
    """What a conversation showed, and when."""

    def __init__(self, desk: Desk, number: int) -> None:
        self.desk, self.number = desk, number
        self.pages: list[tuple[str, bytes, bytes]] = []

    async def write(self) -> None:
        """Note what is shown now."""
        head, thread = [(await self.desk.call("GET", f"/{self.number}{path}")).content for path in ("", "/messages?limit=100")]
        self.pages.append((datetime.now(UTC).isoformat(), head, thread))

    async def compare(self) -> None:
        """Ask for every instant again."""
        for moment, *shown in self.pages:
            for path, before in zip(("", "/messages"), shown, strict=True):
                query = {"as_of": moment} | ({"limit": 100} if path else {})
                assert (await self.desk.call("GET", f"/{self.number}{path}", params=query)).content == before, (moment, path)


@pytest.mark.parametrize("seed", range(3))
async def test_every_instant_of_a_random_history(desk: Desk, seed: int) -> None:
    dice, label = random.Random(seed), await desk.label("VIP")
    number = (await desk.open())["id"]
    diary = Diary(desk, number)
    await diary.write()
    for _ in range(40):
        await step(desk, dice, number, label)
        await diary.write()
    await diary.compare()


async def test_before_its_beginning_there_is_nothing(desk: Desk) -> None:
    before = datetime.now(UTC).isoformat()
    number = (await desk.open())["id"]
    for path in ("", "/messages"):
        assert (await desk.call("GET", f"/{number}{path}", params={"as_of": before})).status_code == 404


async def test_through_a_merger(desk: Desk) -> None:
    first, second, both = await two_of_one(desk)
    diaries = [Diary(desk, first), Diary(desk, second)]
    for diary in diaries:
        await diary.write()
        await desk.do("POST", f"/{diary.number}/messages", json={"body": "Oi"})
        await diary.write()
    await desk.hear(named(both))
    winner = (await desk.only())["id"]
    (kept,) = [diary for diary in diaries if diary.number == winner]
    await kept.write()
    await desk.hear(webhooks.text(desk.chat(), stamp(), "e agora?"))
    await kept.write()
    await kept.compare()


@pytest.mark.parametrize("as_of", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00", "x", "1", ""])
async def test_a_time_that_is_none_is_refused(desk: Desk, as_of: str) -> None:
    number = (await desk.open())["id"]
    for path in ("", "/messages"):
        assert (await desk.call("GET", f"/{number}{path}", params={"as_of": as_of})).status_code in (404, 422)


async def step(desk: Desk, dice: random.Random, number: int, label: int) -> None:
    """One thing that happens."""
    chat, known = desk.chat(), [one for one in await desk.thread(number) if one["evolution_message_id"]]
    target = dice.choice(known)
    ids = {"ids": [number]}
    steps: list[Any] = [
        ("POST", "/messages", {"body": f"Resposta {dice.random()}", "quoted_message_id": target["id"]}),
        ("POST", "/messages", {"body": f"Nota {dice.random()}", "type": "note"}),
        ("POST", dice.choice(["/close", "/reopen", "/read", "/unread"]), None),
        ("POST", "/snooze", {"until": dice.choice([None, "2027-01-01T00:00:00Z"])}),
        ("PATCH", "", {"contact_name": dice.choice(["", "Dona Ana"]), "notes": dice.choice([None, "x"])}),
        ("PATCH", "", {"assigned_user_id": dice.choice([None, desk.workspace.owner.id])}),
        ("POST", "-bulk", {**ids, "action": dice.choice(["add_label", "remove_label"]), "label_id": label}),
        "media",
        webhook(dice, chat, target),
        webhook(dice, chat, target),
        webhook(dice, chat, target),
    ]
    chosen = dice.choice(steps)
    if chosen == "media":
        await desk.do("POST", f"/{number}/media-messages", files={"file": ("a.png", PNG)})
    elif isinstance(chosen, dict):
        await desk.hear(chosen)
    else:
        method, path, body = chosen
        place = "/bulk" if path == "-bulk" else f"/{number}{path}"
        assert (await desk.call(method, place, json=body)).status_code in (200, 201, 409)


def webhook(dice: random.Random, chat: Chat, target: dict[str, Any]) -> webhooks.Webhook:
    """Something the gateway tells."""
    one = stamp(webhooks.TEN_O_CLOCK + dice.randrange(10_000))
    theirs = webhooks.Stamp(id=target["evolution_message_id"], from_me=target["direction"] == "out")
    return dice.choice(
        [
            webhooks.text(chat, one, f"Oi {dice.random()}"),
            webhooks.image(chat, one),
            webhooks.echo(chat, one, "Pois não"),
            webhooks.quoted_reply(chat, one, "Sobre isso", theirs.id),
            webhooks.reaction(chat, one, theirs.id, dice.choice(["👍", ""])),
            webhooks.edit(chat, theirs.id, f"corrigido {dice.random()}", (webhooks.TEN_O_CLOCK + dice.randrange(10_000)) * 1000),
            webhooks.revoke(chat, theirs),
            webhooks.ack(chat, theirs, dice.choice(["SERVER_ACK", "DELIVERY_ACK", "READ", "ERROR"])),
        ]
    )
