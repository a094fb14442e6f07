"""Conversations given away on a real database: as they arrive, side by side, and to whoever comes back."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from random import Random
from typing import Any, TypeVar

import pytest

from plixa.automation.commands.assigning import assign_arrival
from plixa.inbox.commands.conversations import UpdateConversation, close_conversation, reopen_conversation, update_conversation
from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.domain.events import Assigned, Closed, Content, Merged, Received, Reopened
from plixa.kernel.assembly import assemble
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.workspace.commands.sectors import CreateSector, UpdateSector, create_sector, update_sector
from projections.registry import INLINE
from tests.automation.reception import Reception, begin
from tests.identity.people import change
from tests.identity.tokens import set_plan
from tests.inbox.desk import LABEL, Desk, stamp
from tests.support.world import Member
from tests.whatsapp import webhooks

T = TypeVar("T")
CONTACT = "INSERT INTO contact (tenant_id, id, created_at) VALUES ($1, nextval('contact_number'), now()) RETURNING id"
CARRY = "INSERT INTO contact_label (tenant_id, contact_id, label_id) VALUES ($1, $2, $3)"
DEMAND = "UPDATE tenant SET require_two_factor = true WHERE tenant_id = $1"
QUEUED = """SELECT FROM pg_locks l JOIN pg_locks h USING (locktype, database, classid, objid, objsubid)
WHERE l.locktype = 'advisory' AND NOT l.granted AND h.granted AND $1::bigint > 0"""
ENROL = "UPDATE member SET two_factor_confirmed_at = now() WHERE tenant_id = $1 AND id = $2"


@pytest.fixture
async def kernels(kernel: Kernel, settings: Settings) -> AsyncIterator[list[Kernel]]:
    """Two processes' kernels."""
    other = assemble(settings, INLINE)
    yield [kernel, other.kernel]
    await other.kernel.database.close()
    await other.kernel.system.close()
    await other.redis.aclose()


async def test_an_arrival_is_the_systems_to_give_and_its_history_says_by_which_rule(reception: Reception, ana: Member, bia: Member) -> None:
    await reception.available(ana, bia)
    assert (await reception.arrive())[1] == "no rules"
    rule = await reception.rule()
    (first, why), (second, _), (third, _) = [await reception.arrive() for _ in range(3)]
    assert why == f"rule {rule['id']}, round robin: Ana"
    assert [await reception.assignee(number) for number in (first, second, third)] == [ana.id, bia.id, ana.id]
    answer = await reception.client.get(f"/v1/conversations/{first}/events", headers=reception.workspace.owner.headers)
    newest, *_ = answer.json()["data"]
    assert (newest["type"], newest["actor"]["type"]) == ("conversation.assigned", "system")
    assert newest["data"] == {"user_id": ana.id, "user_name": "Ana", "rule_id": rule["id"]}


async def test_customers_who_write_at_once_go_round(reception: Reception, desk: Desk, ana: Member, bia: Member, caio: Member) -> None:
    """From outside: the gateway's webhooks, many in one transaction."""
    await reception.available(ana, bia, caio)
    await desk.open("5511900000000")
    rule = await reception.rule(condition_type="keyword", condition_value="orçamento")
    chats = [desk.chat(f"55119{number:08}") for number in range(1, 61)]
    await desk.hear_at_once(webhooks.text(chat, stamp(), "Um ORÇAMENTO, por favor") for chat in chats)
    shown = await desk.all()
    taken = Counter(one["assigned_user"]["id"] for one in shown if one["assigned_user"])
    assert (len(shown), taken) == (61, {ana.id: 20, bia.id: 20, caio.id: 20})
    first = chats[0]
    number = next(one["id"] for one in shown if one["contact"]["phone"] == first.phone)
    told = {event["type"]: event for event in await desk.do("GET", f"/{number}/events")}
    assert (told["conversation.assigned"]["actor"]["type"], told["message.received"]["actor"]["type"]) == ("system", "customer")
    assert told["conversation.assigned"]["data"]["rule_id"] == rule["id"]
    steps = dict(told["message.received"]["data"]["handling"])
    assert steps["assignment"].startswith(f"rule {rule['id']}, round robin: ")
    await desk.do("POST", f"/{number}/close")
    await desk.hear(webhooks.text(first, stamp(), "oi de novo"))
    keeper = (await desk.show(number))["assigned_user"]
    assert keeper == next(one["assigned_user"] for one in shown if one["id"] == number), "theirs while they are there"


