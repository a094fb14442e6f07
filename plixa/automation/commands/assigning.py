"""Giving conversations away: as they arrive, and to whoever comes back when nobody was there."""

from datetime import UTC, datetime
from functools import partial
from typing import Final

from plixa.automation.domain import UNMATCHED, Agent, Inbound, Outcome, Rule, absence, fullness, matching, route
from plixa.automation.queries.routing import (
    Waiting,
    find_present,
    find_wait,
    is_routing,
    list_agents,
    list_contact_label_ids,
    list_rules_in_force,
    list_waiting,
    routing_lock,
)
from plixa.inbox.commands.conversations import give
from plixa.inbox.commands.editing import edit_live
from plixa.inbox.domain.conversation import Conversation, Status
from plixa.kernel.editor import Editor
from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import SYSTEM
from plixa.kernel.search import folded
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working

BATCH: Final = 100
BEGINNING: Final = Waiting(datetime.min.replace(tzinfo=UTC), 0)
LONGEST: Final = 2_000
"""Words of the first burst that are looked at."""

ADVANCE: Final = "UPDATE assignment_rule SET cursor_member_id = $3 WHERE tenant_id = $1 AND id = $2"
KEEP: Final = """INSERT INTO assignment_wait (tenant_id, conversation_id, episode, since, words) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id, conversation_id) DO UPDATE SET episode = excluded.episode, since = excluded.since, words = excluded.words"""
FORGET: Final = "DELETE FROM assignment_wait WHERE tenant_id = $1 AND conversation_id = $2"


async def assign_arrival(uow: UnitOfWork, editor: Editor[Conversation], text: str) -> str:
    """Give a conversation that begins with ``text`` to whom the rules choose, in the customer's own transaction; answers why.

    Once an episode, of a workspace whose plan includes it (``is_routing``). Whoever had it before keeps it while they are eligible.
    A conversation for which nobody is eligible waits for ``drain``.
    """
    rules, words = await list_rules_in_force(uow), folded(text)[:LONGEST]
    if not rules:
        return await leave(uow, editor)
    keeper = await find_keeper_with_room(uow, editor.state)
    if keeper is not None:
        return f"stays with {keeper.name}"
    outcome = await settle(uow, editor, words, rules)
    if outcome.agent is None:
        hand_over(uow, editor, None, None)
        if outcome.rule is not None:
            place = (editor.state.number, editor.state.episode, uow.now)
            await uow.execute(KEEP, *place, editor.encrypt(" ".join(words).encode()))
    return outcome.reason


async def leave(uow: UnitOfWork, editor: Editor[Conversation]) -> str:
    """Where no rule is in force it stays whose it was in an earlier episode, and is nobody's while they are away; answers why."""
    keeper = editor.state.assigned_user_id
    if keeper is None or keeper in await find_present(uow):
        return "no rules"
    hand_over(uow, editor, None, None)
    return "no rules, and whoever had it is away"


async def drain(kernel: Kernel, tenant: int, settings: Settings) -> None:
    """Give away what waits, longest first, each in a transaction of its own, until nobody is waiting or nobody is there."""
    last = BEGINNING
    while batch := await look(kernel, tenant, settings, last):
        for waiting in batch:
            async with working(kernel, tenant) as uow:
                if not await perform(uow, partial(assign_waiting, uow, waiting.conversation_id)):
                    return
        last = batch[-1]


async def look(kernel: Kernel, tenant: int, settings: Settings, after: Waiting) -> list[Waiting]:
    """Who waits. Whoever found nobody eligible until this moment has committed: the lock is theirs until then."""
    async with working(kernel, tenant) as uow:

        async def read() -> list[Waiting]:
            await uow.begin(routing_lock(uow))
            return await list_waiting(uow, after, BATCH) if await is_routing(uow, settings) else []

        return await perform(uow, read)


async def assign_waiting(uow: UnitOfWork, number: int) -> bool:
    """Give a waiting conversation away, or what it was merged into; False when the whole team is away or full."""
    try:
        async with uow.edit(Conversation, number) as first:
            wait = await find_wait(uow, number)
        async with edit_live(uow, number) as editor:
            if wait is None or not is_waiting(editor.state, first.state, wait[0]):
                await uow.execute(FORGET, number)
                return True
            words = first.mapper.cipher.decrypt(wait[1]).decode().split()
            outcome = await settle(uow, editor, words, await list_rules_in_force(uow))
            if outcome.agent is None:
                return any((absence(agent) or fullness(agent)) is None for agent in await list_agents(uow, None))
            await uow.execute(FORGET, number)
            return True
    except NotFound:
        await uow.execute(FORGET, number)
        return True


def is_waiting(present: Conversation, first: Conversation, episode: int) -> bool:
    """Is it still open and nobody's, in the episode in which it began to wait, and not of somebody who was blocked?"""
    is_same = present.number != first.number or present.episode == episode
    return present.status is Status.OPEN and present.assigned_user_id is None and not present.blocked and is_same


async def settle(uow: UnitOfWork, editor: Editor[Conversation], words: list[str], rules: list[Rule]) -> Outcome:
    """Choose and give. Where one of the ``rules`` matches, the rest of this transaction holds the lock, and all is looked at anew."""
    inbound = Inbound(words, await labels_of(uow, editor.state, rules))
    if not matching(rules, inbound):
        return UNMATCHED
    await uow.begin(routing_lock(uow))
    team = await list_agents(uow, editor.state.sector_id)
    outcome = route(await list_rules_in_force(uow), inbound, team)
    if outcome.rule is not None and outcome.agent is not None:
        hand_over(uow, editor, outcome.agent, outcome.rule.id)
        if outcome.rule.action_type == "round_robin":
            await uow.execute(ADVANCE, outcome.rule.id, outcome.agent.id)
    return outcome


def hand_over(uow: UnitOfWork, editor: Editor[Conversation], agent: Agent | None, rule: int | None) -> None:
    """It is the system that gives it, or takes it from whoever is away, not the customer whose message brought it."""
    actor, uow.actor = uow.actor, SYSTEM
    give(uow, editor, agent.id if agent else None, agent.name if agent else None, rule)
    uow.actor = actor


async def find_keeper(uow: UnitOfWork, state: Conversation) -> Agent | None:
    """Whoever has it from an earlier episode, if nothing keeps them from going on in its sector."""
    if state.assigned_user_id is None:
        return None
    team = await list_agents(uow, state.sector_id)
    return next((agent for agent in team if agent.id == state.assigned_user_id and agent.in_sector and absence(agent) is None), None)


async def find_keeper_with_room(uow: UnitOfWork, state: Conversation) -> Agent | None:
    """As ``find_keeper``, unless they have too many with it. One with a limit is looked at anew under the lock."""
    keeper = await find_keeper(uow, state)
    if keeper is None or keeper.max_open is None:
        return keeper
    await uow.begin(routing_lock(uow))
    keeper = await find_keeper(uow, state)
    return keeper if keeper is not None and (keeper.max_open is None or keeper.open <= keeper.max_open) else None


async def labels_of(uow: UnitOfWork, state: Conversation, rules: list[Rule]) -> frozenset[int]:
    """The labels of the conversation and of its contact, where a rule asks for any."""
    if not any(rule.condition_type == "label" for rule in rules):
        return frozenset()
    return state.labels | await list_contact_label_ids(uow, state.contact_id)
