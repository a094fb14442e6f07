"""A request repeated under one Idempotency-Key has one effect and one answer."""

import asyncio
import secrets
from typing import Any

from tests.inbox.desk import Desk
from tests.inbox.test_commands import PNG, code
from tests.support.world import Member


def keyed() -> dict[str, Any]:
    """Headers with a key nobody had."""
    return {"headers": {"Idempotency-Key": secrets.token_hex(8)}}


async def test_a_replay_is_the_same_answer_byte_by_byte(desk: Desk) -> None:
    number = (await desk.open())["id"]
    requests: list[tuple[str, dict[str, Any]]] = [
        (f"/{number}/messages", {"json": {"body": "Oi"}}),
        (f"/{number}/messages", {"json": {"body": "Oi", "type": "note"}}),
        (f"/{number}/close", {}),
        (f"/{number}/snooze", {"json": {"until": None}}),
        ("/bulk", {"json": {"action": "reopen", "ids": [number]}}),
        (f"/{number}/media-messages", {"files": {"file": ("a.png", PNG)}, "data": {"caption": "Oi"}}),
    ]
    for path, body in requests:
        key = keyed()
        first = await desk.call("POST", path, **key, **body)
        events = await desk.events(number)
        again = await desk.call("POST", path, **key, **body)
        assert first.status_code in (200, 201), first.text
        assert (again.status_code, again.content) == (first.status_code, first.content), path
        assert await desk.events(number) == events


async def test_another_request_under_the_key_is_refused(desk: Desk) -> None:
    number, other, key = (await desk.open())["id"], (await desk.open("5511900000003"))["id"], keyed()
    await desk.do("POST", f"/{number}/messages", json={"body": "Oi"}, **key)
    for path, body in ((f"/{number}/messages", {"body": "Olá"}), (f"/{other}/messages", {"body": "Oi"}), (f"/{number}/close", None)):
        answer = await desk.call("POST", path, json=body, **key)
        assert (answer.status_code, code(answer)) == (422, "IDEMPOTENCY_KEY_REUSED")
    changed: dict[str, Any] = {"files": {"file": ("a.png", PNG + b"x")}}
    await desk.do("POST", f"/{number}/media-messages", files={"file": ("a.png", PNG)}, **(key := keyed()))
    assert code(await desk.call("POST", f"/{number}/media-messages", **changed, **key)) == "IDEMPOTENCY_KEY_REUSED"


async def test_twins_at_once_have_one_effect(desk: Desk) -> None:
    number = (await desk.open())["id"]
    for turn in range(3):
        key = keyed()
        answers = await asyncio.gather(*(desk.call("POST", f"/{number}/messages", json={"body": f"#{turn}"}, **key) for _ in range(8)))
        done = {answer.content for answer in answers if answer.status_code == 201}
        assert len(done) == 1
        assert {code(answer) for answer in answers if answer.status_code != 201} <= {"IDEMPOTENCY_KEY_IN_USE"}
    bodies = [message["body"] for message in await desk.thread(number) if message["direction"] == "out"]
    assert bodies == ["#0", "#1", "#2"]


async def test_what_was_refused_is_not_kept(desk: Desk) -> None:
    number, key = (await desk.open())["id"], keyed()
    assert (await desk.call("POST", f"/{number}/messages", json={"body": " "}, **key)).status_code == 422
    assert (await desk.call("POST", f"/{number}/messages", json={"body": "Oi"}, **key)).status_code == 201


async def test_everybody_has_keys_of_their_own(desk: Desk, other_desk: Desk, ana: Member) -> None:
    number, foreign, key = (await desk.open())["id"], (await other_desk.open())["id"], keyed()
    mine = await desk.do("POST", f"/{number}/messages", json={"body": "Oi"}, **key)
    hers = await desk.do("POST", f"/{number}/messages", ana, json={"body": "Oi"}, **key)
    theirs = await other_desk.do("POST", f"/{foreign}/messages", json={"body": "Oi"}, **key)
    assert len({mine["id"], hers["id"], theirs["id"]}) == 3


async def test_a_key_that_is_none_is_refused(desk: Desk) -> None:
    number = (await desk.open())["id"]
    for key in ("", "x" * 256, "a\tb"):
        answer = await desk.call("POST", f"/{number}/close", headers={"Idempotency-Key": key})
        assert answer.status_code == 422, key
