"""Webhooks that come side by side share a transaction, and nobody can tell from what they leave behind."""

import asyncio
import random
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from plixa.app import create_app
from plixa.inbox.domain.conversation import Conversation
from plixa.kernel.event_store import stream_id
from plixa.kernel.settings import Settings
from tests.chaos.state import state_of
from tests.inbox.desk import Desk, stamp
from tests.support.apps import calling, started
from tests.whatsapp import webhooks
from tests.whatsapp.webhooks import Webhook, conversation_history

TRANSACTIONS = """SELECT count(DISTINCT xmin::text) AS transactions, count(*) AS events FROM event
WHERE tenant_id = $1 AND topic LIKE 'message.%'"""
BODIES = "SELECT body FROM inbox_message WHERE tenant_id = $1 ORDER BY id"
SPOIL = "UPDATE stream_key SET wrapped_key = 'spoilt' WHERE tenant_id = $1 AND stream_id = $2"
HOLD = "SELECT FROM log_head WHERE tenant_id = $1 FOR UPDATE"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


@pytest.mark.parametrize("seed", range(4))
async def test_side_by_side_ends_as_one_by_one(desk: Desk, other_desk: Desk, seed: int) -> None:
    history = conversation_history(seed, customers=9, messages=150)
    dice = random.Random(seed)
    shaken = sorted([*history, *dice.choices(history, k=40)], key=lambda one: history.index(one) + dice.uniform(0, 30))
    await desk.hear(*of(desk, history))
    for first in range(0, len(shaken), 48):
        await hear_all(other_desk, of(other_desk, shaken[first : first + 48]))
    expected, found = [await state_of(one.workspace) for one in (desk, other_desk)]  # type: ignore[arg-type]
    assert found.differences(expected) == {}
    assert fingerprint(found) == fingerprint(expected)
    assert await other_desk.is_sound()
    ((transactions, events),) = [row.values() for row in await other_desk.workspace.rows(TRANSACTIONS)]
    assert transactions < events / 3


async def test_what_cannot_be_applied_harms_nobody_else(desk: Desk) -> None:
    spoilt = (await desk.open("5511987650000"))["id"]
    async with desk.workspace.kernel.system.connection() as connection:
        await connection.execute(SPOIL, desk.workspace.tenant, stream_id(Conversation.KIND, spoilt))
    told = [webhooks.text(desk.chat(f"551198765{number:04}"), stamp(), f"#{number}") for number in range(12)]
    answers = await asyncio.gather(*map(desk.post, told))
    assert [answer.status_code for answer in answers] == [503] + [200] * 11
    assert {row["body"] for row in await desk.workspace.rows(BODIES)} >= {f"#{number}" for number in range(1, 12)}
    assert len(await desk.workspace.rows(BODIES)) == 12
    assert await desk.is_sound()


async def test_nobody_is_answered_before_the_commit(desk: Desk) -> None:
    told = [webhooks.text(desk.chat(f"551198765{number:04}"), stamp(), f"#{number}") for number in range(12)]
    async with desk.workspace.kernel.system.transaction() as connection:
        await connection.fetch(HOLD, desk.workspace.tenant)
        posts = [asyncio.create_task(desk.post(one)) for one in told]
        answered, _ = await asyncio.wait(posts, timeout=0.4)
        assert not answered
        assert await connection.fetchval(WAITING) >= 1
        assert await desk.workspace.rows(BODIES) == []
    assert {answer.status_code for answer in await asyncio.gather(*posts)} == {200}
    assert {row["body"] for row in await desk.workspace.rows(BODIES)} == {f"#{number}" for number in range(12)}


async def test_what_one_customer_says_stands_in_the_order_in_which_it_came(desk: Desk) -> None:
    people = [desk.chat(f"551198765{number:04}") for number in range(4)]
    await hear_all(desk, [webhooks.text(people[turn % 4], stamp(webhooks.TEN_O_CLOCK), f"#{turn}") for turn in range(40)])
    threads = [[message["body"] for message in await desk.thread(one["id"])] for one in await desk.all()]
    assert sorted(threads) == sorted([f"#{turn}" for turn in range(start, 40, 4)] for start in range(4))


