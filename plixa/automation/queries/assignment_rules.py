"""Auto-assignment rules as members see them, and what one would do."""

from datetime import datetime
from typing import Annotated, Final

import asyncpg
from msgspec import Meta, Struct

from plixa.automation.domain import Action, Condition, Inbound, candidates, refusal, route
from plixa.automation.queries.routing import list_agents, list_rules_in_force
from plixa.contacts.queries.labels import LabelView, get_label
from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import Person
from plixa.kernel.search import folded
from plixa.kernel.uow import UnitOfWork

LIST: Final = """SELECT r.id, r.priority, r.condition_type, r.keyword, r.label_id, l.name AS label_name, l.color, r.action_type,
    r.action_user_id, m.name AS member_name, r.is_active, r.created_at
FROM assignment_rule r
LEFT JOIN label l ON l.tenant_id = r.tenant_id AND l.id = r.label_id
LEFT JOIN member m ON m.tenant_id = r.tenant_id AND m.id = r.action_user_id
WHERE r.tenant_id = scope.tenant AND ($2::bigint IS NULL OR r.id = $2) ORDER BY r.priority, r.id"""


class AssignmentRuleView(Struct, frozen=True):
    """A rule; ``condition_value`` is a phrase or a label's id. A label that was deleted, or a member who left, is null."""

    id: int
    priority: int
    condition_type: Condition
    condition_value: str | None
    label: LabelView | None
    action_type: Action
    action_user: Person | None
    is_active: bool
    created_at: datetime


class PreviewAssignment(Struct, frozen=True):
    """A message as a customer might begin with, and a label they might carry."""

    message: Annotated[str, Meta(max_length=10_000)] | None = None
    label_id: Annotated[int, Meta(ge=1)] | None = None


class CandidateView(Struct, frozen=True):
    """Somebody the rule considers; ``reason`` says why they would not be chosen."""

    user: Person
    eligible: bool
    reason: str | None


class PreviewView(Struct, frozen=True):
    """The rule that would decide, or the first that matches where none finds anybody; ``user`` would get the conversation."""

    matched: bool
    rule: AssignmentRuleView | None
    action_type: Action | None
    user: Person | None
    reason: str
    candidates: list[CandidateView]


async def list_rules(uow: UnitOfWork, number: int | None = None) -> list[AssignmentRuleView]:
    """All of them in the order in which they run, or only one."""
    return [rule_view(row) for row in await uow.fetch(LIST, number)]


async def get_rule(uow: UnitOfWork, number: int) -> AssignmentRuleView:
    """One; raises NotFound."""
    found = await list_rules(uow, number)
    if not found:
        raise NotFound("There is no such rule.")
    return found[0]


async def preview_assignment(uow: UnitOfWork, data: PreviewAssignment) -> PreviewView:
    """What would become of a new conversation, of no sector, that begins like this; raises NotFound for a label of nobody's here."""
    if data.label_id is not None:
        await get_label(uow, data.label_id)
    inbound = Inbound(folded(data.message or ""), frozenset([data.label_id] if data.label_id is not None else ()))
    team = await list_agents(uow, None)
    outcome = route(await list_rules_in_force(uow), inbound, team)
    rule, agent = outcome.rule, outcome.agent
    if rule is None:
        return PreviewView(False, None, None, None, outcome.reason, [])
    judged = [(Person(one.id, one.name), refusal(rule, one)) for one in candidates(rule, team)]
    return PreviewView(
        matched=True,
        rule=await get_rule(uow, rule.id),
        action_type=rule.action_type,
        user=Person(agent.id, agent.name) if agent is not None else None,
        reason=outcome.reason,
        candidates=[CandidateView(user, reason is None, reason) for user, reason in judged],
    )


def rule_view(row: "asyncpg.Record") -> AssignmentRuleView:
    """A row as the API shows it."""
    label = LabelView(row["label_id"], row["label_name"], row["color"]) if row["label_id"] is not None else None
    return AssignmentRuleView(
        id=row["id"],
        priority=row["priority"],
        condition_type=row["condition_type"],
        condition_value=str(label.id) if label is not None else row["keyword"],
        label=label,
        action_type=row["action_type"],
        action_user=Person(row["action_user_id"], row["member_name"]) if row["action_user_id"] is not None else None,
        is_active=row["is_active"],
        created_at=row["created_at"],
    )
