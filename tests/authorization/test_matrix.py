"""Every cell of the table: whoever may is answered well, whoever may not is refused, and the refusal is noted."""

import pytest
from httpx import Response
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from plixa.kernel.audit import PLATFORM
from plixa.kernel.auth import Access, Gatekeeper, Principal
from tests.authorization.asking import Question, ask, question
from tests.authorization.conftest import SetStage
from tests.authorization.stage import GARBAGE, OTHER_PLAN, Scene, Stage, set_stage
from tests.authorization.table import ROUTES, TABLE, Cell
from tests.identity.tokens import set_plan

NOTED = "SELECT count(*) FROM event WHERE tenant_id = $1 AND topic = 'audit.recorded'"


@pytest.mark.parametrize("principal", TABLE.principals)
async def test_who_may_do_what(scene: Scene, standing: SetStage, principal: str) -> None:
    wrong = await differences(scene, standing, principal)
    assert not wrong, "\n".join(wrong)


async def test_a_route_that_lets_somebody_else_in_is_found(scene: Scene, standing: SetStage) -> None:
    (handler,) = [handler for handler in handlers(scene.app, "/v1/sectors") if "POST" in handler.http_methods]
    handler.opt["access"] = Access.MEMBER
    try:
        assert [fault.partition(":")[0] for fault in await differences(scene, standing, "agent")] == ["POST /v1/sectors"]
    finally:
        handler.opt["access"] = Access.OWNER


async def differences(scene: Scene, standing: SetStage, principal: str) -> list[str]:
    """Where the application is not as the table. What is done is done on a stage of its own where it changes anything."""
    found = []
    for route in ROUTES:
        cell = route.cells[principal]
        stage = await set_stage(scene, principal) if route.changes and cell == "ok" else await standing(principal)
        asked = await question(stage, route)
        before = await noted(stage)
        answer = await ask(stage, asked)
        if not fits(answer, cell):
            found.append(f"{route.name}: {cell} expected, {answer.status_code} {answer.text[:160]}")
        elif cell == 403 and principal in KNOWN and route.row.may != "public" and (count := await noted(stage) - before) != 1:
            found.append(f"{route.name}: {count} entries tell that it was denied")
    return found


def handlers(app: Litestar, path: str) -> list[HTTPRouteHandler]:
    """What answers on a path."""
    return [handler for route in app.routes if isinstance(route, HTTPRoute) and route.path == path for handler in route.route_handlers]


KNOWN = set(TABLE.principals) - {"anon", "garbage", "removed_member", "token_expired", "token_revoked", "other_plan", "two_factor_pending"}
"""Whose denials are noted."""


def fits(answer: Response, cell: Cell) -> bool:
    """Was it answered as the table says?"""
    return not answer.is_error if cell == "ok" else answer.status_code == cell


async def noted(stage: Stage) -> int:
    """How many entries the caller's trail has."""
    tenant = PLATFORM if stage.principal == "staff" else stage.tenant
    async with stage.kernel.system.connection() as connection:
        return int(await connection.fetchval(NOTED, tenant))


@pytest.mark.parametrize("shape", GARBAGE)
async def test_what_is_no_token_is_refused_without_a_look_at_the_database(scene: Scene, standing: SetStage, shape: str) -> None:
    async def ask_database(_number: int, _digest: bytes) -> Principal | None:
        raise AssertionError("the database was asked")

    stage = await standing("garbage")
    questions = [(route, await question(stage, route)) for route in ROUTES if route.cells["garbage"] == 401]
    kept, scene.app.state.gatekeeper = scene.app.state.gatekeeper, Gatekeeper(ask_database)
    try:
        answers = [(route, await ask(stage, told(asked, shape))) for route, asked in questions]
    finally:
        scene.app.state.gatekeeper = kept
    assert len(answers) > 80
    assert [(route.name, answer.status_code) for route, answer in answers if answer.status_code != 401] == []


def told(asked: Question, shape: str) -> Question:
    """The same with another piece of garbage."""
    return Question(**{name: getattr(asked, name) for name in Question.__struct_fields__} | {"headers": {"Authorization": GARBAGE[shape]}})


async def test_what_the_plan_does_not_include_is_refused_and_nothing_else(scene: Scene) -> None:
    stage = await set_stage(scene, "owner")
    await set_plan(scene.kernel, stage.tenant, OTHER_PLAN)
    wrong = []
    for route in ROUTES:
        if route.cells["owner"] == "ok" and (route.row.plan or not route.changes):
            answer = await ask(stage, await question(stage, route))
            if not fits(answer, 403 if route.row.plan else "ok"):
                wrong.append(f"{route.name}: {route.row.plan or 'no plan'} needed, {answer.status_code} {answer.text[:160]}")
    assert not wrong, "\n".join(wrong)
