"""By when customers are to be answered: clocks that begin with an episode, run by the workspace's hours, and tell what was missed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from plixa.inbox.commands.editing import edit_live
from plixa.inbox.domain.care import FIRST_RESPONSE, Target, TargetsSet
from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.queries.care import find_settings
from plixa.inbox.queries.notices import hears_near, list_rows
from plixa.inbox.queries.targets import SlaConfigView, get_sla_config, list_running
from plixa.kernel.editor import Editor
from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import Event
from plixa.kernel.outbox import Effect
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.notifications.commands.push import tell as tell_browsers
from plixa.notifications.queries.push import list_hearers
from plixa.workspace.commands.settings import alone, forget_settings, tell
from plixa.workspace.domain import Hours, due_after
from plixa.workspace.queries.settings import list_weeks

NEAR: Final = 80
"""A target is near when so many hundredths of its time are over."""
LONGEST: Final = 604_800
"""Seconds; seven days, by the contract."""
JUST_AFTER: Final = timedelta(milliseconds=1)
"""What happens at the very instant is in time."""
KEEP: Final = """INSERT INTO sla_config (tenant_id, first_response_seconds, resolution_seconds) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id) DO UPDATE SET first_response_seconds = $2, resolution_seconds = $3"""

Seconds = Annotated[int, Meta(gt=0, le=LONGEST)]


class UpdateSla(Struct, frozen=True):
    """Seconds, at most seven days; null is no target, and what is absent stays."""

    first_response_seconds: Seconds | UnsetType | None = UNSET
    resolution_seconds: Seconds | UnsetType | None = UNSET


async def update_sla_config(uow: UnitOfWork, data: UpdateSla) -> None:
    """Other targets, for episodes that begin from now on."""
    await alone(uow)
    before = msgspec.structs.asdict(await get_sla_config(uow))
    after = before | {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    if after == before:
        return
    kept = SlaConfigView(**after)
    await uow.execute(KEEP, kept.first_response_seconds, kept.resolution_seconds)
    forget_settings(uow)
    await tell(uow, "sla_config.updated", before, after)


async def set_targets(uow: UnitOfWork, editor: Editor[Conversation]) -> str:
    """An episode began: by when is it to be answered and closed? Answers that in words."""
    settings, care = await find_settings(uow), editor.state.care
    if settings.first_response_seconds is None and settings.resolution_seconds is None:
        return "no targets"
    asked_at = uow.now if care.asked and not care.answered else None
    first, resolution = begin(settings.first_response_seconds, asked_at), begin(settings.resolution_seconds, uow.now)
    record(uow, editor, TargetsSet(first, resolution), [settings.hours] if settings.hours else [])
    return in_words(editor)


async def start_response(uow: UnitOfWork, editor: Editor[Conversation]) -> str:
    """The customer wrote, in an episode that the workspace may have begun: the clock of the first response begins."""
    targets = editor.state.care.targets
    first = editor.state.care.pending().get(FIRST_RESPONSE)
    if targets is None or first is None or first.since is not None:
        return in_words(editor)
    hours = (await find_settings(uow)).hours
    record(uow, editor, replace(targets, first_response=replace(first, since=uow.now)), [hours] if hours else [])
    return in_words(editor)


async def find_missed(uow: UnitOfWork, editor: Editor[Conversation], moment: datetime) -> list[Event]:
    """Targets whose time was over at ``moment``, which a timer is too late to tell; to be recorded after what happened then."""
    care = editor.state.care
    if not care.miss(moment):
        return []
    weeks = await list_weeks(uow, min(target.since for target in care.pending().values() if target.since is not None))
    fresh = timed(care.targets or TargetsSet(), weeks)
    return care.after(fresh).miss(moment)


async def check_targets(uow: UnitOfWork, conversation: int, moment: datetime | None = None) -> None:
    """The timer of a target, or the hours were changed: see by when it is due now, and whether it was missed."""
    async with edit_live(uow, conversation) as editor:
        care = editor.state.care
        begun = [target.since for target in care.pending().values() if target.since is not None]
        if care.targets is None or not begun:
            return
        record(uow, editor, care.targets, await list_weeks(uow, min(begun)))
        editor.record(editor.state.care.miss(max(uow.now, moment or uow.now)))


async def warn(uow: UnitOfWork, conversation: int, due: int) -> None:
    """What is due then, in seconds of the epoch, is near: tell whoever is to answer, once, if that still can be in time."""
    if uow.now.timestamp() > due:
        return
    async with edit_live(uow, conversation) as editor:
        number = editor.state.number
    row = (await list_rows(uow, [number])).get(number)
    for hearer in await list_hearers(uow):
        if not hearer.is_online and hears_near(hearer, row, due):
            tell_browsers(uow, hearer, "near", datetime.fromtimestamp(due, UTC), {"conversation_id": number, "due": due})


async def retime(kernel: Kernel, tenant: int) -> None:
    """The hours were changed: every clock that is running runs by them; each in a transaction of its own."""
    last = 0
    while True:
        async with working(kernel, tenant) as uow:
            numbers = await list_running(uow, last)
        for number in numbers:
            async with working(kernel, tenant, request_id="retime") as uow:
                try:
                    await perform(uow, partial(check_targets, uow, number))
                except NotFound:
                    continue
        if not numbers:
            return
        last = numbers[-1]


def begin(seconds: int | None, since: datetime | None) -> Target | None:
    """A target, if there is one; its clock begins then, or later."""
    return None if seconds is None else Target(seconds, since)


def timed(targets: TargetsSet, weeks: Sequence[Hours]) -> TargetsSet:
    """The targets with the instants at which they are due."""

    def due(target: Target | None) -> Target | None:
        if target is None or target.since is None:
            return target
        return replace(target, due_at=due_after(target.since, target.seconds, weeks))

    return TargetsSet(due(targets.first_response), due(targets.resolution))


def record(uow: UnitOfWork, editor: Editor[Conversation], targets: TargetsSet, weeks: Sequence[Hours]) -> None:
    """Set targets as these weeks have it, if anything is new, with a timer for each that may be missed and one before it."""
    before = editor.state.care.targets or TargetsSet()
    after, known = timed(targets, weeks), editor.state.care.pending()
    if after == before:
        return
    editor.record(after)
    number = editor.state.number
    for name, target in editor.state.care.pending().items():
        if target.since is not None and target.due_at is not None and target != known.get(name):
            payload: dict[str, Any] = {"conversation_id": number, "at": target.due_at + JUST_AFTER}
            uow.enqueue(Effect("inbox.check_targets", f"{number}/{editor.version}/{name}", payload, payload["at"]))
            due, near_at = int(target.due_at.timestamp()), due_after(target.since, target.seconds * NEAR // 100, weeks)
            uow.enqueue(Effect("inbox.warn_target", f"{number}/{editor.version}/{due}", {"conversation_id": number, "due": due}, near_at))


def in_words(editor: Editor[Conversation]) -> str:
    """By when the customer is to be answered."""
    if editor.state.care.answered:
        return "answered before"
    first = editor.state.care.pending().get(FIRST_RESPONSE)
    return f"answer by {first.due_at.isoformat(timespec='seconds')}" if first and first.due_at else "no targets"
