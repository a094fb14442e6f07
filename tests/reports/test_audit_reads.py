"""The audit trail as owners read it: whole, filtered, paged, as a file, and provable."""

import csv
import io
from typing import Any

from httpx import AsyncClient

from plixa.kernel.audit import record
from plixa.kernel.event_store import stream_id
from plixa.kernel.settings import Settings
from plixa.kernel.uow import perform
from tests.inbox.desk import Desk
from tests.support.trail import follow_log, read_trail
from tests.support.world import PASSWORD, Member, Workspace

HASH = "SELECT encode(hash, 'hex') AS hash FROM event WHERE tenant_id = $1 AND position = $2"


async def test_a_deed_says_who_did_what_from_where_and_what_is_different(desk: Desk, ana: Member) -> None:
    number = (await desk.open())["id"]
    told = {"X-Request-Id": "deed-1", "User-Agent": "a browser"}
    await desk.call("PATCH", f"/{number}", ana, json={"assigned_user_id": ana.id}, headers=told)
    newest = (await read_trail(desk.client, desk.workspace))[0]
    assert newest["actor"] == {"type": "member", "id": ana.id, "name": "Ana"}
    assert newest["on_behalf_of"] is None
    assert (newest["action"], newest["result"]) == ("conversation.assigned", "done")
    assert newest["subject"] == {"type": "conversation", "id": number}
    assert (newest["before"], newest["after"]) == ({"assigned_user_id": None}, {"assigned_user_id": ana.id})
    assert (newest["ip"], newest["user_agent"], newest["request_id"]) == ("127.0.0.1", "a browser", "deed-1")
    assert newest["stream"] == {"id": str(stream_id("conversation", number)), "href": f"/v1/conversations/{number}/events"}
    rows = [(await desk.workspace.rows(HASH, newest["id"] - back))[0]["hash"] for back in (0, 1)]
    assert newest["proof"] == {"position": newest["id"], "hash": rows[0], "previous_hash": rows[1]}
    assert await desk.is_sound()


async def test_every_change_leaves_one_entry_and_no_change_none(desk: Desk) -> None:
    number = (await desk.open())["id"]
    before = len(await read_trail(desk.client, desk.workspace))
    for path, body in (("close", None), ("close", None), ("reopen", None), ("snooze", {"until": "2026-12-24T10:00:00Z"}), ("read", None)):
        await desk.do("POST", f"/{number}/{path}", json=body) if body else await desk.do("POST", f"/{number}/{path}")
    trail = (await read_trail(desk.client, desk.workspace))[:-before]
    assert [one["action"] for one in trail] == [
        "conversation.read",
        "conversation.snoozed",
        "conversation.reopened",
        "conversation.closed",
    ]


async def test_what_is_done_to_many_is_one_entry_that_names_them_all(desk: Desk) -> None:
    numbers = [(await desk.open(f"551198765000{place}"))["id"] for place in range(3)]
    before = len(await read_trail(desk.client, desk.workspace))
    await desk.do("POST", "/bulk", json={"action": "close", "ids": numbers})
    trail = await read_trail(desk.client, desk.workspace)
    assert len(trail) == before + 1
    named = {trail[0]["subject"]["id"], *trail[0]["after"]["others"]}
    assert named == set(numbers)


async def test_no_words_of_a_message_are_in_it_and_it_outlives_the_conversation(desk: Desk) -> None:
    number = (await desk.open(name="a secret name"))["id"]
    await desk.do("POST", f"/{number}/messages", json={"body": "words of a secret"})
    await desk.do("PATCH", f"/{number}", json={"notes": "a secret note", "contact_name": "another secret"})
    await desk.do("DELETE", f"/{number}")
    trail = await read_trail(desk.client, desk.workspace, subject="conversation", subject_id=number)
    assert [one["action"] for one in trail] == ["conversation.deleted", "conversation.renamed", "message.queued"]
    assert "secret" not in repr(trail)
    assert await desk.is_sound()


