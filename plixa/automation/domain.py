"""Whom a new conversation goes to: which rules match it, and whom of the team each would choose."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

from msgspec import Struct

from plixa.kernel.search import folded

Condition = Literal["always", "keyword", "label"]
Action = Literal["assign_user", "round_robin", "least_busy"]
NEVER: Final = datetime.min.replace(tzinfo=UTC)


class Rule(Struct, frozen=True):
    """One rule in force. ``cursor`` is whom it chose last, who may have left since; a label or member that is gone is None."""

    id: int
    condition_type: Condition
    keyword: str | None
    label_id: int | None
    action_type: Action
    action_user_id: int | None
    cursor: int | None = None


class Agent(Struct, frozen=True):
    """A member as a rule sees them. ``open`` counts the awake conversations they have, of which ``max_open`` is the limit, if any;
    ``is_available`` None was never set.
    """

    id: int
    name: str
    is_available: bool | None
    is_present: bool
    is_barred: bool = False
    in_sector: bool = True
    open: int = 0
    assigned_at: datetime | None = None
    max_open: int | None = None


class Inbound(Struct, frozen=True):
    """What rules look at: the folded words the customer began with, and the labels of conversation and contact."""

    words: Sequence[str]
    labels: frozenset[int] = frozenset()


class Outcome(Struct, frozen=True):
    """What becomes of it: the rule that decides, or the first that would have; nobody where that is None."""

    rule: Rule | None
    agent: Agent | None
    reason: str


UNMATCHED: Final = Outcome(None, None, "no rule matched")


def matching(rules: Iterable[Rule], inbound: Inbound) -> list[Rule]:
    """Those of the rules that match, in their order."""
    return [rule for rule in rules if is_match(rule, inbound)]


def is_match(rule: Rule, inbound: Inbound) -> bool:
    """Does the rule concern it?"""
    if rule.condition_type == "keyword":
        return is_phrase(folded(rule.keyword or ""), inbound.words)
    return rule.condition_type == "always" or rule.label_id in inbound.labels


def is_phrase(phrase: Sequence[str], words: Sequence[str]) -> bool:
    """Do the words of the phrase stand side by side among these?"""
    length = len(phrase)
    return length > 0 and any(words[start : start + length] == phrase for start in range(len(words) - length + 1))


def route(rules: Iterable[Rule], inbound: Inbound, team: Sequence[Agent]) -> Outcome:
    """The first matching rule that finds somebody decides."""
    matched = matching(rules, inbound)
    for rule in matched:
        agent = choose(rule, team)
        if agent is not None:
            return Outcome(rule, agent, f"rule {rule.id}, {rule.action_type.replace('_', ' ')}: {agent.name}")
    if not matched:
        return UNMATCHED
    numbers = ", ".join(str(rule.id) for rule in matched)
    return Outcome(matched[0], None, f"nobody eligible for rule{'s' if len(matched) > 1 else ''} {numbers}")


def choose(rule: Rule, team: Sequence[Agent]) -> Agent | None:
    """Whom the rule gives it to, if anybody of its candidates is eligible."""
    eligible = [agent for agent in candidates(rule, team) if refusal(rule, agent) is None]
    return min(eligible, key=ORDERS[rule.action_type](rule), default=None)


def candidates(rule: Rule, team: Sequence[Agent]) -> list[Agent]:
    """Whom the rule considers: one member, or all of them."""
    return [agent for agent in team if rule.action_type != "assign_user" or agent.id == rule.action_user_id]


def refusal(rule: Rule, agent: Agent) -> str | None:
    """Why the rule may not choose an agent. One who is named by it and never said anything yet counts as available."""
    if not agent.in_sector:
        return "not in the conversation's sector"
    said = absence(agent) if rule.action_type == "assign_user" else absence(agent) or unsaid(agent)
    return said or fullness(agent)


def absence(agent: Agent) -> str | None:
    """Why nothing may be given to an agent, whatever the rule."""
    if agent.is_barred:
        return "has to set up a second factor first"
    if agent.is_available is False:
        return "not available"
    return "away" if agent.is_available and not agent.is_present else None


def unsaid(agent: Agent) -> str | None:
    """An agent who never said whether they are available is not."""
    return "never said to be available" if agent.is_available is None else None


def fullness(agent: Agent) -> str | None:
    """An agent who has as many as they are to have is given none, but by hand."""
    return "full" if agent.max_open is not None and agent.open >= agent.max_open else None


def next_in_turn(rule: Rule) -> Callable[[Agent], tuple[bool, int]]:
    """By id, from the one after the rule's cursor on and round again."""
    cursor = rule.cursor or 0
    return lambda agent: (agent.id <= cursor, agent.id)


def least_busy(_rule: Rule) -> Callable[[Agent], tuple[int, datetime, int]]:
    """Who has fewest, then whose last assignment is longest ago, then by id."""
    return lambda agent: (agent.open, agent.assigned_at or NEVER, agent.id)


ORDERS: Final[dict[str, Callable[[Rule], Callable[[Agent], tuple[object, ...]]]]] = {
    "assign_user": next_in_turn,
    "round_robin": next_in_turn,
    "least_busy": least_busy,
}
"""In which order each action takes the eligible."""
