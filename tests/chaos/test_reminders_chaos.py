"""Workers that are killed while customers are reminded: everybody is, and nobody twice."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import cycle

import pytest

from plixa.contacts.commands.people import CreateContact, create_contact
from plixa.identity.commands.sessions import Entrance
from plixa.kernel.log import read_log
from plixa.kernel.passwords import PasswordChecker
from plixa.kernel.throttle import Throttler
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.scheduling.commands.booking import BookAppointment, book_appointment
from plixa.scheduling.commands.services import CreateService, create_service
from plixa.scheduling.domain.events import Reminded, ReminderSkipped
from tests.chaos.world import Place, stopping, until
from tests.support.numbers import connect_number
from tests.support.world import Workspace, register_workspace

pytestmark = pytest.mark.chaos

KILLS = 4
BETWEEN = 8
"""Reminders from one kill to the next."""
SECONDS = 90.0
COUNT = "SELECT count(*) FROM appointment WHERE tenant_id = $1 AND reminded_at IS NOT NULL"
HASTEN = """UPDATE outbox SET due_at = now() WHERE tenant_id = $1 AND kind = 'automation.remind' AND state IN ('waiting', 'running')
AND lease_until IS NULL RETURNING id"""
LEFT = "SELECT count(*) FROM outbox WHERE tenant_id = $1 AND kind = 'automation.remind' AND state <> 'done'"


async def open_salon(place: Place, kernel: Kernel) -> Workspace:
    """A workspace with a number, which reaches nobody."""
    entrance = Entrance(kernel, place.settings, PasswordChecker(place.settings.argon2), Throttler(str(place.settings.redis_url)))
    try:
        workspace = await register_workspace(entrance, "Lúcia Studios", "Lucia")
        await connect_number(place.settings, workspace)
    finally:
        entrance.passwords.close()
        await entrance.throttler.close()
    return workspace


async def book(workspace: Workspace, many: int) -> list[int]:
    """So many appointments of as many customers, each with one reminder."""
    owner = workspace.owner
    wanted = CreateService(name="Cut", duration_minutes=5, provider_ids=[owner.id], reminder_offsets=[60])
    first = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(hours=3)

    async def one(uow: UnitOfWork, service: int, place: int) -> int:
        contact = (await create_contact(uow, CreateContact(f"55119876{place:05}"))).id
        start = first + timedelta(minutes=5 * place)
        await uow.commit()
        return (await book_appointment(uow, BookAppointment(service, start, owner.id, contact, force=True))).id

    async with working(workspace.kernel, workspace.tenant, owner.actor) as uow:
        service = (await perform(uow, lambda: create_service(uow, wanted))).id
        return [await perform(uow, lambda place=place: one(uow, service, place)) for place in range(many)]  # type: ignore[misc]


async def test_everybody_is_reminded_once_however_often_workers_die(chaos_place: Place, chaos_kernel: Kernel) -> None:
    salon = await open_salon(chaos_place, chaos_kernel)
    numbers = await book(salon, (KILLS + 2) * BETWEEN)
    workers = [chaos_place.worker() for _ in range(3)]
    with stopping(*workers):
        await salon.rows(HASTEN)
        for kill, worker in zip(range(1, KILLS + 1), cycle(workers)):

            async def so_many(wanted: int = kill * BETWEEN) -> bool:
                return int((await salon.rows(COUNT))[0]["count"]) >= wanted

            await until(so_many, SECONDS, f"{kill * BETWEEN} reminders", pause=0.01)
            worker.restart()

        async def is_over() -> bool:
            await salon.rows(HASTEN)
            return int((await salon.rows(LEFT))[0]["count"]) == 0

        await until(is_over, SECONDS, "everybody was reminded", pause=0.5)
    told = [fact for fact in await read_log(chaos_kernel, salon.tenant, 0) if isinstance(fact.event, Reminded | ReminderSkipped)]
    assert Counter(fact.number for fact in told) == Counter(numbers)
    messages = [fact.event.message_id for fact in told if isinstance(fact.event, Reminded)]
    assert len({*messages}) == len(numbers)
    assert None not in messages
    said = await salon.rows("SELECT id FROM inbox_message WHERE tenant_id = $1 AND author_type = 'bot'")
    assert {row["id"] for row in said} == {*messages}