async def test_two_processes_take_turns_evenly(reception: Reception, kernels: list[Kernel], ana: Member, bia: Member, caio: Member) -> None:
    await reception.available(ana, bia, caio)
    await reception.rule()
    await crowd(reception, kernels, 240)
    turns = [fact.event.user_id for fact in await reception.assigned()]  # type: ignore[attr-defined]
    assert Counter(turns) == {ana.id: 80, bia.id: 80, caio.id: 80}
    assert turns == [ana.id, bia.id, caio.id] * 80
    assert await reception.waiting() == []


async def test_two_processes_never_burden_whom_has_more(
    reception: Reception, kernels: list[Kernel], ana: Member, bia: Member, caio: Member
) -> None:
    await reception.available(ana, bia, caio)
    await reception.rule(action_type="least_busy")
    for _ in range(4):
        number, _ = await reception.arrive()
        await give(reception, number, ana)
    await crowd(reception, kernels, 120)
    has = Counter({ana.id: 0, bia.id: 0, caio.id: 0})
    owner: dict[int, int] = {}
    for fact in await reception.assigned():
        chosen = fact.event.user_id  # type: ignore[attr-defined]
        has[owner.get(fact.number, 0)] -= 1
        if fact.actor.type == "system":
            assert has[chosen] == min(has[member.id] for member in (ana, bia, caio))
        owner[fact.number] = chosen
        has[chosen] += 1
    assert len(owner) == 124


async def test_least_busy_counts_what_is_awake_and_open_and_then_asks_whose_turn_is_longest_ago(
    reception: Reception, ana: Member, bia: Member
) -> None:
    await reception.available(ana, bia)
    await reception.rule(action_type="least_busy")
    headers = reception.workspace.owner.headers
    for expected, then in ((ana, "snooze"), (bia, "close"), (ana, ""), (bia, "close"), (bia, "")):
        number, _ = await reception.arrive()
        assert await reception.assignee(number) == expected.id
        if then:
            more: Any = {"json": {"until": "2027-01-01T00:00:00Z"}} if then == "snooze" else {}
            assert (await reception.client.post(f"/v1/conversations/{number}/{then}", headers=headers, **more)).status_code == 200
    number, _ = await reception.arrive()
    assert await reception.assignee(number) == ana.id, "one each; Ana's last is longest ago"
    await give(reception, number, bia)
    number, _ = await reception.arrive()
    assert await reception.assignee(number) == ana.id


async def test_what_a_member_gives_somebody_counts_as_their_turn(reception: Reception, ana: Member, bia: Member) -> None:
    await reception.available(ana, bia)
    rule = await reception.rule(action_type="least_busy")
    numbers = [(await reception.arrive())[0] for _ in range(2)]
    assert await asyncio.gather(*map(reception.assignee, numbers)) == [ana.id, bia.id]
    await give(reception, numbers[1], ana)
    for number in numbers:
        await doing(reception, partial(close_conversation, number=number))
    assert (await reception.arrive())[1] == f"rule {rule['id']}, least busy: Bia"


