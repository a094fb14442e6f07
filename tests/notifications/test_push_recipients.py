"""Who is told: whose conversation it is, or whoever takes new ones; nobody who may not see it, sits before the panel, or is elsewhere."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from httpx import AsyncClient
from msgspec import Struct

from plixa.inbox.commands.targets import check_targets
from plixa.inbox.policies import notify
from plixa.inbox.queries.notices import NEWS
from plixa.kernel.log import Log
from plixa.kernel.projector import Poisoned, advance
from plixa.kernel.reacting import Reaction, step
from plixa.kernel.settings import Settings
from plixa.kernel.uow import perform, working
from plixa.whatsapp.commands.instances import hear
from plixa.whatsapp.domain import ConnectionChanged
from plixa.whatsapp.domain.instance import Heard
from tests.identity.people import change
from tests.inbox.desk import Desk, stamp
from tests.inbox.test_targets import NEVER, WEEK, configure, set_hours
from tests.notifications.browsers import Browser, PushService, begin, bring, react
from tests.support.effects import do_effects
from tests.support.world import Member
from tests.whatsapp import webhooks

WAITING = "SELECT count(*) AS found FROM outbox WHERE tenant_id = $1 AND kind = 'push.send'"
RESTRICT = "UPDATE tenant SET agent_restricted = true WHERE tenant_id = $1"
NEAR = "SELECT due_at, created_at FROM outbox WHERE tenant_id = $1 AND kind = 'inbox.warn_target' ORDER BY id"
CHECKPOINT = "SELECT position FROM checkpoint WHERE tenant_id = $1 AND projection = 'push'"


class Told(Struct, frozen=True):
    """Lúcia's and Ana's browsers, and what brings them news."""

    desk: Desk
    settings: Settings
    service: PushService
    lucia: Browser
    ana: Browser

    async def news(self) -> tuple[list[str], list[str]]:
        """The kinds of what each of them was shown since the last time."""
        self.service.caught.clear()
        await bring(self.settings, self.desk.workspace)
        lucia, ana = ([one["kind"] for one in self.service.of(browser)] for browser in (self.lucia, self.ana))
        return lucia, ana

    async def later(self) -> None:
        """What was asked for so far was a while ago."""
        await self.set("UPDATE outbox SET key = key || '/' || id WHERE tenant_id = $1 AND kind = 'push.send'")

    async def set(self, statement: str, *arguments: Any) -> None:
        await change(self.desk.workspace.kernel, statement, self.desk.workspace.tenant, *arguments)

    async def say(self, phone: str = "5511987654321") -> None:
        await self.desk.hear(webhooks.text(self.desk.chat(phone), stamp(), "Oi"))


@pytest.fixture
def service() -> Iterator[PushService]:
    with PushService().listening() as service:
        yield service


@pytest.fixture
async def told(desk: Desk, client: AsyncClient, settings: Settings, lucia: Member, ana: Member, service: PushService) -> Told:
    browsers = Browser(service.url), Browser(service.url)
    for browser, member in zip(browsers, (lucia, ana), strict=True):
        await browser.subscribe(client, member.headers)
    await begin(desk.workspace.kernel, desk.workspace.tenant)
    return Told(desk, settings, service, *browsers)


async def miss_target(desk: Desk, number: int) -> None:
    """Its timer runs a day later."""
    async with working(desk.workspace.kernel, desk.workspace.tenant) as uow:
        await perform(uow, partial(check_targets, uow, number, datetime.now(UTC) + timedelta(days=1)))


async def test_of_what_is_nobodys_all_hear_and_of_what_is_somebodys_they_alone(told: Told, ana: Member) -> None:
    number = (await told.desk.open())["id"]
    assert await told.news() == (["message"], ["message"])
    await told.later()
    await told.desk.do("PATCH", f"/{number}", json={"assigned_user_id": ana.id})
    assert await told.news() == ([], ["assigned"])
    await told.later()
    await told.say()
    assert await told.news() == ([], ["message"])


async def test_whoever_takes_a_conversation_hears_of_it_from_nobody_else_and_from_themselves_nothing(
    told: Told, lucia: Member, ana: Member
) -> None:
    number = (await told.desk.open())["id"]
    await told.desk.do("POST", f"/{number}/read")
    assert await told.news() == ([], [])
    await told.desk.do("PATCH", f"/{number}", json={"assigned_user_id": lucia.id})
    assert await told.news() == ([], [])
    await told.desk.do("PATCH", f"/{number}", json={"assigned_user_id": ana.id})
    assert await told.news() == ([], ["assigned"])


async def test_who_is_not_taking_new_conversations_hears_only_of_their_own(told: Told, ana: Member) -> None:
    await told.set("UPDATE member SET is_available = false WHERE tenant_id = $1 AND id = $2", ana.id)
    number = (await told.desk.open())["id"]
    assert await told.news() == (["message"], [])
    await told.later()
    await told.desk.do("PATCH", f"/{number}", json={"assigned_user_id": ana.id})
    assert await told.news() == ([], ["assigned"])


async def test_before_an_open_panel_nobody_is_told(told: Told, client: AsyncClient, lucia: Member) -> None:
    await told.set("UPDATE member SET last_heartbeat_at = now() - interval '119 seconds' WHERE tenant_id = $1 AND id = $2", lucia.id)
    await told.desk.open()
    assert await told.news() == ([], ["message"])
    await told.set("UPDATE member SET last_heartbeat_at = now() - interval '121 seconds' WHERE tenant_id = $1 AND id = $2", lucia.id)
    await told.desk.open("5511900000001")
    assert await told.news() == (["message"], ["message"])


async def test_at_the_last_moment_it_is_looked_at_again(told: Told, lucia: Member, ana: Member) -> None:
    """Asked for while the conversation was nobody's; before it goes out it is Lúcia's, and agents see only their own."""
    number = (await told.desk.open())["id"]
    await react(told.desk.workspace.kernel, told.desk.workspace.tenant)
    await told.set(RESTRICT)
    await told.desk.do("PATCH", f"/{number}", json={"assigned_user_id": lucia.id})
    assert await told.news() == (["message"], [])
    other = (await told.desk.open("5511900000001"))["id"]
    await react(told.desk.workspace.kernel, told.desk.workspace.tenant)
    await told.desk.do("DELETE", f"/{other}")
    assert await told.news() == ([], [])


@pytest.mark.parametrize(
    "bar",
    [
        "UPDATE tenant SET status = 'suspended', suspended_at = now() WHERE tenant_id = $1",
        "UPDATE tenant SET deletion_requested_at = now(), purge_at = now() + interval '30 days' WHERE tenant_id = $1",
        "UPDATE tenant SET require_two_factor = true WHERE tenant_id = $1",
        "UPDATE access_token SET expires_at = now() - interval '1 second' WHERE tenant_id = $1",
    ],
)
async def test_who_may_not_look_in_is_told_nothing(told: Told, bar: str) -> None:
    await told.desk.open()
    await react(told.desk.workspace.kernel, told.desk.workspace.tenant)
    await told.set(bar)
    assert await told.news() == ([], [])


async def test_of_a_blocked_contact_nobody_hears(told: Told) -> None:
    conversation = await told.desk.open()
    await told.news()
    blocked = await told.desk.client.post(f"/v1/contacts/{conversation['contact']['id']}/block", headers=told.desk.workspace.owner.headers)
    assert blocked.status_code in (200, 201, 204), blocked.text
    await told.later()
    await told.say()
    assert await told.news() == ([], [])


async def test_of_a_missed_target_hears_whoever_is_to_answer_until_somebody_has(told: Told, ana: Member) -> None:
    await told.desk.client.put("/v1/sla-config", json={"first_response_seconds": 900}, headers=told.desk.workspace.owner.headers)
    hers, nobodys, answered = [(await told.desk.open(f"551190000000{place}"))["id"] for place in range(3)]
    await told.desk.do("PATCH", f"/{hers}", json={"assigned_user_id": ana.id})
    await told.news()
    await told.later()
    for number in (hers, nobodys, answered):
        await miss_target(told.desk, number)
    await react(told.desk.workspace.kernel, told.desk.workspace.tenant)
    await told.desk.do("POST", f"/{answered}/messages", json={"body": "Já vi!"})
    assert await told.news() == (["target_missed"], ["target_missed", "target_missed"])
    assert {one["content"] for one in told.service.of(told.ana)} == {"first_response"}


async def test_before_a_target_is_missed_hears_whoever_is_to_answer_once(told: Told, ana: Member) -> None:
    await configure(told.desk, 900, None)
    hers, nobodys, answered, closed, missed, seen = [(await told.desk.open(f"551190000000{place}"))["id"] for place in range(6)]
    for number in (hers, seen):
        await told.desk.do("PATCH", f"/{number}", json={"assigned_user_id": ana.id})
    await told.set("UPDATE member SET is_available = false WHERE tenant_id = $1 AND id = $2", ana.id)
    await told.news()
    await told.later()
    timers = [(row["due_at"] - row["created_at"]).total_seconds() for row in await told.desk.workspace.rows(NEAR)]
    assert [round(seconds) for seconds in timers] == [720] * 6
    await told.desk.do("POST", f"/{answered}/messages", json={"body": "Já vi!"})
    await told.desk.do("POST", f"/{closed}/close")
    await miss_target(told.desk, missed)
    assert await do_effects(told.desk.workspace, "inbox.warn_target") == 6
    await told.desk.do("POST", f"/{seen}/messages", json={"body": "Já vi!"})
    await told.news()
    (hers_alone,) = told.service.of(told.ana)
    assert (hers_alone["kind"], hers_alone["content"], hers_alone["url"]) == ("target_near", "first_response", f"/inbox/{hers}")
    shown = {(one["kind"], one["url"]) for one in told.service.of(told.lucia)}
    assert shown == {("target_near", f"/inbox/{nobodys}"), ("target_missed", f"/inbox/{missed}")}
    assert (await do_effects(told.desk.workspace, "inbox.warn_target"), await told.news()) == (0, ([], []))


async def test_the_timer_before_a_target_stands_still_with_it_and_one_that_was_moved_is_silent(told: Told) -> None:
    zone = ZoneInfo("America/Sao_Paulo")
    shut = {(datetime.now(zone) + timedelta(days=ahead)).isoweekday() % 7 for ahead in (0, 1)}
    week = [day | {"open": "09:00", "close": "17:00", "enabled": day["weekday"] not in shut} for day in WEEK]
    await configure(told.desk, None, 36_000)
    await set_hours(told.desk, week)
    number = (await told.desk.open())["id"]
    (timer,) = await told.desk.workspace.rows(NEAR)
    due = datetime.fromisoformat((await told.desk.show(number))["sla"]["resolution_due_at"])
    assert (due.astimezone(zone).time(), timer["due_at"].astimezone(zone).time()) == (time(11), time(17)), "two of ten hours before"
    await told.news()
    longer = [day | {"close": "18:00"} for day in week]
    once: tuple[list[str], list[str]] = (["target_near"], ["target_near"])
    silence: tuple[list[str], list[str]] = ([], [])
    for hours, timers, heard in ((longer, 2, once), (week, 1, once), (longer, 1, silence), (NEVER, 0, silence), (week, 1, silence)):
        await set_hours(told.desk, hours)
        await do_effects(told.desk.workspace, "inbox.retime")
        assert await do_effects(told.desk.workspace, "inbox.warn_target") == timers
        assert await told.news() == heard


async def test_a_flood_of_one_customer_is_told_once_in_a_few_seconds(told: Told) -> None:
    await told.desk.hear(*(webhooks.text(told.desk.chat(), stamp(), f"line {line}") for line in range(8)))
    assert 1 <= len((await told.news())[0]) <= 2


async def test_a_lost_number_is_the_owners_to_mend(told: Told) -> None:
    uow = told.desk.workspace.unit()
    try:
        lost = ConnectionChanged(state="close", reason=401)
        await hear(uow, told.desk.number.id, lost, Heard(datetime.now(UTC)))
        await uow.commit()
    finally:
        uow.close()
    assert await told.news() == (["phone_disconnected"], [])


async def test_the_twin_hears_nothing(told: Told, other_desk: Desk, client: AsyncClient, settings: Settings, service: PushService) -> None:
    twin = Browser(service.url)
    await twin.subscribe(client, other_desk.workspace.owner.headers)
    await begin(other_desk.workspace.kernel, other_desk.workspace.tenant)
    await told.desk.open()
    assert await bring(settings, other_desk.workspace) == 0
    assert await told.news() == (["message"], ["message"])
    assert service.of(twin) == []
    await other_desk.open()
    assert await bring(settings, other_desk.workspace) == 1
    assert len(service.of(twin)) == 1


async def test_what_is_an_hour_old_is_no_news(told: Told) -> None:
    """The follower was down for so long: the log knows, whose events nobody can redate, so that the clock is set forward instead."""
    await told.desk.open()
    uow = told.desk.workspace.unit()
    try:
        connection = await uow.begin()
        facts = (await Log(connection, uow.kernel.vault, uow.tenant).read(0, 500, [event.TOPIC for event in NEWS])).facts
        uow.now += timedelta(minutes=61)
        await notify(uow, facts)
        await uow.commit()
    finally:
        uow.close()
    assert (await told.desk.workspace.rows(WAITING))[0]["found"] == 0
    assert await told.news() == (["message"], ["message"])


class Killed(BaseException):
    """The process is gone in the middle of it."""


async def test_a_follower_that_is_killed_loses_nothing_and_asks_for_nothing_twice(told: Told) -> None:
    kernel, tenant = told.desk.workspace.kernel, told.desk.workspace.tenant

    async def die(uow: Any, facts: Any) -> None:
        await notify(uow, facts)
        raise Killed

    for phone in ("5511900000001", "5511900000002", "5511900000003"):
        await told.desk.open(phone)
        before = await told.desk.workspace.rows(CHECKPOINT)
        with pytest.raises(Killed):
            await step(kernel, Reaction("push", NEWS, die), tenant, 500)
        assert await told.desk.workspace.rows(CHECKPOINT) == before
    assert (await told.desk.workspace.rows(WAITING))[0]["found"] == 0
    await asyncio.gather(*(react(kernel, tenant) for _ in range(4)))
    await react(kernel, tenant)
    assert (await told.desk.workspace.rows(WAITING))[0]["found"] == 6
    assert await told.news() == (["message"] * 3, ["message"] * 3)


async def test_what_cannot_be_reacted_to_stops_there_and_is_not_passed_over(told: Told) -> None:
    kernel, tenant, seen = told.desk.workspace.kernel, told.desk.workspace.tenant, list[int]()

    async def stumble(_uow: Any, facts: Any) -> None:
        if any(fact.event.TOPIC == "message.received" and fact.event.content.body == "bad" for fact in facts):
            raise ValueError("I cannot bear this.")
        seen.extend(fact.position for fact in facts)

    reaction = Reaction("test_stumbling", NEWS, stumble)
    await step(kernel, reaction, tenant, 500)
    await told.say()
    await told.desk.hear(webhooks.text(told.desk.chat(), stamp(), "bad"), webhooks.text(told.desk.chat(), stamp(), "good"))
    await advance(kernel, reaction, tenant, take=step)
    assert len(seen) == 1
    for _ in range(2):
        with pytest.raises(Poisoned):
            await advance(kernel, reaction, tenant, take=step)
    assert len(seen) == 1
