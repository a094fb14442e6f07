"""Auto-assignment rules: made, changed, deleted."""

from typing import Annotated, Any, Final, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from plixa.automation.domain import Action, Condition
from plixa.automation.queries.assignment_rules import AssignmentRuleView, get_rule, list_rules
from plixa.automation.queries.routing import routing_lock
from plixa.contacts.queries.labels import hold_label
from plixa.identity.commands.account import call_waiting
from plixa.identity.queries.members import find_member_name
from plixa.kernel.audit import record, record_change
from plixa.kernel.errors import Conflict, Invalid
from plixa.kernel.search import folded
from plixa.kernel.uow import UnitOfWork
from plixa.workspace.commands.settings import forget_settings

T = TypeVar("T")
Priority = Annotated[int, Meta(ge=0, le=1_000_000)]
Value = Annotated[str, Meta(max_length=255)]
UserId = Annotated[int, Meta(ge=1)]
MOST: Final = 100
"""Rules a workspace can have."""

INSERT: Final = """INSERT INTO assignment_rule
(tenant_id, id, created_at, priority, condition_type, keyword, label_id, action_type, action_user_id, is_active)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"""
UPDATE: Final = """UPDATE assignment_rule
SET priority = $3, condition_type = $4, keyword = $5, label_id = $6, action_type = $7, action_user_id = $8, is_active = $9
WHERE tenant_id = $1 AND id = $2"""
DELETE: Final = "DELETE FROM assignment_rule WHERE tenant_id = $1 AND id = $2"


class CreateAssignmentRule(Struct, frozen=True):
    """``condition_value`` is the phrase of a keyword, or a label's id; what its types do not ask for is not kept."""

    priority: Priority
    condition_type: Condition
    action_type: Action
    condition_value: Value | UnsetType = UNSET
    action_user_id: UserId | UnsetType = UNSET
    is_active: bool = True


class UpdateAssignmentRule(Struct, frozen=True):
    """Absent = unchanged."""

    priority: Priority | UnsetType = UNSET
    condition_type: Condition | UnsetType = UNSET
    condition_value: Value | UnsetType = UNSET
    action_type: Action | UnsetType = UNSET
    action_user_id: UserId | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


class Kept(Struct, frozen=True):
    """A rule as its row keeps it."""

    priority: int
    condition_type: Condition
    keyword: str | None
    label_id: int | None
    action_type: Action
    action_user_id: int | None
    is_active: bool

    @property
    def condition_value(self) -> str | None:
        """As a request gives it."""
        return self.keyword if self.label_id is None else str(self.label_id)

    @property
    def values(self) -> tuple[Any, ...]:
        """In the order of the statements."""
        return tuple(asdict(self).values())


async def create_rule(uow: UnitOfWork, data: CreateAssignmentRule) -> AssignmentRuleView:
    """A new rule; raises Invalid for a missing companion field, NotFound for a label or member of nobody's here, Conflict at too many."""
    await alone(uow)
    if len(await list_rules(uow)) >= MOST:
        raise Conflict(f"A workspace has at most {MOST} rules. Delete one first.")
    keyword, label = await condition_of(uow, data.condition_type, given(data.condition_value, None))
    user = await assignee_of(uow, data.action_type, given(data.action_user_id, None))
    rule = Kept(data.priority, data.condition_type, keyword, label, data.action_type, user, data.is_active)
    number = await uow.number("assignment_rule_number")
    await uow.execute(INSERT, number, uow.now, *rule.values)
    call_waiting(uow, f"rule/{number}")
    await record(uow, "assignment_rule.created", ("assignment_rule", number), after=asdict(rule))
    return await get_rule(uow, number)


async def update_rule(uow: UnitOfWork, number: int, data: UpdateAssignmentRule) -> AssignmentRuleView:
    """Change what is given; raises what ``create_rule`` raises. Whose turn it is stays as it was."""
    await alone(uow)
    before = kept_of(await get_rule(uow, number))
    after = await altered(uow, before, data)
    if after != before:
        await uow.execute(UPDATE, number, *after.values)
        call_waiting(uow, f"rule/{number}")
        await record_change(uow, "assignment_rule.updated", ("assignment_rule", number), asdict(before), asdict(after))
    return await get_rule(uow, number)


async def delete_rule(uow: UnitOfWork, number: int) -> None:
    """What it gave away stays where it is; raises NotFound."""
    await alone(uow)
    before = asdict(kept_of(await get_rule(uow, number)))
    await uow.execute(DELETE, number)
    await record(uow, "assignment_rule.deleted", ("assignment_rule", number), before)


async def alone(uow: UnitOfWork) -> None:
    """Nobody is given a conversation while the rules change, and it is not remembered that there were none."""
    await uow.begin(routing_lock(uow))
    forget_settings(uow)


def kept_of(view: AssignmentRuleView) -> Kept:
    """What the row of a rule holds."""
    keyword = view.condition_value if view.condition_type == "keyword" else None
    label, user = view.label.id if view.label else None, view.action_user.id if view.action_user else None
    return Kept(view.priority, view.condition_type, keyword, label, view.action_type, user, view.is_active)


async def altered(uow: UnitOfWork, rule: Kept, data: UpdateAssignmentRule) -> Kept:
    """The rule with what is given; what stays as it is may name a label or a member that is gone. A value goes with its own type."""
    condition, action = given(data.condition_type, rule.condition_type), given(data.action_type, rule.action_type)
    keyword, label, user = rule.keyword, rule.label_id, rule.action_user_id
    if (data.condition_type, data.condition_value) != (UNSET, UNSET):
        value = given(data.condition_value, rule.condition_value if condition == rule.condition_type else None)
        keyword, label = await condition_of(uow, condition, value)
    if (data.action_type, data.action_user_id) != (UNSET, UNSET):
        user = await assignee_of(uow, action, given(data.action_user_id, rule.action_user_id))
    return Kept(given(data.priority, rule.priority), condition, keyword, label, action, user, given(data.is_active, rule.is_active))


def given(value: T | UnsetType, otherwise: T) -> T:
    """What was asked for, or what there is."""
    return otherwise if isinstance(value, UnsetType) else value


async def condition_of(uow: UnitOfWork, condition: Condition, value: str | None) -> tuple[str | None, int | None]:
    """The phrase, or the label, of a condition; raises Invalid, NotFound."""
    if condition == "always":
        return None, None
    return (wanted_phrase(value), None) if condition == "keyword" else (None, await wanted_label(uow, value))


async def assignee_of(uow: UnitOfWork, action: Action, user: int | None) -> int | None:
    """Whom an action names; raises Invalid where it has to name somebody, NotFound where they are no member."""
    if action != "assign_user":
        return None
    if user is None:
        raise Invalid.field("action_user_id", "Say who gets the conversations.")
    await find_member_name(uow, user)
    return user


def wanted_phrase(value: str | None) -> str:
    """The phrase of a keyword rule; raises Invalid where it has no word."""
    if not folded(value or ""):
        raise Invalid.field("condition_value", "Say which word or phrase.")
    return str(value).strip()


async def wanted_label(uow: UnitOfWork, value: str | None) -> int:
    """The label of a label rule, held; raises Invalid where it is no id, NotFound."""
    if value is None or not (value.isascii() and value.isdecimal() and len(value) <= 18):
        raise Invalid.field("condition_value", "Give the id of a label.")
    await hold_label(uow, int(value))
    return int(value)
