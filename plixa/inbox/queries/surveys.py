"""Surveys as members see them: how they are made, what was answered, and what it comes to."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Final

from msgspec import Struct

from plixa.inbox.queries.care import Csat, may_see_scores, read_settings
from plixa.inbox.queries.conversations import ContactView, MemberView, visible
from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.errors import Forbidden
from plixa.kernel.paging import Paging
from plixa.kernel.tenancy import bind
from plixa.kernel.uow import UnitOfWork
from projections.surveys import SurveyRow, surveys

LEFT_ALONE: Final = """WITH RECURSIVE one AS (
    SELECT id FROM contact WHERE tenant_id = scope.tenant AND id = $2
    UNION ALL
    SELECT c.id FROM contact c JOIN one ON c.merged_into = one.id WHERE c.tenant_id = scope.tenant
)
SELECT EXISTS (SELECT FROM inbox_conversation c JOIN csat_response s
    ON s.tenant_id = c.tenant_id AND s.conversation_id = c.id AND s.asked_at > $3::timestamptz
    WHERE c.tenant_id = scope.tenant AND c.contact_id = $2)
OR EXISTS (SELECT FROM contact_asked a JOIN one ON a.contact_id = one.id WHERE a.tenant_id = scope.tenant AND a.at > $3::timestamptz)
OR EXISTS (SELECT FROM contact WHERE tenant_id = scope.tenant AND id = $2 AND opted_out_at IS NOT NULL) AS is_so"""
OF_CONVERSATION: Final = (
    f"SELECT {', '.join(surveys.table.names)} FROM csat_response WHERE tenant_id = scope.tenant AND conversation_id = $2 ORDER BY id"  # noqa: S608
)
AGENT: Final = "SELECT id, name FROM member WHERE tenant_id = scope.tenant AND id = $2"
RESPONSES: Final = """SELECT s.id, s.conversation_id, c.id IS NOT NULL AS is_there, c.contact_id, c.contact_name, c.phone, c.blocked,
    s.agent_id, coalesce(a.name, s.agent_name) AS agent_name, s.rating, m.body AS comment, s.asked_at, s.rated_at, s.day
FROM csat_response s
LEFT JOIN inbox_conversation c ON c.tenant_id = s.tenant_id AND c.id = s.conversation_id
LEFT JOIN inbox_message m ON m.tenant_id = s.tenant_id AND m.id = s.comment_message_id
LEFT JOIN member a ON a.tenant_id = s.tenant_id AND a.id = s.agent_id"""
KEPT: Final = """SELECT key, value FROM counter WHERE tenant_id = scope.tenant AND projection = 'csat_response' AND value <> 0
AND key COLLATE "C" >= $2::text AND key COLLATE "C" < $3::text"""
NAMES: Final = """SELECT a.id, coalesce(m.name, (
    SELECT agent_name FROM csat_response WHERE tenant_id = scope.tenant AND agent_id = a.id AND rating IS NOT NULL
    ORDER BY day DESC, id DESC LIMIT 1)) AS name
FROM unnest($2::bigint[]) AS a(id) LEFT JOIN member m ON m.tenant_id = scope.tenant AND m.id = a.id"""
BEGINNING, END = "0", ":"
"""Before and after every day."""


class CsatConfigView(Csat, frozen=True):
    """How surveys are made; a text that is null is said in our words, in the workspace's language; an empty thank-you is not said."""


class ResponseView(Struct, frozen=True):
    """An answered survey; ``contact`` is null once its conversation is deleted, ``comment`` while there is none."""

    id: int
    conversation_id: int | None
    contact: ContactView | None
    agent: MemberView | None
    rating: int
    comment: str | None
    asked_at: datetime
    rated_at: datetime


class Score(Struct, frozen=True):
    """``rate`` is the part that answered, from 0 to 1; it and ``average`` are null where there is nothing to divide by."""

    asked: int
    answered: int
    rate: float | None
    average: float | None
    distribution: dict[int, int]


class AgentScore(Score, frozen=True):
    """What one agent was given; ``agent`` null is nobody's: the owner's phone alone had answered."""

    agent: MemberView | None


class SummaryView(Score, frozen=True):
    """What surveys came to, whole and by agent."""

    by_agent: list[AgentScore]


class Range(Struct, frozen=True):
    """Days of the workspace on which was asked, both included."""

    since: date | None = None
    until: date | None = None


class ScoresHidden(Forbidden):
    default = "The owner of the workspace does not show survey results to agents."


async def get_csat_config(uow: UnitOfWork) -> CsatConfigView:
    """How surveys are made; switched off before anybody said otherwise."""
    csat = (await read_settings(uow)).csat
    return CsatConfigView(*(getattr(csat, name) for name in csat.__struct_fields__))


