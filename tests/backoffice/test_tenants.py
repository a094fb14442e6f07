"""Every workspace as staff see it, and licences."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient

from plixa.identity.commands.sessions import Entrance
from plixa.kernel.settings import Settings
from tests.backoffice.crew import Staff, codes
from tests.identity.people import entries, value
from tests.support.numbers import Number
from tests.support.trail import follow_log
from tests.support.world import Member, Workspace, register_workspace

LICENCE = "UPDATE tenant SET license_expires_at = now() + make_interval(secs => $2) WHERE tenant_id = $1"
STATE = "SELECT plan, license_granted_at, license_expires_at FROM tenant WHERE tenant_id = $1"
FUTURE = "UPDATE tenant SET purge_at = now() + interval '30 days', deletion_requested_at = now() WHERE tenant_id = $1"
INVITED = """INSERT INTO invitation (tenant_id, email, role, token_hash, sealed_token, invited_by_name, created_at, expires_at)
VALUES ($1, 'eva@example.com', 'agent', $2, '', 'Lucia', now(), now() + interval '7 days')"""
HELP = {"subject": "Help", "body": "Nothing works"}
CREATED = "UPDATE tenant SET created_at = $2 WHERE tenant_id = $1"


async def ids(staff: Staff, **query: Any) -> list[int]:
    """The workspaces a list shows, page by page."""
    found: list[int] = []
    query = {"limit": 2, **query}
    while True:
        answer = (await staff.call("GET", "/tenants", params=query)).json()
        found += [one["id"] for one in answer["data"]]
        query["cursor"] = answer["meta"]["next_cursor"]
        if query["cursor"] is None:
            return found


async def test_the_list_shows_plan_usage_and_state(
    bruna: Staff, lucia_studios: Workspace, ana: Member, connected_number: Number, settings: Settings
) -> None:
    await follow_log(lucia_studios.kernel, lucia_studios.tenant)
    (row,) = await bruna.do("GET", "/tenants", params={"q": lucia_studios.owner.email})
    assert row | {"created_at": 0, "last_activity_at": 0, "slug": 0} == {
        "id": lucia_studios.tenant,
        "name": "Lúcia Studios",
        "slug": 0,
        "status": "active",
        "plan": settings.default_plan,
        "plan_source": "default",
        "country_code": "BR",
        "members_count": 2,
        "whatsapp_numbers_count": 1,
        "messages_30d": 0,
        "storage_bytes": 0,
        "last_activity_at": 0,
        "created_at": 0,
    }
    activity = datetime.fromisoformat(row["last_activity_at"])
    assert timedelta() <= datetime.now(UTC) - activity < timedelta(minutes=1)
    assert activity >= datetime.fromisoformat(row["created_at"])


async def test_the_list_is_searched_filtered_and_paged(bruna: Staff, entrance: Entrance) -> None:
    word = f"Padaria{datetime.now(UTC).timestamp():.0f}"
    made = [await register_workspace(entrance, f"{word} São João {place}", "Rui") for place in range(5)]
    active, suspended, licensed, expired, leaving = (one.tenant for one in made)
    for one in made:
        await value(entrance.kernel, CREATED, one.tenant, datetime(2020, 5, 1, tzinfo=UTC))
    await bruna.do("POST", f"/tenants/{suspended}/suspend")
    for tenant in (licensed, expired):
        await bruna.do("POST", f"/tenants/{tenant}/license", json={"plan_key": "business", "expires_in_months": 1})
    await value(entrance.kernel, LICENCE, expired, 0.0)
    await value(entrance.kernel, FUTURE, leaving)

    every = [leaving, expired, licensed, suspended, active]
    assert await ids(bruna, q=word.upper()) == every
    assert await ids(bruna, q=f"{word} SÃO JOÃO") == every
    assert await ids(bruna, q=f"{word.lower()}-sao-joao-2") == [licensed]
    assert await ids(bruna, q=made[1].owner.email.upper()) == [suspended]
    assert await ids(bruna, q="%_%") == []
    for query, wanted in (
        ({"status": "active"}, [expired, licensed, active]),
        ({"status": "suspended"}, [suspended]),
        ({"status": "deleting"}, [leaving]),
        ({"plan": "business"}, [licensed]),
        ({"source": "license"}, [licensed]),
        ({"source": "default", "plan": "starter"}, [leaving, expired, suspended, active]),
        ({"plan": "golden"}, []),
    ):
        assert await ids(bruna, q=word, **query) == wanted, query
    every_tenant = await ids(bruna, limit=200)
    assert 0 not in every_tenant
    assert every_tenant[-5:] == every
    assert codes(await bruna.call("GET", "/tenants", params={"status": "gone"})) == (422, "VALIDATION_FAILED")
    assert codes(await bruna.call("GET", "/tenants", params={"cursor": "x"})) == (422, "VALIDATION_FAILED")


async def test_the_list_is_sorted_by_the_last_activity(bruna: Staff, entrance: Entrance, client: AsyncClient) -> None:
    word = f"Quitanda{datetime.now(UTC).timestamp():.0f}"
    made = [await register_workspace(entrance, f"{word} {place}", "Rui") for place in range(3)]
    for one in (made[2], made[0], made[1]):
        answer = await client.patch("/v1/me", json={"name": "Rui Costa"}, headers=one.owner.headers)
        assert answer.status_code == 200, answer.text
        await follow_log(entrance.kernel, one.tenant)
    first, second, third = (one.tenant for one in made)
    assert await ids(bruna, q=word, sort="last_activity_at") == [second, first, third]
    assert await ids(bruna, q=word, sort="last_activity_at", status="active", limit=1) == [second, first, third]
    assert await ids(bruna, q=word, sort="created_at") == [third, second, first] == await ids(bruna, q=word)
    every = await ids(bruna, sort="last_activity_at", limit=200)
    assert (every[:3], 0 in every, len(every)) == ([second, first, third], False, len(set(every)))
    assert codes(await bruna.call("GET", "/tenants", params={"sort": "name"})) == (422, "VALIDATION_FAILED")


async def test_one_workspace_in_full(bruna: Staff, lucia_studios: Workspace, ana: Member, connected_number: Number) -> None:
    place = f"/tenants/{lucia_studios.tenant}"
    await bruna.do("POST", f"{place}/license", json={"plan_key": "professional"})
    await value(lucia_studios.kernel, INVITED, lucia_studios.tenant, b"1" * 32)
    asked = [await bruna.client.post("/v1/support/tickets", json=HELP, headers=lucia_studios.owner.headers) for _ in range(2)]
    number = asked[0].json()["data"]["id"]
    closed = await bruna.client.post(f"/v1/support/tickets/{number}/close", headers=lucia_studios.owner.headers)
    assert closed.status_code == 200, closed.text
    shown = await bruna.do("GET", place)
    assert (shown["owner"]["email"], shown["owner"]["role"]) == (lucia_studios.owner.email, "owner")
    assert [member["id"] for member in shown["members"]] == [lucia_studios.owner.id, ana.id]
    assert [(one["id"], one["status"]) for one in shown["phone_instances"]] == [(connected_number.id, "connected")]
    assert shown["usage"] == {"whatsapp_numbers": {"used": 1, "limit": 2}, "seats": {"used": 3, "limit": 5}}
    assert shown["license"] | {"granted_at": 0} == {
        "plan_key": "professional",
        "granted_by": {"id": bruna.id, "name": "Bruna"},
        "granted_at": 0,
        "expires_at": None,
    }
    assert (shown["plan"], shown["plan_source"], "ai" in shown["features"]) == ("professional", "license", True)
    assert (shown["allow_support_access"], shown["suspended_at"], shown["deletion_scheduled_at"]) == (False, None, None)
    assert shown["subscription"]["usage"] == {"seats": 3, "whatsapp_numbers": 1}
    assert (shown["subscription"]["plan_key"], shown["subscription"]["source"]) == ("professional", "license")
    assert shown["open_tickets"] == 1
    assert {step["key"]: step["done"] for step in shown["onboarding"]["steps"]}["connect_whatsapp"]
    trail = shown["audit_log"].removeprefix("/v1/admin")
    for reason in range(11):
        await bruna.impersonate(lucia_studios, reason=f"Ticket {reason}")
    await follow_log(lucia_studios.kernel, lucia_studios.tenant)
    newest = (await bruna.do("GET", place))["recent_audit"]
    assert [deed["after"]["reason"] for deed in newest] == [f"Ticket {reason}" for reason in range(10, 0, -1)]
    assert newest[0] | {"id": 0, "at": 0, "after": 0} == {
        "id": 0,
        "at": 0,
        "admin": {"id": bruna.id, "name": "Bruna"},
        "action": "tenant.impersonated",
        "subject_type": "member",
        "subject_id": lucia_studios.owner.id,
        "before": None,
        "after": 0,
    }
    first = (await bruna.call("GET", f"{trail}&limit=7")).json()
    second = (await bruna.call("GET", f"{trail}&limit=7&cursor={first['meta']['next_cursor']}")).json()
    told = [entry["action"] for page in (first, second) for entry in page["data"]]
    assert told == [*["tenant.impersonated"] * 11, "license.granted"]


@pytest.mark.parametrize("tenant", ["0", "-1", "999999999999", "99999999999999999999"])
async def test_what_is_no_workspace_is_not_found(bruna: Staff, tenant: str) -> None:
    grant = {"plan_key": "business"}
    for method, path, body in (
        ("GET", "", None),
        ("POST", "/suspend", None),
        ("POST", "/reactivate", None),
        ("POST", "/license", grant),
        ("DELETE", "/license", None),
        ("POST", "/impersonate", None),
    ):
        assert codes(await bruna.call(method, f"/tenants/{tenant}{path}", json=body)) == (404, "NOT_FOUND"), path


async def test_a_licence_unlocks_at_once_and_a_second_replaces_the_first(
    bruna: Staff, lucia_studios: Workspace, lucia: Member, client: AsyncClient
) -> None:
    async def plan() -> tuple[str, str]:
        mine = (await client.get("/v1/me", headers=lucia.headers)).json()["data"]["tenant"]["plan"]
        return mine["key"], mine["source"]

    kernel, place = lucia_studios.kernel, f"/tenants/{lucia_studios.tenant}/license"
    assert await plan() == ("starter", "default")
    first = await bruna.do("POST", place, json={"plan_key": "professional", "expires_in_months": 1})
    assert await plan() == ("professional", "license")
    second = await bruna.do("POST", place, json={"plan_key": "business", "expires_in_months": 120})
    assert await plan() == ("business", "license")
    await value(kernel, LICENCE, lucia_studios.tenant, 60.0)
    assert await plan() == ("business", "license")
    await value(kernel, LICENCE, lucia_studios.tenant, 0.0)
    assert await plan() == ("starter", "default")
    assert (await bruna.call("DELETE", place)).status_code == 204
    assert (await bruna.call("DELETE", place)).status_code == 204
    assert (await lucia_studios.rows(STATE))[0] == {"plan": None, "license_granted_at": None, "license_expires_at": None}

    told = [(fact.actor.type, entry) for fact, entry in await entries(kernel, lucia_studios.tenant)][1:]
    assert [(actor, entry.action) for actor, entry in told] == [
        ("staff", "license.granted"),
        ("staff", "license.granted"),
        ("staff", "license.revoked"),
    ]
    assert (told[0][1].before, told[1][1].before) == ({"plan_key": None, "expires_at": None}, told[0][1].after)
    assert told[0][1].after == {"plan_key": "professional", "expires_at": same_moment(first["license"]["expires_at"])}
    assert (told[2][1].after or {})["plan_key"] is None
    for answer, months in ((first, 1), (second, 120)):
        granted = datetime.fromisoformat(answer["license"]["granted_at"])
        assert datetime.fromisoformat(answer["license"]["expires_at"]) == months_after(granted, months)


def months_after(moment: datetime, months: int) -> datetime:
    """The same day of a later month, or that month's last."""
    years, month = divmod(moment.month - 1 + months, 12)
    last = monthrange(moment.year + years, month + 1)[1]
    return moment.replace(year=moment.year + years, month=month + 1, day=min(moment.day, last))


