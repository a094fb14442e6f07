"""The end of a workspace: asked for, cancelled, and done: nothing of it can be read, its chain still stands, its neighbour is whole."""

from typing import Any

import asyncpg
import pytest
from httpx import AsyncClient

from plixa.kernel.verify import verify_chain
from plixa.whatsapp.actors import Actors as Numbers
from plixa.workspace.commands import deletion
from tests.inbox.desk import Desk
from tests.inbox.test_commands import PNG
from tests.support.effects import do_effects
from tests.support.trail import read_trail
from tests.support.world import PASSWORD, Member, Workspace

PATH = "/v1/account/deletion"
CANARY = "canary-of-the-deleted"
COME = "UPDATE tenant SET purge_at = now() - interval '1 second' WHERE tenant_id = $1 RETURNING tenant_id"
MADE = "UPDATE outbox SET state = 'done' WHERE tenant_id = $1 AND kind = 'whatsapp.create_instance' RETURNING id"
TABLES = """SELECT c.relname AS name FROM pg_class c WHERE c.relkind = 'r' AND c.relrowsecurity AND $1::bigint > 0
AND c.relnamespace = 'public'::regnamespace ORDER BY 1"""


class Gateway:
    """A gateway that only forgets."""

    def __init__(self) -> None:
        self.forgot: list[str] = []

    async def delete(self, name: str) -> None:
        self.forgot.append(name)


async def schedule(desk: Desk, password: str = PASSWORD) -> Any:
    return await desk.client.post(PATH, json={"password": password}, headers=desk.workspace.owner.headers)


async def rows_of(workspace: Workspace) -> dict[str, int]:
    """How many rows each table has of the workspace."""
    counts = {}
    for table in await workspace.rows(TABLES):
        [found] = await workspace.rows(f"SELECT count(*) AS number FROM {table['name']} WHERE tenant_id = $1")
        counts[table["name"]] = found["number"]
    return {name: count for name, count in counts.items() if count}


async def test_it_is_scheduled_once_with_the_password_and_told_of(desk: Desk, ana: Member) -> None:
    owner = desk.workspace.owner
    wrong = await schedule(desk, "not the password")
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "INVALID_PASSWORD")
    assert (await desk.client.get(PATH, headers=owner.headers)).json()["data"]["scheduled"] is False
    assert (await desk.client.post(PATH, json={"password": PASSWORD}, headers=ana.headers)).status_code == 403
    first = (await schedule(desk)).json()["data"]
    again = (await schedule(desk)).json()["data"]
    assert first == again
    assert (first["scheduled"], first["requested_by"]["name"]) == (True, "Lucia")
    desk.forget()
    me = (await desk.client.get("/v1/me", headers=ana.headers)).json()["data"]
    assert me["tenant"]["deletion_scheduled_at"] == first["purge_at"]
    trail = [one["action"] for one in await read_trail(desk.client, desk.workspace)]
    assert trail.count("deletion.scheduled") == 1
    mails = await desk.workspace.rows("SELECT key FROM outbox WHERE tenant_id = $1 AND kind = 'mail.send'")
    assert [mail["key"].partition("/")[0] for mail in mails] == ["deletion_scheduled"]


async def test_from_then_on_it_is_read_and_nothing_is_changed_or_sent(desk: Desk) -> None:
    number = (await desk.open())["id"]
    waiting = await desk.do("POST", f"/{number}/messages", json={"body": "on its way"})
    await schedule(desk)
    desk.forget()
    refused = await desk.call("POST", f"/{number}/messages", json={"body": "too late"})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, "WORKSPACE_DELETION_SCHEDULED")
    assert (await desk.show(number))["id"] == number
    await do_effects(desk.workspace, "inbox.send")
    [message] = [one for one in await desk.thread(number) if one["id"] == waiting["id"]]
    assert message["status"] == "failed"
    assert "about to be deleted" in message["error"]
    await desk.hear_at_once([])
    assert (await desk.open("5511900000077"))["id"] != number


async def test_cancelled_it_goes_on_as_if_nothing_had_been(desk: Desk) -> None:
    number = (await desk.open())["id"]
    await schedule(desk)
    desk.forget()
    answer = await desk.client.delete(PATH, headers=desk.workspace.owner.headers)
    assert (answer.status_code, answer.json()["data"]["scheduled"]) == (200, False)
    desk.forget()
    await desk.do("POST", f"/{number}/messages", json={"body": "Oi"})
    await do_effects(desk.workspace, "workspace.purge")
    await do_effects(desk.workspace, "workspace.destroy")
    assert (await desk.show(number))["id"] == number
    [twice] = [(await schedule(desk)).json()["data"]]
    assert twice["scheduled"] is True