async def test_several_in_one_transaction_know_of_each_other(reception: Reception, ana: Member, bia: Member, caio: Member) -> None:
    await reception.available(ana, bia, caio)
    await reception.rule(action_type="least_busy")
    numbers = [(await reception.arrive())[0] for _ in range(3)]
    for number in numbers[1:]:
        await doing(reception, partial(close_and_leave, number=number))

    async def deliver(uow: UnitOfWork) -> list[str]:
        told = []
        async with uow.together(Conversation, numbers):
            for number in numbers:
                async with uow.edit(Conversation, number, wait=False) as editor:
                    editor.record([*editor.state.close(), *editor.state.assign(None, None), Reopened("message")])
                    editor.record(Received(number + 10**9, 1, f"3B{number}", Content("text", "oi"), uow.now))
                    told.append(await assign_arrival(uow, editor, "oi"))
            told += [(await begin(uow, "oi"))[1] for _ in range(3)]
        return told

    told = await doing(reception, deliver)
    assert [one.rpartition(" ")[2] for one in told] == ["Ana", "Bia", "Caio"] * 2
    assert await asyncio.gather(*map(reception.assignee, numbers)) == [ana.id, bia.id, caio.id]


async def test_rules_look_at_words_and_at_labels_of_conversation_and_contact(reception: Reception, ana: Member, bia: Member) -> None:
    await reception.available(ana, bia)
    workspace = reception.workspace
    (contact,), (label,) = [list(row.values()) for row in (*await workspace.rows(CONTACT), *await workspace.rows(LABEL, "VIP"))]
    await reception.rule(
        priority=1, condition_type="keyword", condition_value="orçamento", action_type="assign_user", action_user_id=ana.id
    )
    await reception.rule(priority=2, condition_type="label", condition_value=str(label), action_type="assign_user", action_user_id=bia.id)
    assert (await reception.arrive("Quero um ORCAMENTO, por favor"))[1].endswith("assign user: Ana")
    assert (await reception.arrive("bom dia"))[1] == "no rule matched"
    assert (await reception.arrive("bom dia", label=label))[1].endswith("assign user: Bia")
    await change(workspace.kernel, CARRY, workspace.tenant, contact, label)
    assert (await reception.arrive("bom dia", contact=contact))[1].endswith("assign user: Bia")
    assert (await reception.waiting()) == []


async def test_only_members_of_the_sector_and_only_those_with_their_second_factor(
    reception: Reception, ana: Member, bia: Member, caio: Member
) -> None:
    await reception.available(ana, bia, caio)
    await reception.rule()
    sector = await doing(reception, lambda uow: create_sector(uow, CreateSector("Sales", user_ids=[bia.id, caio.id])))
    assert [(await reception.arrive(sector=sector.id))[1][-3:] for _ in range(3)] == ["Bia", "aio", "Bia"]
    await change(reception.workspace.kernel, DEMAND, reception.workspace.tenant)
    await change(reception.workspace.kernel, ENROL, reception.workspace.tenant, caio.id)
    assert [(await reception.arrive())[1][-4:] for _ in range(2)] == ["Caio", "Caio"]


async def test_who_has_it_from_before_keeps_it_while_they_are_there(reception: Reception, ana: Member, bia: Member) -> None:
    await reception.available(ana, bia)
    rule = await reception.rule()
    number, _ = await reception.arrive()

    async def come_again(uow: UnitOfWork) -> str:
        async with uow.edit(Conversation, number) as editor:
            editor.record([Closed(editor.state.assigned_user_id), Reopened("message")])
            editor.record(Received(number + 10**9 + editor.version, 1, f"3C{editor.version}", Content("text"), uow.now))
            return await assign_arrival(uow, editor, "oi")

    assert await doing(reception, come_again) == "stays with Ana"
    await reception.away(ana)
    assert await doing(reception, come_again) == f"rule {rule['id']}, round robin: Bia"
    await reception.away(bia)
    assert await doing(reception, come_again) == f"nobody eligible for rule {rule['id']}"
    assert await reception.assignee(number) is None
    assert await reception.waiting() == [number]


