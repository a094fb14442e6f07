"""Whatever order deliveries take, however often each comes, the inbox ends in one state."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from plixa.app import create_app
from plixa.inbox.domain.events import Accepted, Acknowledged, Author, Content, Edited, InDoubt, Opened, Queued, Reacted, Received, Revoked
from plixa.kernel.event_store import Actor, Event, Recorded, stream_id
from plixa.kernel.projection import Rows
from plixa.kernel.settings import Settings
from projections.inbox import inbox
from projections.messages import RANKS, MessageRow, messages
from tests.inbox.desk import Desk, stamp
from tests.support.apps import calling, started
from tests.whatsapp import webhooks
from tests.whatsapp.webhooks import Chat, Webhook

PRIVATE = {"id", "conversation_id", "evolution_message_id", "created_at"}
MOMENTS = {"first_responded_at", "sent_at", "delivered_at", "read_at", "edited_at", "deleted_at"}
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
ACKS = st.sampled_from(["pending", "sent", "delivered", "read", "played", "failed"]).map(lambda status: Acknowledged(7, status))
EDITS = st.integers(1, 5).map(lambda minute: Edited(7, f"text {minute}", NOON + timedelta(minutes=minute)))
REACTIONS = st.tuples(st.sampled_from(["customer", "device"]), st.integers(1, 4)).map(
    lambda told: Reacted(7, told[0], NOON + timedelta(minutes=told[1]), None if told[1] == 2 else "👍" * told[1])
)
HISTORIES = st.lists(st.one_of(ACKS, EDITS, REACTIONS, st.just(Revoked(7)), st.just(InDoubt(7))), max_size=9)


class TestByWebhook:
    @pytest.mark.parametrize("seed", range(8))
    async def test_any_order_and_any_repetition_end_equal(self, desk: Desk, seed: int) -> None:
        straight, shaken = desk.chat("5511987650001"), desk.chat(f"551198766{seed:04}")
        await desk.hear(*story(straight))
        told = list(story(shaken))
        dice = random.Random(seed)
        told += dice.choices(told, k=len(told) // 2)
        dice.shuffle(told)
        if seed % 2:
            await desk.hear_at_once(told)
        else:
            await desk.hear(*told)
        left, right = [await view(desk, chat) for chat in (straight, shaken)]
        assert left == right
        assert await desk.workspace.rows("SELECT key FROM parked_update WHERE tenant_id = $1") == []

    async def test_what_is_told_of_the_customers_own_message_is_no_status(self, desk: Desk) -> None:
        early, late = stamp(), stamp()
        silent = [webhooks.ack(desk.chat(), one, "READ") for one in (early, late)]
        for webhook in silent:
            del webhook["data"]["fromMe"]
        await desk.hear(silent[0], webhooks.text(desk.chat(), early), webhooks.text(desk.chat(), late), silent[1])
        thread = await desk.thread((await desk.only())["id"])
        assert [message["status"] for message in thread] == ["received", "received"]

    async def test_messages_of_one_second_stand_as_they_came_whichever_process_took_them(self, desk: Desk, settings: Settings) -> None:
        async with started(create_app(settings)) as second, calling(second) as client:
            other = msgspec.structs.replace(desk, client=client)
            for turn in range(6):
                taker = (other, desk)[turn % 2]
                await taker.hear(webhooks.text(desk.chat(), stamp(webhooks.TEN_O_CLOCK), f"#{turn}"))
        shown = await desk.only()
        assert [message["body"] for message in await desk.thread(shown["id"])] == [f"#{turn}" for turn in range(6)]
        assert shown["last_message"]["body"] == "#5"

    async def test_a_late_word_takes_nothing_back(self, desk: Desk) -> None:
        echo = stamp(from_me=True)
        await desk.hear(webhooks.echo(desk.chat(), echo, "Oi"))
        seen = []
        for status in ("READ", "DELIVERY_ACK", "SERVER_ACK", "ERROR", "PENDING", "nonsense"):
            await desk.hear(webhooks.ack(desk.chat(), echo, status))
            (message,) = await desk.thread((await desk.only())["id"])
            seen.append((message["status"], message["read_at"], message["error"]))
        assert len(set(seen)) == 1
        assert seen[0][0] == "read"
        assert (await desk.events((await desk.only())["id"])).count("message.acknowledged") == 5

    async def test_an_error_yields_to_a_later_delivery(self, desk: Desk) -> None:
        echo = stamp(from_me=True)
        await desk.hear(webhooks.echo(desk.chat(), echo, "Oi"), webhooks.ack(desk.chat(), echo, "ERROR"))
        number = (await desk.only())["id"]
        assert (await desk.thread(number))[0]["status"] == "failed"
        await desk.hear(webhooks.ack(desk.chat(), echo, "DELIVERY_ACK"))
        assert [(message["status"], message["error"]) for message in await desk.thread(number)] == [("delivered", None)]


class TestByEvent:
    @examples(max_examples=150, deadline=None)
    @given(HISTORIES, st.randoms(use_true_random=False))
    def test_one_final_row(self, history: list[Event], dice: random.Random) -> None:
        begun: list[Event] = [Queued(7, 1, Content("text", "Oi"), Author("user", 3), "3EB0"), Accepted(7, "G", "jid")]
        shaken = [*history, *dice.choices(history, k=len(history))] if history else []
        dice.shuffle(shaken)
        assert row(begun + history) == row(begun + shaken)
        reached = max((RANKS[event.status] for event in history if isinstance(event, Acknowledged)), default=1.0)
        assert RANKS[row(begun + shaken).status] == max(reached, 1.0)

    @examples(max_examples=100, deadline=None)
    @given(HISTORIES, st.randoms(use_true_random=False))
    def test_one_final_line_in_the_list(self, history: list[Event], dice: random.Random) -> None:
        begun: list[Event] = [Opened(1, 1), Received(7, 1, "G", Content("text", "Oi"), NOON)]
        shaken = list(history)
        dice.shuffle(shaken)
        rows = [Rows(inbox), Rows(inbox)]
        for target, events in zip(rows, (history, shaken), strict=True):
            for fact in recorded(begun + events):
                target.fold(fact)
        one, other = (target.now[1] for target in rows)
        assert one == other


def row(events: list[Event]) -> MessageRow:
    """What the events make of their message."""
    rows = Rows(messages)
    for fact in recorded(events):
        rows.fold(fact)
    found = rows.now[7]
    assert found is not None
    return found


def recorded(events: list[Event]) -> Iterator[Recorded]:
    """The events of one conversation, all of one moment: when each was heard is not part of the question."""
    stream = stream_id("conversation", 1)
    for version, event in enumerate(events, 1):
        yield Recorded(stream, 1, version, event, NOON, Actor("gateway"), "", 1, version)


def story(chat: Chat) -> Iterator[Webhook]:
    """A conversation in the order in which it happened; the same for every customer but for names of messages."""
    place = {name: webhooks.Stamp(id=f"{chat.phone}{name}", at=webhooks.TEN_O_CLOCK + at) for at, name in enumerate("ABCDEFGH")}
    ours = msgspec.structs.replace(place["C"], from_me=True)
    at = webhooks.TEN_O_CLOCK * 1000
    yield from (webhooks.text(chat, place["A"], "Oi"), webhooks.image(chat, place["B"]), webhooks.echo(chat, ours, "Pois não"))
    yield from (webhooks.ack(chat, ours, status) for status in ("SERVER_ACK", "DELIVERY_ACK", "READ", "ERROR"))
    yield webhooks.quoted_reply(chat, place["D"], "Sobre isso", ours.id)
    yield from (webhooks.reaction(chat, place[name], place["A"].id, emoji) for name, emoji in (("E", "👍"), ("F", "❤️")))
    yield webhooks.reaction(chat, webhooks.Stamp(id=f"{chat.phone}I", at=at // 1000, from_me=True), place["A"].id, "🙏")
    yield from (webhooks.edit(chat, place["A"].id, body, at + late) for body, late in (("Oi!", 5000), ("Oi, tudo bem?", 9000)))
    yield webhooks.revoke(chat, place["B"])
    yield webhooks.text(chat, place["G"], "Até")
    yield from (webhooks.edit(chat, place["G"].id, body, at + late) for body, late in (("Até já", 10_000), ("Até logo", 11_000)))


async def view(desk: Desk, chat: Chat) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A customer's conversation without what differs from customer to customer."""
    (found,) = await desk.all(q=chat.phone, status="all")
    thread = [plain(message) for message in await desk.thread(found["id"])]
    hidden = ("contact", "contact_name", "opened_at", "updated_at")
    return plain({name: value for name, value in found.items() if name not in hidden}), thread


def plain(shown: dict[str, Any]) -> dict[str, Any]:
    """What stays when names are taken away and moments become yes or no."""
    kept: dict[str, Any] = {name: (value is not None) if name in MOMENTS else value for name, value in shown.items() if name not in PRIVATE}
    for name in ("quoted_message", "media", "last_message"):
        if kept.get(name):
            kept[name] = {part: value for part, value in kept[name].items() if part not in ("id", "url")}
    return kept
