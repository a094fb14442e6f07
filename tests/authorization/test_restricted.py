"""A restricted agent and a conversation that is somebody else's: for them there is none, wherever it would show."""

import pytest
from httpx import Response

from plixa.inbox.queries.realtime import render
from plixa.kernel.log import read_log
from tests.authorization.asking import Position, ask, question
from tests.authorization.making import thing
from tests.authorization.stage import Scene, Stage, set_stage
from tests.authorization.table import ROUTES, Route
from tests.support.trail import follow_log

DENIED = "security.permission_denied"
SUB_RESOURCES = [route for route in ROUTES if {"conversation", "message"} & set(route.names)]


@pytest.fixture
async def stage(scene: Scene) -> Stage:
    """Ana may see her own; the one there is, with a file and a label, is Lúcia's."""
    stage = await set_stage(scene, "agent_restricted")
    for name in ("file_message", "labelled", "taken_conversation"):
        await thing(stage, name)
    return stage


async def asked(stage: Stage, route: Route, put: dict[Position, object] | None = None) -> Response:
    """Ana's request."""
    return await ask(stage, await question(stage, route, put))


def route(name: str) -> Route:
    """A row by its name."""
    return next(one for one in ROUTES if one.name == name)


async def test_it_does_not_exist_on_any_path(stage: Stage) -> None:
    wrong, before = [], await read_log(stage.kernel, stage.tenant, 0)
    for one in SUB_RESOURCES:
        answer = await asked(stage, one)
        if answer.status_code != (403 if one.cells["agent_restricted"] == 403 else 404):
            wrong.append(f"{one.name}: {answer.status_code} {answer.text[:200]}")
    assert len(SUB_RESOURCES) > 15
    assert not wrong, "\n".join(wrong)
    after = await read_log(stage.kernel, stage.tenant, before[-1].position)
    assert {getattr(fact.event, "action", fact.event.TOPIC) for fact in after if fact.actor == stage.agent.actor} <= {DENIED}


async def test_it_is_in_no_list(stage: Stage) -> None:
    for name in ("GET /v1/conversations", "GET /v1/conversations/search"):
        for put in ({}, {("query", "q"): stage.canary}, {("query", "assigned_user_id"): stage.workspace.owner.id}):
            assert (await asked(stage, route(name), dict(put))).json()["data"] == []
    counts = (await asked(stage, route("GET /v1/conversations/counts"))).json()["data"]
    assert not any(counts.values()), counts


async def test_nothing_of_it_is_read_anywhere(stage: Stage) -> None:
    said, wrong = f"Hello {stage.canary}", []
    await follow_log(stage.kernel, stage.tenant)
    for one in ROUTES:
        if (
            not one.changes
            and one.cells["agent_restricted"] == "ok"
            and not one.row.endless
            and not set(one.names) & {"conversation", "message"}
        ):
            answer = await asked(stage, one)
            if said in answer.text or f'"id":{await thing(stage, "conversation")},' in answer.text:
                wrong.append(f"{one.name}: {answer.text[:400]}")
    assert not wrong, "\n".join(wrong)


async def test_nothing_is_done_to_it_among_others_or_by_its_phone(stage: Stage) -> None:
    number, label = await thing(stage, "conversation"), await thing(stage, "label")
    for action in ({"action": "close"}, {"action": "assign", "assignee_id": stage.agent.id}, {"action": "remove_label", "label_id": label}):
        put = {("body", name): value for name, value in (action | {"ids": [number]}).items()}
        answer = await asked(stage, route("POST /v1/conversations/bulk"), put)
        assert (answer.status_code, answer.json()["data"]) == (200, {"affected": 0}), answer.text
    phone = await thing(stage, "phone")
    answer = await asked(stage, route("POST /v1/messages/send"), {("body", "phone"): phone})
    assert answer.status_code == 404, answer.text


async def test_nothing_of_it_is_told_live(stage: Stage) -> None:
    caller = await stage.scene.app.state.gatekeeper.principal(stage.headers["Authorization"])
    told = await render(stage.kernel, caller, await read_log(stage.kernel, stage.tenant, 0))
    of_it = [change for change in told if change.event.startswith(("Conversation", "Message"))]
    assert {change.event for change in of_it} == {"ConversationHidden"}
    assert stage.canary not in repr(of_it)