async def test_when_its_day_has_come_everything_is_destroyed_but_the_chain(desk: Desk, other_desk: Desk, client: AsyncClient) -> None:
    for one in (desk, other_desk):
        number = (await one.open(name=CANARY))["id"]
        await one.do("POST", f"/{number}/messages", json={"body": CANARY})
        await one.do("POST", f"/{number}/media-messages", files={"file": ("a.png", PNG)}, data={"caption": CANARY})
        await client.put("/v1/business-hours-config", json=week(), headers=one.workspace.owner.headers)
    neighbour, kernel = await rows_of(other_desk.workspace), desk.workspace.kernel
    await schedule(desk)
    await desk.workspace.rows(COME)
    gateway = Gateway()
    await desk.workspace.rows(MADE)
    assert await do_effects(desk.workspace, "workspace.purge") == 1
    await do_effects(desk.workspace, "whatsapp.delete_instance", handlers=Numbers(gateway, desk.app.state.settings).handlers())  # type: ignore[arg-type]
    assert gateway.forgot == [desk.number.name]
    head = (await verify_chain(kernel.system, desk.workspace.tenant)).proven
    assert await do_effects(desk.workspace, "workspace.destroy") == 1
    assert set(await rows_of(desk.workspace)) == {"event", "log_head"}
    verdict = await verify_chain(kernel.system, desk.workspace.tenant)
    assert (verdict.fault, verdict.proven) == (None, head)
    assert await rows_of(other_desk.workspace) == neighbour
    desk.forget()
    assert (await client.get("/v1/me", headers=desk.workspace.owner.headers)).status_code == 401
    payloads = await desk.workspace.rows("SELECT payload FROM event WHERE tenant_id = $1")
    assert len(payloads) > 5
    assert not any(CANARY.encode() in row["payload"] for row in payloads)
    async with kernel.system.connection() as connection:
        told = await connection.fetchval(
            "SELECT key FROM outbox WHERE tenant_id = 0 AND key = $1", f"deletion_done/{desk.workspace.tenant}"
        )
    assert told is not None


async def test_a_destruction_that_is_interrupted_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.open(name=CANARY)
    await schedule(desk)
    await desk.workspace.rows(COME)
    await do_effects(desk.workspace, "workspace.purge")
    kernel = desk.workspace.kernel
    whole = type(kernel.media).clear

    async def unplugged(*_: Any) -> None:
        raise asyncpg.ConnectionDoesNotExistError

    monkeypatch.setattr(type(kernel.media), "clear", unplugged)
    await do_effects(desk.workspace, "workspace.destroy")
    assert "stream_key" not in await rows_of(desk.workspace)
    assert "tenant" in await rows_of(desk.workspace)
    monkeypatch.setattr(type(kernel.media), "clear", whole)
    await desk.workspace.rows("UPDATE outbox SET due_at = now() WHERE tenant_id = $1 AND kind = 'workspace.destroy' RETURNING id")
    await do_effects(desk.workspace, "workspace.destroy")
    assert set(await rows_of(desk.workspace)) == {"event", "log_head"}


async def test_one_that_is_interrupted_at_its_very_end_goes_on_and_takes_what_came_meanwhile(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.open(name=CANARY)
    await schedule(desk)
    await desk.workspace.rows(COME)
    await do_effects(desk.workspace, "workspace.purge")
    tell, kernel, owner = deletion.tell_of_the_end, desk.workspace.kernel, desk.workspace.owner

    async def unplugged(*_: Any) -> None:
        raise asyncpg.ConnectionDoesNotExistError

    async def late(*told: Any) -> None:
        kernel.trail_keys.clear()
        desk.app.state.kernel.trail_keys.clear()
        answer = await desk.client.post("/v1/auth/login", json={"email": owner.email, "password": "not the password"})
        assert answer.status_code == 401
        assert "stream_key" in await rows_of(desk.workspace)
        await tell(*told)

    monkeypatch.setattr(deletion, "tell_of_the_end", unplugged)
    await do_effects(desk.workspace, "workspace.destroy")
    monkeypatch.setattr(deletion, "tell_of_the_end", late)
    await desk.workspace.rows("UPDATE outbox SET due_at = now() WHERE tenant_id = $1 AND kind = 'workspace.destroy' RETURNING id")
    await do_effects(desk.workspace, "workspace.destroy")
    assert set(await rows_of(desk.workspace)) == {"event", "log_head"}
    assert (await verify_chain(kernel.system, desk.workspace.tenant)).fault is None


def week() -> dict[str, Any]:
    """Business hours with a canary in the reply."""
    days = [{"weekday": day, "open": "09:00", "close": "17:00", "enabled": True} for day in range(7)]
    return {"enabled": True, "message": CANARY, "hours": days}
