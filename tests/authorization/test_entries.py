"""Whatever changes something leaves exactly one entry in the right log, and nothing secret in it; whatever does not leaves none."""

import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
from httpx import Response

from plixa.kernel.audit import PLATFORM, AuditEntry
from plixa.kernel.event_store import Recorded
from plixa.kernel.log import read_log
from tests.authorization.asking import Question, ask, question
from tests.authorization.conftest import SetStage
from tests.authorization.stage import Scene, Stage, set_stage
from tests.authorization.table import AREAS, ROUTES, Route

HEADS = "SELECT tenant_id, position FROM log_head"
SECRETS = {
    *("password", "password_confirmation", "current_password", "code", "token", "secret", "challenge_token", "recovery_codes"),
    *("accept_url", "otpauth_url", "qr_code", "email"),
}
"""Fields of bodies and answers whose values no entry may hold."""
WORDS = {"body", "caption", "notes", "contact_name"}
"""And of what is said in conversations, and about them."""
TOLD = {"X-Request-Id": "deed-1", "User-Agent": "a browser"}

Heads = dict[int, int]


async def heads(scene: Scene) -> Heads:
    """Where every tenant's log ends."""
    async with scene.kernel.system.connection() as connection:
        return {row["tenant_id"]: row["position"] for row in await connection.fetch(HEADS)}


async def fresh(scene: Scene, since: Heads) -> list[Recorded]:
    """The entries of all trails that have come since."""
    found = []
    for tenant, position in (await heads(scene)).items():
        if position > since.get(tenant, 0):
            found += [fact for fact in await read_log(scene.kernel, tenant, since.get(tenant, 0)) if isinstance(fact.event, AuditEntry)]
    return found


@pytest.mark.parametrize("area", AREAS)
async def test_a_change_is_one_entry(scene: Scene, standing: SetStage, area: str) -> None:
    wrong = []
    for route in ROUTES:
        if route.area == area:
            stage = await set_stage(scene, route.does) if route.changes else await standing(route.does)
            wrong += [f"{route.name}: {fault}" async for fault in faults(stage, route)]
    assert not wrong, "\n".join(wrong)


async def faults(stage: Stage, route: Route) -> AsyncIterator[str]:
    """What is wrong with what a route leaves: refused, done, and asked for once more under the same key."""
    asked = await question(stage, route)
    async for fault in faults_of_refusals(stage, asked):
        yield fault
    key = {"Idempotency-Key": secrets.token_hex(8)} if route.method == "POST" else {}
    since = await heads(stage.scene)
    answer = await ask(stage, asked, **TOLD, **key)
    if answer.status_code != route.cells[route.does] and (answer.is_error or route.cells[route.does] != "ok"):
        yield f"{answer.status_code} {answer.text}"
    for fault in judged(stage, route, asked, answer, await fresh(stage.scene, since)):
        yield fault
    if key and route.cells["anon"] != "ok":
        since = await heads(stage.scene)
        again = await ask(stage, asked, **TOLD, **key)
        if again.status_code != 401 and (again.status_code, again.content) != (answer.status_code, answer.content):
            yield f"answered {again.status_code} {again.text} the second time"
        for fact in await fresh(stage.scene, since):
            yield f"repeated under its key it left {fact.event}"


async def faults_of_refusals(stage: Stage, asked: Question) -> AsyncIterator[str]:
    """What is wrong with how malformed requests are met."""
    since = await heads(stage.scene)
    for spoilt in malformed(asked):
        answer = await ask(stage, spoilt)
        if answer.status_code != 422:
            yield f"{answer.status_code} for the body {spoilt.json}"
    for fact in await fresh(stage.scene, since):
        yield f"a malformed request left {fact.event}"


def malformed(asked: Question) -> Iterator[Question]:
    """The request with a body that is none, and with every field of it of a wrong kind."""
    if isinstance(asked.json, dict) and not asked.path.startswith("/v1/webhooks"):
        for body in ("nonsense", *({**asked.json, name: {"a": [1]}} for name in asked.json)):
            yield msgspec.structs.replace(asked, json=body)