async def test_whoever_comes_back_gets_what_waited_longest_first(reception: Reception, ana: Member, bia: Member) -> None:
    await reception.rule(priority=1, condition_type="keyword", condition_value="bia", action_type="assign_user", action_user_id=bia.id)
    await reception.rule(priority=2)
    await reception.say(bia, is_available=False)
    texts = ("oi", "quero a bia", "oi", "oi")
    numbers = [(await reception.arrive(text))[0] for text in texts]
    assert await reception.waiting() == numbers
    await doing(reception, lambda uow: close_conversation(uow, numbers[2]))
    await doing(reception, lambda uow: reopen_conversation(uow, numbers[2]))
    assert await reception.drain() == 2, "the rules themselves"
    assert await reception.waiting() == [numbers[0], numbers[1], numbers[3]], "a new episode does not wait"
    await reception.say(ana, is_available=True)
    assert await reception.drain() == 1
    given = await reception.assigned()
    assert [(fact.number, fact.event.user_id) for fact in given] == [(number, ana.id) for number in (numbers[0], numbers[1], numbers[3])]  # type: ignore[attr-defined]
    assert [await reception.assignee(number) for number in numbers] == [ana.id, ana.id, None, ana.id]
    assert (await reception.waiting(), await reception.drain()) == ([], 0)


async def test_only_what_lets_somebody_take_more_looks_at_what_waits(reception: Reception, ana: Member) -> None:
    await reception.rule()
    await reception.drain()
    for is_available, looks in ((False, 0), (True, 1), (True, 0)):
        await reception.say(ana, is_available=is_available)
        assert await reception.drain() == looks
    await reception.beat(ana)
    assert await reception.drain() == 0, "she counted as there"
    await reception.away(ana)
    number, why = await reception.arrive()
    assert why.startswith("nobody eligible")
    await reception.beat(ana)
    assert (await reception.drain(), await reception.assignee(number)) == (1, ana.id)
    await reception.beat(ana)
    assert await reception.drain() == 0
    await reception.away(ana)
    number, _ = await reception.arrive()
    await reception.say(ana, is_available=True)
    assert (await reception.drain(), await reception.assignee(number)) == (1, ana.id), "said again after eight hours"


async def test_sectors_that_change_let_what_waits_go(reception: Reception, ana: Member) -> None:
    await reception.available(ana)
    await reception.rule()
    sector = await doing(reception, lambda uow: create_sector(uow, CreateSector("Sales")))
    first, second = [(await reception.arrive(sector=sector.id))[0] for _ in range(2)]
    assert await reception.waiting() == [first, second]
    await doing(reception, lambda uow: update_conversation(uow, first, UpdateConversation(sector_id=None)))
    await reception.drain()
    assert (await reception.assignee(first), await reception.waiting()) == (ana.id, [second])
    await doing(reception, lambda uow: update_sector(uow, sector.id, UpdateSector(user_ids=[ana.id])))
    await reception.drain()
    assert (await reception.assignee(second), await reception.waiting()) == (ana.id, [])


async def test_a_smaller_plan_stops_it_and_the_next_larger_one_goes_on(reception: Reception, ana: Member) -> None:
    await reception.rule()
    number, _ = await reception.arrive()
    await set_plan(reception.workspace.kernel, reception.workspace.tenant, "starter")
    await reception.say(ana, is_available=True)
    await reception.drain()
    assert (await reception.assignee(number), await reception.waiting()) == (None, [number])
    await set_plan(reception.workspace.kernel, reception.workspace.tenant, "business")
    await reception.away(ana)
    await reception.beat(ana)
    await reception.drain()
    assert await reception.assignee(number) == ana.id


