"""May a start be taken? What is asked under the locks, in words that callers can act on."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from plixa.kernel.editor import Editor
from plixa.kernel.errors import Conflict, NotFound
from plixa.kernel.outbox import Effect
from plixa.kernel.uow import UnitOfWork
from plixa.scheduling.commands.claims import Taking, expect_a_crowd
from plixa.scheduling.domain.appointment import CONFIRMED, Appointment, SlotUnavailable
from plixa.scheduling.domain.slots import HARD, Offer, Provider, Timetable
from plixa.scheduling.queries.slots import Resource, Setup, beside, choose_provider, load_times, refuse_far

ZONES: Final = version("tzdata")
"""The version of the zone database by which wall times become instants."""
ONCE: Final = frozenset({"notice", "horizon"})
"""What a series has to keep to with its first occurrence only."""
IN_WORDS: Final[dict[str, str]] = {
    "closure": "The workspace is closed on this day.",
    "holiday": "This day is a public holiday.",
    "blocked": "The provider has blocked this time.",
    "outside": "The provider does not work at this time.",
    "past": "This time is over.",
    "notice": "This is too short notice for the service.",
    "horizon": "This is too far ahead for the service.",
    "external": "The provider is busy elsewhere at this time.",
    "appointment": "The provider has another appointment at this time.",
    "hold": "This time is being offered to somebody else.",
    "resource": "A room or device that the service needs is taken at this time.",
    "grid": "The service does not begin at this minute. Choose one of the offered times.",
    "nonexistent": "This time does not exist on that day: the clocks are set forward.",
}


class Wanted(Struct, frozen=True):
    """A start that is asked for; ``exists`` is False where the clocks skip it."""

    start: datetime
    exists: bool = True


class Verdict(Struct, frozen=True):
    """A start, what stands against it, and what was passed over."""

    wanted: Wanted
    reason: str | None
    forced: tuple[str, ...] = ()


def read_start(given: datetime, now: datetime) -> datetime:
    """A start as it was given, to the second; raises Invalid for one that is too far away."""
    refuse_far(given, "start", now)
    return given.replace(microsecond=0)


def judge(table: Timetable, wanted: Sequence[Wanted], *, force: bool = False) -> Iterator[Verdict]:
    """What stands against each start; those before it count as taken."""
    offer, free_from = table.offer, None
    for index, one in enumerate(wanted):
        objections: list[str] = [*([] if one.exists else ["nonexistent"]), *table.objections(int(one.start.timestamp()))]
        if free_from is not None and one.start - timedelta(seconds=offer.lead) < free_from:
            objections.append("appointment")
        passed = tuple(cause for cause in objections if cause in ONCE and index) if not force else tuple(set(objections) - HARD)
        left = [cause for cause in objections if cause not in passed]
        if not left:
            free_from = one.start + timedelta(seconds=offer.length)
        yield Verdict(one, left[0] if left else None, passed if force else ())


def refuse_taken(verdicts: Sequence[Verdict], *, skip: bool = False) -> None:
    """Raises SlotUnavailable, with ``details.reason`` and, of a series, all that is not free. If some are, the others may be skipped."""
    refused = [verdict for verdict in verdicts if verdict.reason is not None]
    if not refused or (skip and len(refused) < len(verdicts)):
        return
    reason = str(refused[0].reason)
    details: dict[str, Any] = {"reason": reason}
    if len(verdicts) > 1:
        details["occurrences"] = [{"start": verdict.wanted.start.isoformat(), "reason": verdict.reason} for verdict in refused]
    raise SlotUnavailable(IN_WORDS[reason], details)


def refuse_crowded(uow: UnitOfWork, setup: Setup, verdicts: Sequence[Verdict], *, skip: bool = False) -> None:
    """As ``refuse_taken``, for who has waited in line: others are then to look first whether there is any chance."""
    if any(verdict.reason is not None for verdict in verdicts):
        expect_a_crowd(uow, setup.providers)
    refuse_taken(verdicts, skip=skip)


def refuse_hard(table: Timetable, start: datetime) -> None:
    """Raises SlotUnavailable where something is in the way that nobody may pass over."""
    refuse_taken(list(judge(table, [Wanted(start)], force=True)))


class ServiceInactive(Conflict):
    code = "SERVICE_INACTIVE"
    default = "This service is not offered at the moment."


class NobodyProvides(Conflict):
    code = "NO_PROVIDER"
    default = "Nobody gives this service yet. Choose who does in its settings."


class Choice(Struct, frozen=True):
    """With whom it is to be, why, and what stands against each start."""

    provider: Provider
    reason: str | None
    verdicts: list[Verdict]


def refuse_unbookable(setup: Setup, provider: int | None) -> None:
    """Raises ServiceInactive, NobodyProvides, and NotFound for a provider who does not give the service."""
    if not setup.service.is_active:
        raise ServiceInactive
    if provider is not None and provider not in setup.providers:
        raise NotFound("This member does not give the service.")
    if not setup.providers:
        raise NobodyProvides


class Wish(Struct, frozen=True):
    """What is asked for: starts, with whom if that matters, and the hold it replaces."""

    starts: list[Wanted]
    provider_id: int | None
    force: bool = False
    hold_id: int | None = None


async def choose(uow: UnitOfWork, setup: Setup, wish: Wish) -> Choice:
    """The provider who was asked for, or the fairest of those who can most of it; under their locks."""
    wanted, provider = wish.starts, wish.provider_id
    span = wanted[0].start, wanted[-1].start + timedelta(seconds=setup.offer.length)
    times = await load_times(uow, setup, setup.providers, span, [] if wish.hold_id is None else [wish.hold_id])

    def judge_all() -> dict[int, list[Verdict]]:
        return {one: list(judge(setup.timetable(one, times, uow.now), wanted, force=wish.force)) for one in setup.providers}

    judged = await beside(setup, judge_all) if len(wanted) > 1 else judge_all()
    if provider is not None:
        return Choice(setup.providers[provider], None, judged[provider])
    refused = {one: sum(verdict.reason is not None for verdict in verdicts) for one, verdicts in judged.items()}
    able = [one for one in judged if refused[one] == min(refused.values())]
    days = {one: wanted[0].start.astimezone(ZoneInfo(setup.providers[one].zone)).date() for one in able}
    number, reason = await choose_provider(uow, days)
    return Choice(setup.providers[number], reason, judged[number])


def placed(start: datetime, offer: Offer, zone: str) -> dict[str, Any]:
    """Where an appointment stands, as its events tell."""
    wall = start.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    end = start + timedelta(minutes=offer.duration)
    return {"start": start, "end": end, "wall": wall.isoformat(), "zone_version": ZONES}


def taking(state: Appointment, resources: Sequence[Resource]) -> Taking:
    """The time that an appointment takes."""
    return Taking(state.number, state.provider_id, *state.taken, resources)


def remind(uow: UnitOfWork, editor: Editor[Appointment], offsets: Sequence[int]) -> None:
    """A timer for each reminder that is still to come, if it is confirmed."""
    if editor.state.status is CONFIRMED:
        set_timers(uow, editor.state.number, editor.state.start, offsets)


def set_timers(uow: UnitOfWork, appointment: int, start: datetime, offsets: Sequence[int]) -> None:
    """A timer for each reminder that is still to come; one that is set already stays as it is."""
    for offset in offsets:
        due = start - timedelta(minutes=offset)
        if due > uow.now:
            key = f"{appointment}/{int(start.timestamp())}/{offset}"
            payload = {"appointment_id": appointment, "start": start, "offset": offset}
            uow.enqueue(Effect("automation.remind", key, payload, due))
