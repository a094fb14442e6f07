"""Sixty-four at once on one conversation: nothing that was answered with success is lost, nothing is there twice."""

import asyncio
import secrets
from collections import Counter
from typing import Any

from httpx import Response

from tests.inbox.desk import Desk, stamp
from tests.whatsapp import webhooks

WRITERS = 64
EVENTS = """SELECT version, position, request_id, topic FROM event
WHERE tenant_id = $1 AND number = $2 AND topic <> 'audit.recorded' ORDER BY version"""
HEAD = "SELECT position FROM log_head WHERE tenant_id = $1"


async def test_no_update_is_lost(desk: Desk) -> None:
    number = (await desk.open())["id"]
    echoes = [stamp(from_me=True) for _ in range(12)]
    await desk.hear(*(webhooks.echo(desk.chat(), echo, "Oi") for echo in echoes))
    before = len(await desk.events(number))
    done: Counter[str] = Counter()
    for turn in range(3):
        requests = {secrets.token_hex(8): write(desk, number, place, echoes, turn) for place in range(WRITERS)}
        answers = await asyncio.gather(*(send(desk, told, request) for request, told in requests.items()))
        for (kind, *_), request, answer in zip(requests.values(), requests, answers, strict=True):
            assert answer.status_code in (200, 201, 409, 503), answer.text
            if answer.status_code < 300:
                done[kind] += 1
                await expect_event(desk, number, request, kind)
    rows = await desk.workspace.rows(EVENTS.replace("$2", str(number)))
    assert [row["version"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) - before >= sum(done.values())
    assert done.total() > WRITERS
    thread = await desk.thread(number)
    kinds = Counter(message["author"]["type"] if message["type"] != "note" else "note" for message in thread)
    assert (kinds["user"], kinds["note"], kinds["customer"]) == (done["reply"], done["note"], done["inbound"] + 1)
    positions = [fact.position for fact in await desk.log()]
    assert positions == list(range(1, (await desk.workspace.rows(HEAD))[0]["position"] + 1))
    assert await desk.is_sound()
    unread = (await desk.show(number))["unread_count"]
    assert unread == done["inbound"] + 1


async def expect_event(desk: Desk, number: int, request: str, kind: str) -> None:
    """What was answered with success stands in the log, once."""
    happened = {"reply": "message.queued", "note": "note.added", "notes": "conversation.notes_changed"}
    happened |= {"inbound": "message.received", "ack": "message.acknowledged"}
    found = await desk.workspace.rows(f"SELECT topic FROM event WHERE tenant_id = $1 AND number = {number} AND request_id = '{request}'")
    assert [row["topic"] for row in found].count(happened[kind]) == 1, (kind, found)


def write(desk: Desk, number: int, place: int, echoes: list[webhooks.Stamp], turn: int) -> tuple[str, str, Any]:
    """What one of the sixty-four does: kind, path, body."""
    word = secrets.token_hex(6)
    match place % 5:
        case 0:
            return "reply", f"/{number}/messages", {"body": word}
        case 1:
            return "note", f"/{number}/messages", {"body": word, "type": "note"}
        case 2:
            return "notes", f"/{number}", {"notes": word}
        case 3 if place // 5 < len(echoes):
            status = ("SERVER_ACK", "DELIVERY_ACK", "READ")[turn]
            return "ack", "", webhooks.ack(desk.chat(), echoes[place // 5], status)
    return "inbound", "", webhooks.text(desk.chat(), stamp(), word)


async def send(desk: Desk, told: tuple[str, str, Any], request: str) -> Response:
    """One of the sixty-four, under a request id of its own."""
    kind, path, body = told
    if not path:
        headers = desk.number.headers | {"X-Request-Id": request}
        return await desk.client.post(desk.number.path, json=body, headers=headers)
    return await desk.call("PATCH" if kind == "notes" else "POST", path, json=body, headers={"X-Request-Id": request})