async def test_filters_and_pages(desk: Desk, ana: Member) -> None:
    number = (await desk.open())["id"]
    for member in (ana, desk.workspace.owner):
        await desk.do("POST", f"/{number}/close", member)
        await desk.do("POST", f"/{number}/reopen", member)
    whole = await read_trail(desk.client, desk.workspace)

    async def found(**query: Any) -> list[int]:
        return [one["id"] for one in await read_trail(desk.client, desk.workspace, **query)]

    assert await found(user_id=ana.id) == [one["id"] for one in whole if one["actor"]["id"] == ana.id]
    assert await found(action="conversation.closed") == [one["id"] for one in whole if one["action"] == "conversation.closed"]
    assert await found(subject="conversation", subject_id=number + 1) == []
    assert await found(**{"from": whole[1]["at"]}) == [one["id"] for one in whole if one["at"] >= whole[1]["at"]]
    assert await found(to=whole[1]["at"]) == [one["id"] for one in whole if one["at"] < whole[1]["at"]]
    pages, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        answer = (await desk.client.get("/v1/audit-logs", params=query, headers=desk.workspace.owner.headers)).json()
        pages += answer["data"]
        cursor = answer["meta"]["next_cursor"]
        if cursor is None:
            break
    assert pages == whole


async def test_only_the_owner_reads_it_and_only_their_own(
    client: AsyncClient, lucia_studios: Workspace, other_tenant: Workspace, ana: Member
) -> None:
    await follow_log(other_tenant.kernel, other_tenant.tenant)
    denied = await client.get("/v1/audit-logs", headers=ana.headers)
    assert denied.status_code == 403
    trail = await read_trail(client, lucia_studios)
    assert {one["tenant_id"] for one in trail} == {lucia_studios.tenant}
    assert [one["action"] for one in trail] == ["security.permission_denied", "tenant.registered"]
    assert (trail[0]["result"], trail[0]["actor"]["name"]) == ("refused", "Ana")
    assert trail[0]["after"] == {"method": "GET", "route": "/v1/audit-logs", "code": "FORBIDDEN"}


async def test_a_failed_sign_in_is_a_security_event(client: AsyncClient, lucia_studios: Workspace, lucia: Member) -> None:
    await client.post("/v1/auth/login", json={"email": lucia.email, "password": f"{PASSWORD}?"})
    newest = (await read_trail(client, lucia_studios))[0]
    assert (newest["action"], newest["result"], newest["subject"]) == (
        "member.sign_in_failed",
        "refused",
        {"type": "member", "id": lucia.id},
    )
    assert PASSWORD not in repr(newest)


async def test_as_a_file_no_cell_is_a_formula_and_the_export_is_an_entry(client: AsyncClient, lucia_studios: Workspace) -> None:
    uow = lucia_studios.unit()
    await perform(uow, lambda: record(uow, "label.renamed", ("label", 1), {"name": "a"}, {"name": "b"}))
    uow.actor = lucia_studios.owner.actor
    uow.close()
    await follow_log(lucia_studios.kernel, lucia_studios.tenant)
    answer = await client.get("/v1/audit-logs/export", headers=lucia_studios.owner.headers | {"User-Agent": "=HYPERLINK(1)"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    await follow_log(lucia_studios.kernel, lucia_studios.tenant)
    again = await client.get("/v1/audit-logs/export", headers=lucia_studios.owner.headers)
    header, *rows = csv.reader(io.StringIO(again.text))
    told = [dict(zip(header, row, strict=True)) for row in rows]
    assert [one["action"] for one in told] == ["audit.exported", "label.renamed", "tenant.registered"]
    assert told[0]["user_agent"] == "'=HYPERLINK(1)"
    assert told[1]["before"] == '{"name":"a"}'


async def test_what_was_refused_is_shown_as_that(client: AsyncClient, lucia: Member, lucia_studios: Workspace) -> None:
    await client.post("/v1/auth/login", json={"email": lucia.email, "password": "not the password"})
    await client.post("/v1/me/2fa/setup", json={"password": "not the password"}, headers=lucia.headers)
    await client.get("/v1/admin/me", headers=lucia.headers)
    trail = await read_trail(client, lucia_studios)
    assert [(one["action"], one["result"]) for one in trail[:3]] == [
        ("security.permission_denied", "refused"),
        ("security.password_refused", "refused"),
        ("member.sign_in_failed", "refused"),
    ]


async def test_times_of_the_workspace_hold_no_connection_behind_the_answer(client: AsyncClient, lucia: Member, settings: Settings) -> None:
    for path, status in (("/export?from=2026-01-01T00:00:00", 200), ("?from=2026-01-01T00:00:00&limit=none", 422)):
        for _ in range(settings.pool_size + 1):
            assert (await client.get(f"/v1/audit-logs{path}", headers=lucia.headers)).status_code == status
