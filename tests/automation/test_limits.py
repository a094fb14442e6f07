"""So many open conversations and no more: what rules give stops there, to the last one, and goes on where somebody is free again."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from plixa.automation.commands.assigning import assign_arrival
from plixa.automation.policies import REACTIONS
from plixa.inbox.commands.conversations import close_conversation
from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.domain.events import Assigned, Closed, Content, Received, Reopened
from plixa.kernel.assembly import assemble
from plixa.kernel.log import read_log
from plixa.kernel.projector import advance
from plixa.kernel.reacting import step
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel, UnitOfWork
from projections.registry import INLINE
from tests.automation.reception import Reception
from tests.automation.test_assigning import crowd, doing, give
from tests.support.trail import read_trail
from tests.support.world import Member, Workspace

MEMBERS = "/v1/team/members"


@pytest.fixture
async def kernels(kernel: Kernel, settings: Settings) -> AsyncIterator[list[Kernel]]:
    """Two processes' kernels."""
    other = assemble(settings, INLINE)
    yield [kernel, other.kernel]
    await other.kernel.database.close()
    await other.kernel.system.close()
    await other.redis.aclose()


async def limit(reception: Reception, member: Member, most: int | None) -> None:
    answer = await reception.client.patch(f"{MEMBERS}/{member.id}", json={"max_open": most}, headers=reception.workspace.owner.headers)
    assert (answer.status_code, answer.json()["data"]["max_open"]) == (200, most), answer.text


async def react(reception: Reception) -> int:
    """Have what follows the log hear of what happened, and do what it asks for; answers how often."""
    for reaction in REACTIONS:
        while (await advance(reception.workspace.kernel, reaction, reception.workspace.tenant, take=step)).full:
            """There is more."""
    return await reception.drain()


async def call(reception: Reception, number: int, method: str = "POST", path: str = "", **more: Any) -> None:
    answer = await reception.client.request(method, f"/v1/conversations/{number}{path}", headers=reception.workspace.owner.headers, **more)
    assert answer.is_success, answer.text


async def test_a_limit_is_the_owners_to_set_and_leaves_one_entry(reception: Reception, ana: Member, other_tenant: Workspace) -> None:
    client, owner = reception.client, reception.workspace.owner
    await limit(reception, ana, 12)
    await limit(reception, ana, 12)
    unchanged = await client.patch(f"{MEMBERS}/{ana.id}", json={}, headers=owner.headers)
    assert unchanged.json()["data"]["max_open"] == 12
    shown = (await client.get(MEMBERS, headers=ana.headers)).json()["data"]
    assert {one["name"]: one["max_open"] for one in shown} == {"Ana": 12, "Lucia": None}
    await limit(reception, ana, None)
    entries = await read_trail(client, reception.workspace, action="member.updated")
    assert [(entry["before"], entry["after"]) for entry in entries] == [
        ({"max_open": 12}, {"max_open": None}),
        ({"max_open": None}, {"max_open": 12}),
    ]
    for wrong in (0, 1001, -1, "7", 1.5):
        answer = await client.patch(f"{MEMBERS}/{ana.id}", json={"max_open": wrong}, headers=owner.headers)
        assert answer.status_code == 422, wrong
    assert (await client.patch(f"{MEMBERS}/{ana.id}", json={"max_open": 3}, headers=ana.headers)).status_code == 403
    foreign = await client.patch(f"{MEMBERS}/{ana.id}", json={"max_open": 3}, headers=other_tenant.owner.headers)
    assert foreign.status_code == 404


@pytest.mark.parametrize("action", ["round_robin", "least_busy"])
async def test_of_a_crowd_at_two_processes_just_so_many_are_given(
    reception: Reception, kernels: list[Kernel], ana: Member, bia: Member, action: str
) -> None:
    await reception.available(ana, bia)
    await reception.rule(action_type=action)
    await limit(reception, ana, 5)
    await limit(reception, bia, 3)
    await react(reception)
    await crowd(reception, kernels, 40)
    given = await reception.assigned()
    assert Counter(fact.event.user_id for fact in given) == {ana.id: 5, bia.id: 3}  # type: ignore[attr-defined]
    waiting = await reception.waiting()
    assert len(waiting) == 32
    await react(reception)
    assert await reception.waiting() == waiting
    mine = [fact.number for fact in given if fact.event.user_id == ana.id]  # type: ignore[attr-defined]
    await asyncio.gather(*(call(reception, number, path="/close") for number in mine[:3]))
    await react(reception)
    assert await reception.waiting() == waiting[3:], "the oldest"
    assert await asyncio.gather(*map(reception.assignee, waiting[:3])) == [ana.id] * 3