async def is_left_alone(uow: UnitOfWork, contact: int, since: datetime) -> bool:
    """Was a contact asked after a time, on whatever number, or has opted out of what is not an answer?"""
    row = await uow.fetchrow(LEFT_ALONE, contact, since)
    return row is not None and bool(row["is_so"])


async def find_agent(uow: UnitOfWork, member: int | None) -> tuple[int | None, str | None]:
    """Id and name of a member, if there is one who has not left."""
    row = await uow.fetchrow(AGENT, member) if member is not None else None
    return (row["id"], row["name"]) if row else (None, None)


async def list_surveys_of(uow: UnitOfWork, conversation: int) -> list[SurveyRow]:
    """Every survey of a conversation."""
    return [surveys.table.restore(row) for row in await uow.fetch(OF_CONVERSATION, conversation)]


async def whose_scores(uow: UnitOfWork, agent: int | None) -> int | None:
    """The agent whose scores may be shown, None for everybody's; raises ScoresHidden. Agents see their own."""
    viewer = uow.principal
    if viewer is None or viewer.role == "owner":
        return agent
    if not await may_see_scores(uow):
        raise ScoresHidden
    return viewer.user_id


async def list_responses(
    uow: UnitOfWork, within: Range, agent: int | None, rating: int | None, paging: Paging
) -> tuple[list[ResponseView], Page]:
    """Answered surveys, the last asked first. An agent finds their own, of conversations they may see."""
    mine = await whose_scores(uow, agent)
    if mine != agent and agent is not None:
        return [], Page(None, paging.limit)
    arguments: list[Any] = [paging.limit + 1]
    conditions = ["s.tenant_id = scope.tenant", "s.rating IS NOT NULL", *visible(uow, arguments)]
    for column, value in {"s.agent_id": mine, "s.rating": rating}.items():
        if value is not None:
            conditions.append(f"{column} = {bind(arguments, value)}::bigint")
    if within.since is not None:
        conditions.append(f"s.day >= {bind(arguments, within.since.isoformat())}::text")
    if within.until is not None:
        conditions.append(f"s.day <= {bind(arguments, within.until.isoformat())}::text")
    if paging.cursor is not None:
        day, number = decode(paging.cursor, (str, int))
        conditions.append(f"(s.day, s.id) < ({bind(arguments, day)}::text, {bind(arguments, number)}::bigint)")
    rows = await uow.fetch(f"{RESPONSES} WHERE {' AND '.join(conditions)} ORDER BY s.day DESC, s.id DESC LIMIT $2::int", *arguments)
    last = rows[paging.limit - 1] if len(rows) > paging.limit else None
    return [response_view(row) for row in rows[: paging.limit]], Page(encode((last["day"], last["id"])) if last else None, paging.limit)


async def get_summary(uow: UnitOfWork, within: Range) -> SummaryView:
    """What was asked on some days came to, from kept counters."""
    mine = await whose_scores(uow, None)
    since = within.since.isoformat() if within.since else BEGINNING
    rows = await uow.fetch(KEPT, since, within.until.isoformat() + ";" if within.until else END)
    by_agent: dict[int, Counter[int]] = defaultdict(Counter)
    for row in rows:
        _, agent, rating = row["key"].split(":")
        if mine in (None, int(agent)):
            by_agent[int(agent)][int(rating)] += row["value"]
    names = {row["id"]: row["name"] for row in await uow.fetch(NAMES, [agent for agent in by_agent if agent])}
    agents = [AgentScore(*score(by_agent[agent]), MemberView(agent, names.get(agent)) if agent else None) for agent in sorted(by_agent)]
    return SummaryView(*score(total(by_agent.values())), agents)


def total(counts: Iterable[Counter[int]]) -> Counter[int]:
    """All of them together."""
    whole: Counter[int] = Counter()
    for one in counts:
        whole.update(one)
    return whole


def score(count: Counter[int]) -> tuple[int, int, float | None, float | None, dict[int, int]]:
    """The fields of a score; what is counted under 0 was asked."""
    distribution = {rating: count[rating] for rating in range(1, 6)}
    answered = sum(distribution.values())
    points = sum(rating * number for rating, number in distribution.items())
    return (
        count[0],
        answered,
        round(answered / count[0], 4) if count[0] else None,
        round(points / answered, 2) if answered else None,
        distribution,
    )


def response_view(row: Any) -> ResponseView:
    """A row of ``RESPONSES`` as the API shows it."""
    return ResponseView(
        row["id"],
        row["conversation_id"] if row["is_there"] else None,
        ContactView(row["contact_id"], row["contact_name"], row["phone"], row["blocked"]) if row["is_there"] else None,
        MemberView(row["agent_id"], row["agent_name"]) if row["agent_id"] else None,
        row["rating"],
        row["comment"],
        row["asked_at"],
        row["rated_at"],
    )
