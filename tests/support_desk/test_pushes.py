"""Browsers are told of tickets: whoever asked of answers, staff of what customers write and of what is given to them."""

from collections.abc import Iterator
from typing import Any

import pytest
from httpx import AsyncClient
from msgspec import Struct

from plixa.kernel.audit import PLATFORM
from plixa.kernel.delivery import deliver
from plixa.kernel.settings import Settings
from plixa.notifications.actors.push import Actors
from plixa.notifications.client.push import WebPush
from plixa.support.queries.notices import WRITERS
from tests.backoffice.crew import Staff
from tests.identity.people import change
from tests.notifications.browsers import Browser, PushService
from tests.support.world import Member
from tests.support_desk.counter_side import Counter

DUE = """SELECT id FROM outbox WHERE tenant_id = $1 AND kind = 'push.send' AND state = 'waiting'
AND (payload ->> 'device_id')::bigint = ANY($2::bigint[]) ORDER BY id"""
AGED = "UPDATE outbox SET key = key || '/' || id WHERE tenant_id = $1 AND kind = 'push.send'"


class Told(Struct, frozen=True):
    """Browsers of Lúcia, of Bruna and of Caio, and what brings them, and nobody else, news."""

    counter: Counter
    service: PushService
    browsers: dict[str, Browser]
    devices: list[int]

    async def news(self) -> dict[str, list[dict[str, Any]]]:
        """What each was shown since the last time, where that is anything."""
        self.service.caught.clear()
        kernel, tenants = self.counter.workspace.kernel, (self.counter.workspace.tenant, PLATFORM)
        await self.counter.work("support.tell_staff")
        await self.counter.work("support.tell_assignee")
        handlers = Actors(WebPush(self.counter.settings), WRITERS).handlers()
        for tenant in tenants:
            async with kernel.system.connection() as connection:
                rows = await connection.fetch(DUE, tenant, self.devices)
            for row in rows:
                assert await deliver(kernel, handlers, tenant, row["id"])
            await change(kernel, AGED, tenant)  # as if it had been a while ago
        return {name: shown for name, browser in self.browsers.items() if (shown := self.service.of(browser))}

    async def kinds(self) -> dict[str, list[str]]:
        """Of what kinds that was."""
        return {name: [one["kind"] for one in shown] for name, shown in (await self.news()).items()}


@pytest.fixture
def service() -> Iterator[PushService]:
    with PushService().listening() as service:
        yield service


@pytest.fixture
async def told(counter: Counter, bruna: Staff, caio: Staff, client: AsyncClient, service: PushService, settings: Settings) -> Told:
    browsers = {name: Browser(service.url) for name in ("lucia", "bruna", "caio")}
    devices = [await browsers["lucia"].subscribe(client, counter.workspace.owner.headers)]
    devices += [await one.do("POST", "/push/subscriptions", json=browsers[one.name.lower()].json()) for one in (bruna, caio)]
    return Told(counter, service, browsers, [one["id"] for one in devices])


async def test_whoever_asked_is_told_of_an_answer_and_of_nothing_among_staff(told: Told, bruna: Staff, ana: Member) -> None:
    number = await told.counter.open("Slow", "Since Monday")
    path = f"/support/tickets/{number}"
    await told.news()
    await bruna.do("POST", f"{path}/messages", json={"body": "A secret", "internal": True})
    await bruna.do("POST", f"{path}/priority", json={"priority": "urgent"})
    assert await told.news() == {}
    await bruna.do("POST", f"{path}/messages", json={"body": "Which Monday?"})
    (shown,) = (await told.news())["lucia"]
    assert (shown["kind"], shown["title"], shown["body"], shown["url"]) == (
        "ticket_answered",
        "Slow",
        "Which Monday?",
        f"/support/tickets/{number}",
    )
    await bruna.do("POST", f"{path}/messages", json={"body": "Hello?"})
    await told.counter.do("POST", f"/{number}/read")
    assert await told.news() == {}  # seen before it could be said
    theirs = (await told.counter.do("POST", "", ana, json={"subject": "Mine", "body": "Ana's"}))["id"]
    await told.news()
    await bruna.do("POST", f"/support/tickets/{theirs}/messages", json={"body": "Yes"})
    assert await told.kinds() == {}  # it is Ana's, who has no browser


async def test_staff_are_told_of_what_customers_write_and_once_it_is_somebodys_only_they(told: Told, bruna: Staff, caio: Staff) -> None:
    number = await told.counter.open("Slow", "Since Monday")
    path = f"/support/tickets/{number}"
    shown = await told.news()
    opened = ("ticket_opened", f"/admin/support/tickets/{number}", "Since Monday")
    assert {name: [(one["kind"], one["url"], one["body"]) for one in each] for name, each in shown.items()} == {
        "bruna": [opened],
        "caio": [opened],
    }
    await bruna.do("POST", f"{path}/assign", json={"admin_id": caio.id})
    assert await told.kinds() == {"caio": ["ticket_assigned"]}
    await caio.do("POST", f"{path}/assign", json={"admin_id": caio.id})
    await told.counter.say(number)
    assert await told.kinds() == {"caio": ["ticket_replied"]}
    await told.counter.say(number)
    await caio.do("POST", f"{path}/messages", json={"body": "Here"})
    assert await told.kinds() == {"lucia": ["ticket_answered"]}  # answered before it could be said
    await caio.do("POST", f"{path}/assign")
    await bruna.do("POST", f"{path}/assign", json={"admin_id": bruna.id})
    assert await told.kinds() == {}  # who takes it themselves knows


async def test_who_has_the_ticket_open_is_not_told(told: Told, bruna: Staff) -> None:
    number = await told.counter.open()
    await bruna.do("POST", f"/support/tickets/{number}/viewing")
    assert await told.kinds() == {"caio": ["ticket_opened"]}