def same_moment(text: str) -> str:
    """A time of an answer as the audit trail writes it."""
    return datetime.fromisoformat(text).isoformat()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "plan_key"),
        ({"plan_key": "golden"}, "plan_key"),
        ({"plan_key": None}, "plan_key"),
        ({"plan_key": "business", "expires_in_months": 0}, "expires_in_months"),
        ({"plan_key": "business", "expires_in_months": 121}, "expires_in_months"),
        ({"plan_key": "business", "expires_in_months": "12"}, "expires_in_months"),
    ],
)
async def test_a_licence_that_cannot_be_is_refused(bruna: Staff, lucia_studios: Workspace, body: dict[str, Any], field: str) -> None:
    answer = await bruna.call("POST", f"/tenants/{lucia_studios.tenant}/license", json=body)
    assert codes(answer) == (422, "VALIDATION_FAILED")
    assert set(answer.json()["errors"][0]["details"]) == {field}
    assert (await lucia_studios.rows(STATE))[0]["plan"] is None


async def test_a_repeated_grant_with_the_same_key_is_done_once(bruna: Staff, lucia_studios: Workspace) -> None:
    once = {"json": {"plan_key": "business"}, "headers": {"Idempotency-Key": "grant-1"}}
    answers = [await bruna.call("POST", f"/tenants/{lucia_studios.tenant}/license", **once) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    assert len(await entries(lucia_studios.kernel, lucia_studios.tenant)) == 2