def judged(stage: Stage, route: Route, asked: Question, answer: Response, found: list[Recorded]) -> Iterator[str]:
    """What is wrong with the entries of a request that was done."""
    wanted = 0 if route.row.entry in (None, "none") else 1
    if len(found) != wanted:
        yield f"{len(found)} entries instead of {wanted}: {[fact.event for fact in found]}"
        return
    for fact in found:
        entry = fact.event
        assert isinstance(entry, AuditEntry)
        facts = (entry.action, fact.tenant, fact.request_id, entry.address, entry.agent)
        expected = (route.row.entry, tenant_of(stage, route, answer), "deed-1", "127.0.0.1", "a browser")
        if facts != expected:
            yield f"the entry says {facts} instead of {expected}"
        if not names(stage, fact):
            yield f"the entry names {fact.actor}"
        text = msgspec.json.encode(entry).decode()
        kept = SECRETS | WORDS if route.area in ("conversations", "messages") else SECRETS
        leaked = [secret for part in (asked.json, asked.form, shown(answer)) for secret in texts(part, kept) if secret in text]
        if leaked:
            yield f"the entry holds {leaked}: {text}"


def tenant_of(stage: Stage, route: Route, answer: Response) -> int:
    """Whose log the entry belongs in."""
    if route.row.log == "new":
        return int(answer.json()["data"]["tenant"]["id"])
    return PLATFORM if route.row.log == "platform" else stage.tenant


def names(stage: Stage, fact: Recorded) -> bool:
    """Does it say who did it, and on whose behalf?"""
    actor, owner = fact.actor, stage.workspace.owner.id
    if stage.principal == "anon":
        return actor.type in ("member", "staff", "system") and actor.impersonated_by is None
    if stage.principal == "staff":
        return (actor.type, actor.id, actor.name, actor.impersonated_by) == ("staff", stage.staff, "Sam", None)
    behind = actor.impersonated_by.id if actor.impersonated_by else 0
    return (actor.type, actor.id, behind) == ("member", owner, stage.staff)


def shown(answer: Response) -> Any:
    """An answer's data."""
    return answer.json() if answer.content and answer.headers["content-type"].startswith("application/json") else None


def texts(value: Any, kept: set[str], name: str = "") -> Iterator[str]:
    """Every text of a body that stands in a field that is to be kept."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from texts(part, kept, key)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part, kept, name)
    elif isinstance(value, str) and name in kept and value:
        yield value


async def test_whoever_impersonates_is_named_beside_the_member(scene: Scene) -> None:
    wrong = []
    for route in ROUTES:
        if route.changes and route.cells["impersonation"] == "ok" and route.row.may not in ("public", "staff"):
            stage = await set_stage(scene, "impersonation")
            asked = await question(stage, route)
            since = await heads(scene)
            answer = await ask(stage, asked, **TOLD)
            wrong += [f"{route.name}: {fault}" for fault in judged(stage, route, asked, answer, await fresh(scene, since))]
    assert not wrong, "\n".join(wrong)


async def test_an_entry_that_says_too_much_too_often_or_of_somebody_else_is_found(scene: Scene) -> None:
    stage = await set_stage(scene, "owner")
    route = next(route for route in ROUTES if route.name == "POST /v1/team/invitations")
    asked = await question(stage, route)
    since = await heads(scene)
    answer = await ask(stage, asked, **TOLD)
    (fact,) = await fresh(scene, since)
    assert isinstance(fact.event, AuditEntry)
    assert list(judged(stage, route, asked, answer, [fact])) == []
    told = msgspec.structs.replace(fact.event, after={"link": answer.json()["data"]["accept_url"]})
    wrong = [
        [],
        [fact, fact],
        [msgspec.structs.replace(fact, event=told)],
        [msgspec.structs.replace(fact, tenant=PLATFORM)],
        [msgspec.structs.replace(fact, actor=stage.agent.actor)],
    ]
    assert all(list(judged(stage, route, asked, answer, found)) for found in wrong)