async def test_what_was_taken_closed_or_deleted_meanwhile_no_longer_waits(reception: Reception, ana: Member, bia: Member) -> None:
    await reception.rule()
    taken, closed, deleted = [(await reception.arrive())[0] for _ in range(3)]
    await give(reception, taken, bia)
    headers = reception.workspace.owner.headers
    assert (await reception.client.post(f"/v1/conversations/{closed}/close", headers=headers)).status_code == 200
    assert (await reception.client.delete(f"/v1/conversations/{deleted}", headers=headers)).status_code == 204
    await reception.say(ana, is_available=True)
    await reception.drain()
    assert await reception.waiting() == []
    assert [(fact.number, fact.actor.type) for fact in await reception.assigned()] == [(taken, "member")]


async def test_whoever_comes_while_somebody_arrives_finds_them(reception: Reception, kernel: Kernel, ana: Member) -> None:
    await reception.rule()
    await reception.drain()
    async with working(kernel, reception.workspace.tenant) as uow:
        number, why = await begin(uow, "oi")
        assert why.startswith("nobody eligible")
        await reception.say(ana, is_available=True)
        draining = asyncio.create_task(reception.drain())
        while not draining.done() and not await reception.workspace.rows(QUEUED):
            """Until the drain stands in line behind the arrival, or has passed it."""
        await uow.commit()
    assert await draining == 1
    assert await reception.assignee(number) == ana.id


async def test_what_was_merged_waits_in_what_it_became(reception: Reception, ana: Member) -> None:
    winner, why = await reception.arrive()
    assert why == "no rules"
    await reception.rule(condition_type="keyword", condition_value="pedido")
    loser, _ = await reception.arrive("meu pedido")

    async def merge(uow: UnitOfWork) -> None:
        async with uow.edit(Conversation, loser) as editor:
            editor.record(Merged(winner))

    await doing(reception, merge)
    await reception.say(ana, is_available=True)
    await reception.drain()
    assert (await reception.assignee(winner), await reception.waiting()) == (ana.id, [])


async def test_no_conversation_waits_while_an_eligible_agent_exists(
    reception: Reception, kernels: list[Kernel], ana: Member, bia: Member
) -> None:
    """Arrivals of two processes, while two agents come and go and what they set off is done beside it."""
    await reception.rule(action_type="least_busy")
    dice, over = Random(4), asyncio.Event()

    async def come_and_go() -> None:
        for _ in range(25):
            await reception.say(dice.choice((ana, bia)), is_available=dice.random() < 0.4)
        for member in (ana, bia):
            await reception.say(member, is_available=False)
        await reception.say(bia, is_available=True)

    async def work() -> None:
        while not over.is_set():
            await reception.drain()

    working_on = asyncio.create_task(work())
    await asyncio.gather(come_and_go(), crowd(reception, kernels, 120))
    over.set()
    await working_on
    assert len(await reception.assigned()) > 0
    await reception.drain()
    assert await reception.waiting() == []
    assert len({fact.number for fact in await reception.assigned()}) == 120


async def crowd(reception: Reception, kernels: list[Kernel], size: int) -> None:
    """So many customers, six at a time at each process."""
    coming = iter(range(size))

    async def serve(kernel: Kernel) -> None:
        for _ in coming:
            await reception.arrive(kernel=kernel)

    await asyncio.gather(*(serve(kernel) for kernel in kernels for _ in range(6)))


async def give(reception: Reception, number: int, member: Member) -> None:
    """The owner gives a conversation to somebody."""
    await doing(reception, lambda uow: update_conversation(uow, number, UpdateConversation(assigned_user_id=member.id)))


async def close_and_leave(uow: UnitOfWork, number: int) -> None:
    """Done with, and nobody's."""
    async with uow.edit(Conversation, number) as editor:
        editor.record([Closed(), Assigned()])


async def doing(reception: Reception, act: Callable[[UnitOfWork], Awaitable[T]]) -> T:
    """Something the owner does."""
    async with working(reception.workspace.kernel, reception.workspace.tenant, reception.workspace.owner.actor) as uow:
        return await perform(uow, lambda: act(uow))
