"""A booking is two round trips, and what is remembered of a service holds for as long as nothing of it is changed, by whomever."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from plixa.kernel.uow import UnitOfWork, perform, working
from plixa.scheduling.commands.booking import BookAppointment, BookedView, book_appointment
from plixa.scheduling.domain.appointment import SlotUnavailable
from plixa.scheduling.queries.slots import Outdated, load_times, recall_setup
from tests.scheduling.salon import Salon, code
from tests.support.world import Member, Workspace

CHANGES = {
    "service": "UPDATE service SET duration_minutes = 45 WHERE tenant_id = $1",
    "service_provider": "DELETE FROM service_provider WHERE tenant_id = $1",
    "provider_schedule": "UPDATE provider_schedule SET timezone = 'UTC' WHERE tenant_id = $1",
    "resource": "UPDATE resource SET capacity = 5 WHERE tenant_id = $1",
    "service_resource": "DELETE FROM service_resource WHERE tenant_id = $1",
    "a resource that is gone": "DELETE FROM resource WHERE tenant_id = $1",
    "closure": "INSERT INTO closure (tenant_id, date, source, created_at) VALUES ($1, now()::date + 3, 'manual', now())",
    "reminder_config": "INSERT INTO reminder_config (tenant_id, offsets) VALUES ($1, '{30}')",
    "member": "UPDATE member SET name = 'Ana Maria' WHERE tenant_id = $1",
    "tenant": "UPDATE tenant SET timezone = 'UTC' WHERE tenant_id = $1",
}
ELSE = {
    "what else becomes of a member": "UPDATE member SET max_open = 3 WHERE tenant_id = $1",
    "what else becomes of a workspace": "UPDATE tenant SET agent_restricted = NOT agent_restricted WHERE tenant_id = $1",
}


async def open_salon(salon: Salon, ana: Member) -> int:
    """A service in a chair."""
    await salon.employ(ana)
    chair = (await salon.ask("POST", "/resources", json={"name": "Chair", "capacity": 2}))["id"]
    return await salon.offer(ana, resource_ids=[chair])


async def is_outdated(workspace: Workspace, salon: Salon, service: int) -> bool:
    """Is what this process remembers of a service not what holds now?"""
    async with working(workspace.kernel, workspace.tenant) as uow:
        setup = await recall_setup(uow, service, salon.at(9), salon.at(10))
        try:
            await load_times(uow, setup, setup.providers, (salon.at(9), salon.at(10)))
        except Outdated:
            return True
    return False


@pytest.mark.parametrize(("change", "ends"), [*((one, True) for one in CHANGES), *((one, False) for one in ELSE)])
async def test_whatever_decides_how_it_is_offered_ends_what_is_remembered(
    salon: Salon, ana: Member, lucia_studios: Workspace, other_tenant: Workspace, change: str, ends: bool
) -> None:
    service = await open_salon(salon, ana)
    assert not await is_outdated(lucia_studios, salon, service)
    async with other_tenant.kernel.system.connection() as connection:
        await connection.execute((CHANGES | ELSE)[change], other_tenant.tenant)
    assert not await is_outdated(lucia_studios, salon, service)
    async with lucia_studios.kernel.system.connection() as connection:
        await connection.execute((CHANGES | ELSE)[change], lucia_studios.tenant)
    assert await is_outdated(lucia_studios, salon, service) is ends


async def test_whoever_books_by_what_was_changed_is_told_what_holds(salon: Salon, ana: Member, lucia_studios: Workspace) -> None:
    cut = await salon.offer(ana)
    await salon.booked(cut, salon.at(9), provider_id=ana.id)
    assert salon.at(10) in await salon.starts(cut, provider_id=ana.id)
    await lucia_studios.rows("UPDATE service SET is_active = false WHERE tenant_id = $1 RETURNING 1")
    assert code(await salon.book(cut, salon.at(10), provider_id=ana.id)) == "SERVICE_INACTIVE"
    assert await salon.starts(cut, provider_id=ana.id) == []
    await lucia_studios.rows("UPDATE service SET is_active = true, duration_minutes = 45 WHERE tenant_id = $1 RETURNING 1")
    assert code(await salon.book(cut, salon.at(10), provider_id=ana.id)) == "SLOT_UNAVAILABLE"
    assert (await salon.booked(cut, salon.at(10, 15), provider_id=ana.id))["service"]["duration"] == 45


async def test_a_booking_is_two_round_trips(salon: Salon, ana: Member, lucia_studios: Workspace) -> None:
    cut, asked = await salon.offer(ana), list[str]()

    async def book(uow: UnitOfWork, minute: int) -> BookedView:
        return await perform(uow, lambda: book_appointment(uow, BookAppointment(cut, salon.at(9, minute), ana.id)))

    async with working(lucia_studios.kernel, lucia_studios.tenant) as uow:
        await book(uow, 0)
        connection = await uow.connection()
        with connection.query_logger(lambda query: asked.append(query.query)):
            await book(uow, 30)
            await asyncio.sleep(0)  # asyncpg tells the logger a turn later
    assert len(asked) == 2, asked


async def test_who_looked_at_the_same_time_runs_again_and_is_told(salon: Salon, ana: Member, lucia_studios: Workspace) -> None:
    cut = await salon.offer(ana, duration_minutes=60, slot_interval_minutes=30)
    everybody = asyncio.Barrier(4)

    async def book(place: int) -> Any:
        wish = BookAppointment(cut, salon.at(9) + timedelta(minutes=30 * (place % 2)), ana.id)
        async with working(lucia_studios.kernel, lucia_studios.tenant) as uow:

            async def command() -> BookedView:
                booked = await book_appointment(uow, wish)
                if uow.attempt == 0:
                    await everybody.wait()
                return booked

            try:
                return await perform(uow, command)
            except SlotUnavailable as refused:
                return refused.details

    answers = await asyncio.gather(*map(book, range(4)))
    assert [answer for answer in answers if isinstance(answer, dict)] == [{"reason": "appointment"}] * 3
    assert len(await salon.ask("GET", "/appointments")) == 1
