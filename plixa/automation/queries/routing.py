"""What a choice is made from: the rules in force, the team as it is now, and who waits for somebody."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from plixa.automation.domain import Agent, Rule, absence
from plixa.identity.queries.availability import TEAM, is_present
from plixa.identity.queries.plans import get_plan
from plixa.inbox.domain.conversation import Conversation, Status
from plixa.inbox.domain.events import Assigned
from plixa.kernel.settings import Settings
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork

FEATURE: Final = "auto_assignment"
RULES: Final = """SELECT id, condition_type, keyword, label_id, action_type, action_user_id, cursor_member_id FROM assignment_rule
WHERE tenant_id = scope.tenant AND is_active ORDER BY priority, id"""
ANY_RULE: Final = "SELECT id FROM assignment_rule WHERE tenant_id = scope.tenant AND is_active LIMIT 1"
AGENTS: Final = """SELECT m.id, m.name, m.is_available, m.available_set_at, m.last_heartbeat_at,
    t.require_two_factor AND m.two_factor_confirmed_at IS NULL AS is_barred,
    $2::bigint IS NULL OR EXISTS (SELECT FROM sector_member s WHERE s.tenant_id = m.tenant_id AND s.sector_id = $2 AND s.member_id = m.id)
        AS in_sector,
    coalesce(c.value, 0) - coalesce(e.counted, 0) AS open, a.assigned_at, m.max_open
FROM member m JOIN tenant t ON t.tenant_id = m.tenant_id
LEFT JOIN counter c ON c.tenant_id = m.tenant_id AND c.projection = 'inbox_conversation' AND c.key = 'open:' || m.id
LEFT JOIN assignment_turn a ON a.tenant_id = m.tenant_id AND a.member_id = m.id
LEFT JOIN (
    SELECT assigned_user_id, count(*) AS counted FROM inbox_conversation
    WHERE tenant_id = scope.tenant AND id = ANY($3::bigint[]) AND status = 'open' AND snoozed_until IS NULL GROUP BY 1
) e ON e.assigned_user_id = m.id
WHERE m.tenant_id = scope.tenant ORDER BY m.id"""
"""How many each has open as the rows say, but for the conversations ``$3``."""
ANY_LIMIT: Final = "SELECT id FROM member WHERE tenant_id = scope.tenant AND max_open IS NOT NULL LIMIT 1"
LABELS: Final = "SELECT label_id FROM contact_label WHERE tenant_id = scope.tenant AND contact_id = $2"
WAITING: Final = """SELECT since, conversation_id FROM assignment_wait
WHERE tenant_id = scope.tenant AND (since, conversation_id) > ($2::timestamptz, $3::bigint) ORDER BY since, conversation_id LIMIT $4::int"""
WAIT: Final = "SELECT episode, words FROM assignment_wait WHERE tenant_id = scope.tenant AND conversation_id = $2"


class Waiting(Struct, frozen=True):
    """A conversation for which nobody was eligible when it came."""

    since: datetime
    conversation_id: int


def routing_lock(uow: UnitOfWork) -> int:
    """Under it one conversation of a workspace is given away after the other; it comes after the locks of streams."""
    return lock_of(f"{uow.tenant}/assignment")


async def is_routing(uow: UnitOfWork, settings: Settings) -> bool:
    """Is there a rule in force, and does the plan let it act?"""
    return await uow.fetchrow(ANY_RULE) is not None and FEATURE in (await get_plan(uow, settings)).features


async def list_rules_in_force(uow: UnitOfWork) -> list[Rule]:
    """In the order in which they run."""
    return [Rule(*row) for row in await uow.fetch(RULES)]


async def list_agents(uow: UnitOfWork, sector: int | None) -> list[Agent]:
    """The whole team as a conversation of the sector, or of none, sees it; with what this unit of work has done already."""
    edited = list(edited_conversations(uow))
    held = Counter(state.assigned_user_id for state in edited if state.status is Status.OPEN and state.snoozed_until is None)
    turns = {fact.event.user_id: fact.at for fact in uow.recorded if isinstance(fact.event, Assigned)}
    agents = [
        Agent(
            id=row["id"],
            name=row["name"],
            is_available=row["is_available"],
            is_present=is_present(row["available_set_at"], row["last_heartbeat_at"], uow.now),
            is_barred=row["is_barred"],
            in_sector=row["in_sector"],
            open=row["open"],
            assigned_at=row["assigned_at"],
            max_open=row["max_open"],
        )
        for row in await uow.fetch(AGENTS, sector, [state.number for state in edited])
    ]
    return [replace(one, open=one.open + held[one.id], assigned_at=turns.get(one.id, one.assigned_at)) for one in agents]


async def find_present(uow: UnitOfWork) -> frozenset[int]:
    """Members who may keep what they have, as they were at most half a second ago."""
    key = (uow.tenant, TEAM, 0)
    known: frozenset[int] | None = uow.kernel.recall.get(key)
    if known is None:
        known = uow.kernel.recall.put(key, frozenset(one.id for one in await list_agents(uow, None) if absence(one) is None))
    return known


async def is_limited(uow: UnitOfWork) -> bool:
    """Is there anybody who is to have only so many?"""
    return await uow.fetchrow(ANY_LIMIT) is not None


async def list_contact_label_ids(uow: UnitOfWork, contact: int | None) -> frozenset[int]:
    """What a contact carries; one that was deleted carries nothing."""
    return frozenset(row["label_id"] for row in await uow.fetch(LABELS, contact))


async def list_waiting(uow: UnitOfWork, after: Waiting, limit: int) -> list[Waiting]:
    """Who waits, longest first."""
    return [Waiting(*row) for row in await uow.fetch(WAITING, after.since, after.conversation_id, limit)]


async def find_wait(uow: UnitOfWork, conversation: int) -> tuple[int, bytes] | None:
    """In which episode a conversation waits, and the words it began with, sealed with its stream's key."""
    row = await uow.fetchrow(WAIT, conversation)
    return (row["episode"], row["words"]) if row is not None else None


def edited_conversations(uow: UnitOfWork) -> Iterator[Conversation]:
    """Those of this unit of work, as it has left them."""
    return (editor.state for editor in uow.edited() if isinstance(editor.state, Conversation))
