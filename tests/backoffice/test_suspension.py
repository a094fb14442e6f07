"""Suspension: nobody gets in, nothing goes out, nothing that arrives is lost."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import AsyncClient

from plixa.app import create_app
from plixa.inbox.actors import Actors
from plixa.kernel.delivery import deliver
from plixa.kernel.settings import Settings
from plixa.kernel.uow import perform
from plixa.whatsapp.actors import Actors as PhoneActors
from plixa.whatsapp.client import OutcomeUnknown
from plixa.whatsapp.commands.instances import NewInstance, add_instance
from tests.backoffice.crew import Staff, codes, mails
from tests.identity.people import entries, value
from tests.inbox.desk import Desk, stamp
from tests.inbox.test_actors import DUE, Faulty
from tests.inbox.test_commands import PNG
from tests.support.apps import calling, started
from tests.support.world import Member, Workspace
from tests.whatsapp import webhooks

LEAVING = "UPDATE tenant SET purge_at = now() + interval '30 days' WHERE tenant_id = $1"
STAYING = "UPDATE tenant SET purge_at = NULL WHERE tenant_id = $1"


@pytest.fixture
async def elsewhere(settings: Settings) -> AsyncIterator[AsyncClient]:
    """A client of a second process."""
    async with started(create_app(settings)) as app, calling(app) as client:
        yield client


async def test_members_are_shut_out_everywhere_within_a_second(
    bruna: Staff, lucia_studios: Workspace, lucia: Member, ana: Member, client: AsyncClient, elsewhere: AsyncClient
) -> None:
    place, calls = f"/tenants/{lucia_studios.tenant}", [(door, who) for door in (client, elsewhere) for who in (lucia, ana)]
    for door, who in calls:
        assert (await door.get("/v1/me", headers=who.headers)).status_code == 200
    stream = asyncio.create_task(elsewhere.get("/v1/realtime", headers=ana.headers))
    await asyncio.sleep(0.1)
    shown = await bruna.do("POST", f"{place}/suspend", json={"reason": "Spam"})
    assert (shown["status"], shown["suspended_reason"]) == ("suspended", "Spam")
    assert codes(await client.get("/v1/me", headers=lucia.headers)) == (403, "WORKSPACE_SUSPENDED")
    acted, admitted = time.monotonic(), 0.0
    while time.monotonic() < acted + 1.3:
        for door, who in calls:
            if (await door.get("/v1/me", headers=who.headers)).status_code == 200:
                admitted = time.monotonic() - acted
        await asyncio.sleep(0.02)
    assert admitted < 1
    assert (await asyncio.wait_for(stream, 2)).status_code == 200
    assert codes(await elsewhere.get("/v1/conversations", headers=ana.headers)) == (403, "WORKSPACE_SUSPENDED")
    assert (await bruna.do("POST", f"{place}/reactivate"))["status"] == "active"
    assert (await client.get("/v1/me", headers=lucia.headers)).status_code == 200


async def test_each_change_is_told_once(bruna: Staff, lucia_studios: Workspace, lucia: Member) -> None:
    kernel, place = lucia_studios.kernel, f"/tenants/{lucia_studios.tenant}"
    for deed in ("reactivate", "suspend", "suspend", "reactivate", "reactivate"):
        assert (await bruna.call("POST", f"{place}/{deed}")).status_code == 200
    answers = await asyncio.gather(*(bruna.call("POST", f"{place}/suspend", json={"reason": f"No. {n}"}) for n in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    told = [(fact.actor.type, entry) for fact, entry in await entries(kernel, lucia_studios.tenant)][1:]
    assert [(actor, entry.action) for actor, entry in told] == [
        ("staff", "tenant.suspended"),
        ("staff", "tenant.reactivated"),
        ("staff", "tenant.suspended"),
    ]
    assert (told[0][1].before, told[0][1].after) == ({"status": "active", "reason": None}, {"status": "suspended", "reason": None})
    written = await mails(kernel, lucia_studios.tenant, "workspace_suspended")
    assert [(mail.to, mail.values["workspace"]) for mail in written] == [(lucia.email, "Lúcia Studios")] * 2
    assert len(await mails(kernel, lucia_studios.tenant, "workspace_reactivated")) == 1
    assert codes(await bruna.call("POST", f"{place}/suspend", json={"reason": "x" * 501})) == (422, "VALIDATION_FAILED")


async def waiting(desk: Desk) -> int:
    """A conversation with a text and a file that wait to be sent, and something to be marked as read."""
    number: int = (await desk.open())["id"]
    await desk.do("POST", f"/{number}/messages", json={"body": "Oi"})
    await desk.do("POST", f"/{number}/media-messages", files={"file": ("a.png", PNG)})
    await desk.do("POST", f"/{number}/read")
    return number


async def do_all(desk: Desk, gateway: "Silent") -> None:
    """Do what waits, as the worker would."""
    told: Any = gateway
    for kind in ("inbox.send", "inbox.send", "inbox.mark_read"):
        for due in await desk.workspace.rows(DUE, kind):
            await deliver(desk.workspace.kernel, Actors(told).handlers(), desk.workspace.tenant, due["id"])


class Silent(Faulty):
    """A gateway that notes what it was told to say to customers."""

    async def mark_read(self, *_: Any) -> None:
        self.sent += 1

    send_voice = Faulty.send_text


@pytest.mark.parametrize("why", ["WORKSPACE_SUSPENDED", "WORKSPACE_DELETION_SCHEDULED"])
async def test_what_waits_is_not_sent_and_what_arrives_is_kept(desk: Desk, bruna: Staff, why: str) -> None:
    tenant, kernel = desk.workspace.tenant, desk.workspace.kernel
    number = await waiting(desk)
    if why == "WORKSPACE_SUSPENDED":
        await bruna.do("POST", f"/tenants/{tenant}/suspend")
    else:
        await value(kernel, LEAVING, tenant)
    gateway = Silent()
    await do_all(desk, gateway)
    assert gateway.sent == 0
    await desk.hear(webhooks.text(desk.chat(), stamp(), "Alguém aí?"))
    if why == "WORKSPACE_SUSPENDED":
        await bruna.do("POST", f"/tenants/{tenant}/reactivate")
    else:
        await value(kernel, STAYING, tenant)
        desk.forget()
    thread = await desk.thread(number)
    assert [message["body"] for message in thread if message["direction"] == "in"][-1] == "Alguém aí?"
    failed = [message for message in thread if message["direction"] == "out"]
    assert [message["status"] for message in failed] == ["failed", "failed"]
    events = await desk.do("GET", f"/{number}/events?limit=200")
    reasons = {(one["data"]["code"], one["data"]["reason"]) for one in events if one["type"].endswith("failed")}
    assert len(reasons) == 1
    assert reasons.pop()[0] == why

    await desk.do("POST", f"/{number}/messages", json={"body": "Estamos de volta"})
    await do_all(desk, gateway)
    assert gateway.sent == 1
    assert (await desk.thread(number))[-1]["status"] != "failed"


async def test_a_send_in_doubt_is_still_looked_for_but_never_repeated(desk: Desk, bruna: Staff) -> None:
    number = (await desk.open())["id"]
    await desk.do("POST", f"/{number}/messages", json={"body": "Oi"})
    lost: Any = Silent(OutcomeUnknown())
    (due,) = await desk.workspace.rows(DUE, "inbox.send")
    await deliver(desk.workspace.kernel, Actors(lost).handlers(), desk.workspace.tenant, due["id"])
    await bruna.do("POST", f"/tenants/{desk.workspace.tenant}/suspend")
    await desk.workspace.rows("UPDATE outbox SET due_at = now() WHERE tenant_id = $1 RETURNING id")
    found: Any = Silent(held=[webhooks.text(desk.chat(), (theirs := stamp(from_me=True)), "Oi")])
    await deliver(desk.workspace.kernel, Actors(found).handlers(), desk.workspace.tenant, due["id"])
    await bruna.do("POST", f"/tenants/{desk.workspace.tenant}/reactivate")
    last = (await desk.thread(number))[-1]
    assert (found.sent, last["evolution_message_id"], last["status"] == "failed") == (0, theirs.id, False)


async def test_a_number_is_not_made_for_a_suspended_workspace(bruna: Staff, lucia_studios: Workspace, settings: Settings) -> None:
    class Unasked:
        async def create_instance(self, *_: Any) -> None:
            raise AssertionError

    uow = lucia_studios.unit()
    await perform(uow, lambda: add_instance(uow, settings, NewInstance()))
    uow.close()
    await bruna.do("POST", f"/tenants/{lucia_studios.tenant}/suspend")
    gateway: Any = Unasked()
    (due,) = await lucia_studios.rows(DUE, "whatsapp.create_instance")
    await deliver(lucia_studios.kernel, PhoneActors(gateway, settings).handlers(), lucia_studios.tenant, due["id"])
    assert await lucia_studios.rows(DUE, "whatsapp.create_instance") == []