async def test_a_message_with_all_that_is_told_of_it_at_once(desk: Desk) -> None:
    echo, first = stamp(from_me=True), stamp()
    about = [webhooks.ack(desk.chat(), echo, status) for status in ("READ", "SERVER_ACK")]
    told = [*about, webhooks.echo(desk.chat(), echo, "Oi"), webhooks.text(desk.chat(), first, "Bom dia"), about[0]]
    told += [webhooks.text(desk.chat(), first, "Bom dia"), webhooks.edit(desk.chat(), first.id, "Boa tarde", first.at * 1000 + 500)]
    await hear_all(desk, [*told, *(webhooks.image(desk.chat(), stamp()) for _ in range(3))])
    thread = await desk.thread((await desk.only())["id"])
    assert [(message["type"], message["body"], message["status"]) for message in thread[:2]] == [
        ("text", "Oi", "read"),
        ("text", "Boa tarde", "received"),
    ]
    assert [message["type"] for message in thread[2:]] == ["image"] * 3


async def test_somebody_who_writes_under_both_addresses_at_once_is_one(desk: Desk) -> None:
    lid = "84000000000003"
    await desk.hear(webhooks.text(desk.chat(lid=lid, name="", version="2.3.6"), stamp(), "um"))
    hidden, known = desk.chat(None, lid=lid, name="Caio"), desk.chat(name="Caio Prado")
    others = [webhooks.text(desk.chat(f"551198765{number:04}"), stamp()) for number in range(5)]
    await hear_all(desk, [others[0], webhooks.text(hidden, stamp(), "dois"), webhooks.text(known, stamp(), "três"), *others[1:]])
    (conversation,) = await desk.all(q="Caio")
    assert [message["body"] for message in await desk.thread(conversation["id"])] == ["um", "dois", "três"]
    assert (conversation["contact_name"], conversation["unread_count"]) == ("Caio", 3)


async def test_groups_of_two_processes_and_replies_never_wait_for_each_other_in_a_circle(desk: Desk, settings: Settings) -> None:
    people = [desk.chat(f"551198765{number:04}") for number in range(24)]
    await hear_all(desk, [webhooks.text(one, stamp()) for one in people])
    numbers = [one["id"] for one in await desk.all()]
    dice = random.Random(7)
    async with started(create_app(settings)) as second, calling(second) as client:
        for turn in range(4):
            lines = [[webhooks.text(one, stamp(), f"#{turn}") for one in dice.sample(people, 24)] for _ in range(2)]
            replies = [desk.do("POST", f"/{number}/messages", json={"body": f"Re: #{turn}"}) for number in dice.sample(numbers, 12)]
            taken = (hear_all(taker, told) for taker, told in zip((desk, msgspec.structs.replace(desk, client=client)), lines, strict=True))
            await asyncio.wait_for(asyncio.gather(*taken, *replies), 20)
    assert len(await desk.workspace.rows(BODIES)) == 24 + 4 * (48 + 12)
    assert await desk.is_sound()


async def hear_all(desk: Desk, told: Iterable[Webhook]) -> None:
    """Webhooks side by side, all of them taken at the first try."""
    answers = await asyncio.gather(*map(desk.post, told))
    assert {answer.status_code for answer in answers} == {200}


def of(desk: Desk, history: Iterable[Webhook]) -> list[Webhook]:
    """The history as it happened to the desk's number."""
    return [one | {"instance": desk.number.name} for one in history]


def fingerprint(state: Any) -> str:
    """SHA-256 of everything in a state, in an order of its own."""
    parts = [sorted(map(repr, getattr(state, name).items())) for name in state.__struct_fields__]
    return sha256(repr(parts).encode()).hexdigest()