async def test_nobody_ever_has_more_and_nothing_waits_for_somebody_who_has_room(
    reception: Reception, kernels: list[Kernel], ana: Member, bia: Member
) -> None:
    """Arrivals of two processes, while what was given is closed and what that sets off is done beside it."""
    await reception.available(ana, bia)
    await reception.rule(action_type="least_busy")
    most = {ana.id: 3, bia.id: 2}
    for member in (ana, bia):
        await limit(reception, member, most[member.id])
    await react(reception)
    await asyncio.gather(crowd(reception, kernels, 60), close_some(reception, 30))
    await react(reception)
    has, peak = Counter[int](), Counter[int]()
    owner: dict[int, int] = {}
    for fact in await read_log(reception.workspace.kernel, reception.workspace.tenant, 0):
        if isinstance(fact.event, Assigned) and fact.event.user_id is not None:
            owner[fact.number] = who = fact.event.user_id
            has[who] += 1
            peak[who] = max(peak[who], has[who])
        elif isinstance(fact.event, Closed):
            has[owner[fact.number]] -= 1
    assert (peak, has) == (most, most)
    assert (len(owner), len(await reception.waiting())) == (35, 25)


async def close_some(reception: Reception, enough: int) -> None:
    """As soon as something is given it is done, until it were so many."""
    closed = set[int]()
    while len(closed) < enough:
        given = {fact.number for fact in await reception.assigned()} - closed
        for number in sorted(given)[: enough - len(closed)]:
            await call(reception, number, path="/close")
            closed.add(number)
        await react(reception)


async def test_whoever_is_named_is_given_no_more_but_by_hand(reception: Reception, ana: Member) -> None:
    await reception.available(ana)
    rule = await reception.rule(action_type="assign_user", action_user_id=ana.id)
    await limit(reception, ana, 1)
    first, _ = await reception.arrive()
    second, why = await reception.arrive()
    assert why == f"nobody eligible for rule {rule['id']}"
    preview = await reception.preview(message="oi")
    assert preview["candidates"] == [{"user": {"id": ana.id, "name": "Ana"}, "eligible": False, "reason": "full"}]
    assert (preview["matched"], preview["user"]) == (True, None)
    await give(reception, second, ana)
    assert [await reception.assignee(number) for number in (first, second)] == [ana.id, ana.id]


@pytest.mark.parametrize("freed", ["close", "snooze", "reassign", "unassign", "delete", "raise", "lift"])
async def test_who_falls_below_their_limit_gets_what_waited_longest(reception: Reception, ana: Member, bia: Member, freed: str) -> None:
    await reception.available(ana)
    await reception.rule()
    await limit(reception, ana, 2)
    await react(reception)
    first, *_ = [(await reception.arrive())[0] for _ in range(2)]
    waiting = [(await reception.arrive())[0] for _ in range(2)]
    assert await reception.waiting() == waiting
    await react(reception)
    assert await reception.waiting() == waiting
    match freed:
        case "close":
            await call(reception, first, path="/close")
        case "snooze":
            await call(reception, first, path="/snooze", json={"until": (datetime.now(UTC) + timedelta(days=3)).isoformat()})
        case "reassign" | "unassign":
            await call(reception, first, "PATCH", json={"assigned_user_id": bia.id if freed == "reassign" else None})
        case "delete":
            await call(reception, first, "DELETE")
        case _:
            await limit(reception, ana, 3 if freed == "raise" else None)
    assert await react(reception) == 1
    assert await reception.waiting() == ([] if freed == "lift" else waiting[1:])
    assert await reception.assignee(waiting[0]) == ana.id


async def test_where_nobody_has_a_limit_nothing_is_looked_at_again(reception: Reception, ana: Member) -> None:
    await reception.available(ana)
    await reception.rule()
    await react(reception)
    number, _ = await reception.arrive()
    await call(reception, number, path="/close")
    assert await react(reception) == 0
    await limit(reception, ana, 2)
    await limit(reception, ana, 1)
    assert await react(reception) == 0, "less is nothing to wait for"


async def test_who_has_it_from_before_goes_on_with_it_as_long_as_it_is_not_one_too_many(
    reception: Reception, ana: Member, bia: Member
) -> None:
    await reception.available(ana)
    rule = await reception.rule()
    await limit(reception, ana, 2)
    number, _ = await reception.arrive()
    await reception.arrive()

    async def come_again(uow: UnitOfWork) -> str:
        async with uow.edit(Conversation, number) as editor:
            editor.record([Closed(editor.state.assigned_user_id), Reopened("message")])
            editor.record(Received(number + 10**9 + editor.version, 1, f"3C{editor.version}", Content("text"), uow.now))
            return await assign_arrival(uow, editor, "oi")

    assert await doing(reception, come_again) == "stays with Ana", "one of her two"
    await doing(reception, partial(close_conversation, number=number))
    await reception.arrive()
    assert await doing(reception, come_again) == f"nobody eligible for rule {rule['id']}"
    assert (await reception.assignee(number), await reception.waiting()) == (None, [number])
    await reception.available(bia)
    await give(reception, number, ana)
    assert await doing(reception, come_again) == f"rule {rule['id']}, round robin: Bia"
