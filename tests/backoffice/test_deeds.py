"""Whatever staff do is one entry that says what was before and what is now."""

from typing import Any

from httpx import AsyncClient

from plixa.kernel.event_store import Actor, Person
from tests.backoffice.crew import Staff, bearer
from tests.identity.people import entries
from tests.support.world import Workspace

NONE = {"plan_key": None, "expires_at": None}
FOR_LIFE = {"plan_key": "business", "expires_at": None}


async def test_every_deed_tells_both_sides(bruna: Staff, lucia_studios: Workspace, client: AsyncClient) -> None:
    kernel, tenant, owner = lucia_studios.kernel, lucia_studios.tenant, lucia_studios.owner
    known = len(await entries(kernel, tenant))
    active, suspended = {"status": "active", "reason": None}, {"status": "suspended", "reason": "Spam"}
    deeds: list[tuple[str, str, Any, str, Any, Any]] = [
        ("POST", "/suspend", {"reason": "Spam"}, "tenant.suspended", active, suspended),
        ("POST", "/suspend", {"reason": "Again"}, "", None, None),
        ("POST", "/reactivate", None, "tenant.reactivated", suspended, active),
        ("POST", "/reactivate", None, "", None, None),
        ("POST", "/license", {"plan_key": "business"}, "license.granted", NONE, FOR_LIFE),
        ("DELETE", "/license", None, "license.revoked", FOR_LIFE, NONE),
        ("DELETE", "/license", None, "", None, None),
    ]
    for method, path, body, *_ in deeds:
        await bruna.do(method, f"/tenants/{tenant}{path}", json=body)
    told = [(fact.actor, entry.action, entry.before, entry.after) for fact, entry in (await entries(kernel, tenant))[known:]]
    me = Actor("staff", bruna.id, "Bruna")
    assert told == [(me, action, before, after) for *_, action, before, after in deeds if action]

    token = (await bruna.impersonate(lucia_studios))["token"]
    changed = await client.patch("/v1/me", json={"name": "Lu"}, headers=bearer(token))
    assert changed.status_code == 200, changed.text
    left = await client.post("/v1/impersonation/leave", headers=bearer(token))
    assert left.status_code == 204, left.text
    _, step, last = (await entries(kernel, tenant))[-3:]
    by = Person(bruna.id, "Bruna")
    assert (step[0].actor.impersonated_by, step[1].before, step[1].after) == (by, {"name": owner.name}, {"name": "Lu"})
    assert (last[0].actor.impersonated_by, last[1].action) == (by, "impersonation.left")
