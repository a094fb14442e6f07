"""The Messages API: an integrator's program writes to a phone number and learns what became of it."""

import asyncio
from typing import Any

import pytest
from httpx import Response

from tests.inbox.desk import Desk, stamp
from tests.support.world import Member, Workspace
from tests.whatsapp import webhooks

SEND, TOKENS = "/v1/messages/send", "/v1/api-tokens"
PLAN = "UPDATE tenant SET plan = $2 WHERE tenant_id = $1 RETURNING plan"
PHONE = "5511987651234"


@pytest.fixture
async def headers(desk: Desk) -> dict[str, str]:
    """What a program of Lúcia's sends with its requests; it may write and read."""
    await desk.workspace.rows(PLAN, "business")
    desk.forget()
    return await token(desk, "read", "write")


async def token(desk: Desk, *abilities: str) -> dict[str, str]:
    answer = await desk.client.post(TOKENS, json={"name": "CRM", "abilities": list(abilities)}, headers=desk.workspace.owner.headers)
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['data']['plain_text_token']}"}


async def send(desk: Desk, headers: dict[str, str], **changes: Any) -> Response:
    return await desk.client.post(SEND, json={"phone": f"+{PHONE}", "body": "Seu pedido saiu"} | changes, headers=headers)


async def test_it_begins_a_conversation_that_the_panel_shows_like_any_other(desk: Desk, headers: dict[str, str]) -> None:
    answer = await send(desk, headers)
    assert answer.status_code == 201, answer.text
    made = answer.json()["data"]
    shown = await desk.only()
    assert (shown["id"], shown["contact"]["id"], shown["contact"]["phone"]) == (made["conversation_id"], made["contact_id"], PHONE)
    [message] = await desk.thread(shown["id"])
    assert (message["id"], message["body"], message["direction"]) == (made["message_id"], "Seu pedido saiu", "out")
    assert (message["author"]["type"], message["author"]["name"]) == ("api", "CRM")
    state = await desk.client.get(f"/v1/messages/{made['message_id']}", headers=headers)
    assert state.json()["data"] == {
        "id": made["message_id"],
        "conversation_id": made["conversation_id"],
        "status": "queued",
        "sent_at": None,
        "delivered_at": None,
        "read_at": None,
        "error": None,
    }
    waiting = await desk.workspace.rows("SELECT key FROM outbox WHERE tenant_id = $1 AND kind = 'inbox.send'")
    assert [row["key"] for row in waiting] == [str(made["message_id"])]


@pytest.mark.parametrize("phone", ["551187651234", "5511987651234"])
async def test_the_customer_is_found_by_either_form_of_their_number_and_reopened(desk: Desk, headers: dict[str, str], phone: str) -> None:
    number = (await desk.open(PHONE))["id"]
    await desk.do("POST", f"/{number}/close")
    made = (await send(desk, headers, phone=phone)).json()["data"]
    assert made["conversation_id"] == number
    assert (await desk.show(number))["status"] == "open"


async def test_the_same_key_sends_once(desk: Desk, headers: dict[str, str]) -> None:
    keyed = headers | {"Idempotency-Key": "order-17"}
    answers = [await send(desk, keyed) for _ in range(3)]
    assert len({answer.text for answer in answers}) == 1
    assert len(await desk.thread(answers[0].json()["data"]["conversation_id"])) == 1
    other = await send(desk, keyed, body="Another")
    assert (other.status_code, other.json()["errors"][0]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_twenty_at_once_to_somebody_new_write_into_one_conversation(desk: Desk, headers: dict[str, str]) -> None:
    answers = await asyncio.gather(*(send(desk, headers, body=f"Part {part}") for part in range(20)))
    assert {answer.status_code for answer in answers} <= {201, 503}
    made = [answer.json()["data"] for answer in answers if answer.status_code == 201]
    assert len({one["conversation_id"] for one in made}) == 1
    assert len(await desk.thread(made[0]["conversation_id"])) == len(made)
    await desk.hear(webhooks.text(desk.chat(PHONE), stamp()))
    assert (await desk.only())["unread_count"] == 1


async def test_without_a_connected_number_nothing_is_made(desk: Desk, headers: dict[str, str]) -> None:
    await desk.workspace.rows("UPDATE phone_instance SET status = 'disconnected' WHERE tenant_id = $1 RETURNING id")
    answer = await send(desk, headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "PHONE_NOT_CONNECTED")
    assert await desk.all(status="all") == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"phone": "12345"}, "phone"),
        ({"phone": "٥٥١١٩٨٧٦٥٤٣٢"}, "phone"),
        ({"phone": "+55 11 98765"}, "phone"),
        ({"body": " "}, "body"),
        ({"body": "x" * 4097}, "body"),
    ],
)
async def test_what_makes_no_sense_is_refused(desk: Desk, headers: dict[str, str], change: dict[str, str], field: str) -> None:
    answer = await send(desk, headers, **change)
    assert (answer.status_code, list(answer.json()["errors"][0]["details"])) == (422, [field])


async def test_a_token_needs_the_ability_and_the_plan(desk: Desk, headers: dict[str, str], other_tenant: Workspace, ana: Member) -> None:
    reader = await token(desk, "read")
    refused = await send(desk, reader)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, "TOKEN_ABILITY_REQUIRED")
    made = (await send(desk, headers)).json()["data"]
    writer = await token(desk, "write")
    assert (await desk.client.get(f"/v1/messages/{made['message_id']}", headers=writer)).status_code == 403
    assert (await desk.client.get(f"/v1/messages/{made['message_id']}", headers=other_tenant.owner.headers)).status_code == 404
    await desk.workspace.rows("UPDATE tenant SET agent_restricted = true WHERE tenant_id = $1 RETURNING 1")
    await desk.do("PATCH", f"/{made['conversation_id']}", json={"assigned_user_id": desk.workspace.owner.id})
    desk.forget()
    assert (await desk.client.get(f"/v1/messages/{made['message_id']}", headers=ana.headers)).status_code == 404
    await desk.workspace.rows(PLAN, "starter")
    desk.forget()
    assert (await send(desk, headers)).status_code == 401
