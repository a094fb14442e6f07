"""A workspace registers whole or not at all."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from plixa.kernel.event_store import Actor
from plixa.kernel.uow import Kernel
from plixa.kernel.verify import verify_chain
from tests.identity.people import PASSWORD, bearer, entries, lucia, registered, value

FORBIDDEN = [
    *("id", "tenant_id", "tenant", "user", "user_id", "member_id", "role", "roles", "is_owner", "is_admin", "is_staff"),
    *(
        "status",
        "plan",
        "plan_key",
        "licence",
        "license",
        "features",
        "limits",
        "slug",
        "password_hash",
        "hash",
        "token",
    ),
    *("tokens", "abilities", "kind", "created_at", "updated_at", "expires_at", "last_used_at", "email_verified_at"),
    *("agents_can_delete_conversations", "agent_restricted", "restricted", "position", "two_factor_enabled", "actor"),
    *("permissions", "balance", "trial_ends_at", "stripe_id", "__class__"),
]


async def test_a_workspace_its_owner_and_a_working_token_come_back(client: httpx.AsyncClient) -> None:
    body = lucia(email="Lucia.First@Plixa.app")
    answer = await client.post("/v1/auth/register", json=body)
    assert answer.status_code == 201
    assert answer.headers["X-Plixa-Position"] == "1"
    data = answer.json()["data"]
    user, tenant = data["user"], data["tenant"]
    assert user == {
        "id": user["id"],
        "tenant_id": tenant["id"],
        "name": "Lucia Pereira",
        "email": "lucia.first@plixa.app",
        "role": "owner",
        "locale": None,
        "is_available": None,
        "two_factor_enabled": False,
    }
    assert tenant == {
        "id": tenant["id"],
        "name": "Lucia Studios",
        "slug": tenant["slug"],
        "country_code": "BR",
        "timezone": "America/Sao_Paulo",
        "locale": "pt",
        "currency": "BRL",
        "status": "active",
        "logo_url": None,
        "agents_can_delete_conversations": False,
        "deletion_scheduled_at": None,
        "plan": {"key": "starter", "source": "default", "features": [], "limits": {"whatsapp_numbers": 1, "seats": 2}, "expires_at": None},
    }
    assert re.fullmatch(r"lucia-studios-[a-z0-9]{6}", tenant["slug"])
    assert re.fullmatch(r"\d+\|plxp_[0-9A-Za-z]{46}", data["token"])
    me = await client.get("/v1/me", headers=bearer(data["token"]))
    shown = {"user": user, "tenant": tenant, "must_enable_two_factor": False, "impersonated_by": None}
    assert me.json() == {"data": shown, "meta": None, "errors": None}


async def test_what_is_optional_has_its_default(client: httpx.AsyncClient) -> None:
    data = await registered(client, timezone=None, locale=None, tax_id=None, country_code="de")
    assert (data["tenant"]["timezone"], data["tenant"]["locale"]) == ("UTC", "en")
    assert data["tenant"]["country_code"] == "DE"


@pytest.mark.parametrize("locale", ["en", "pt", "es", "pt-BR"])
async def test_a_locale_is_echoed_as_it_was_sent(client: httpx.AsyncClient, locale: str) -> None:
    assert (await registered(client, locale=locale))["tenant"]["locale"] == locale


async def test_a_name_without_latin_letters_still_gets_a_slug(client: httpx.AsyncClient) -> None:
    data = await registered(client, company_name="東京 ✂️")
    assert data["tenant"]["slug"].startswith("workspace-")


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("email", "lucia"),
        ("email", "lucia@plixa"),
        ("email", "a b@plixa.app"),
        ("email", "x" * 250 + "@plixa.app"),
        ("email", None),
        ("email", 7),
        ("password", "1234567"),
        ("password", "x" * 257),
        ("password_confirmation", "another-secret-pw"),
        ("name", ""),
        ("name", "   "),
        ("name", "nul\0"),
        ("name", "x" * 256),
        ("company_name", ["Lucia"]),
        ("country_code", "BRA"),
        ("country_code", "XX"),
        ("timezone", "Brasilia"),
        ("timezone", "america/sao_paulo"),
        ("timezone", "../etc/passwd"),
        ("timezone", ""),
        ("locale", "sr_BA"),
        ("tax_id", "1" * 65),
    ],
)
async def test_a_wrong_field_is_named(client: httpx.AsyncClient, field: str, wrong: Any) -> None:
    answer = await client.post("/v1/auth/register", json=lucia(**{field: wrong}))
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["code"], error["message"]) == ("VALIDATION_FAILED", "The given data was invalid.")
    assert field in error["details"]


@pytest.mark.parametrize("field", ["name", "email", "password", "password_confirmation", "company_name", "country_code"])
async def test_a_required_field_must_be_there(client: httpx.AsyncClient, field: str) -> None:
    body = lucia()
    del body[field]
    answer = await client.post("/v1/auth/register", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["details"] == {field: ["This field is required."]}


async def test_a_taken_address_leaves_nothing_half_registered(client: httpx.AsyncClient, kernel: Kernel) -> None:
    first = await registered(client)
    before = await counts(kernel)
    answer = await client.post("/v1/auth/register", json=lucia(email=first["user"]["email"].upper()))
    assert answer.status_code == 422
    assert answer.json() == {
        "data": None,
        "meta": None,
        "errors": [
            {
                "code": "VALIDATION_FAILED",
                "message": "The given data was invalid.",
                "details": {"email": ["The email has already been taken."]},
            }
        ],
    }
    assert await counts(kernel) == before


async def test_of_parallel_registrations_with_one_address_exactly_one_wins(client: httpx.AsyncClient, kernel: Kernel) -> None:
    before = await counts(kernel)
    body = lucia()
    answers = await asyncio.gather(*(client.post("/v1/auth/register", json=body) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 11
    assert await counts(kernel) == [count + 1 for count in before]


async def test_forbidden_keys_change_nothing(client: httpx.AsyncClient, kernel: Kernel) -> None:
    assert len(FORBIDDEN) >= 40
    first = await registered(client)
    extra = {key: first["tenant"]["id"] if key.endswith("id") else "business" for key in FORBIDDEN}
    data = await registered(client, **extra)
    assert data["tenant"]["id"] != first["tenant"]["id"]
    assert data["user"]["id"] != first["user"]["id"]
    same = {"name", "country_code", "timezone", "locale", "status", "agents_can_delete_conversations", "plan"}
    assert {key: data["tenant"][key] for key in same} == {key: first["tenant"][key] for key in same}
    assert data["user"]["role"] == "owner"
    assert await value(kernel, "SELECT agent_restricted FROM tenant WHERE tenant_id = $1", data["tenant"]["id"]) is False


async def test_only_hashes_of_secrets_are_stored(client: httpx.AsyncClient, kernel: Kernel) -> None:
    data = await registered(client)
    secret = data["token"].partition("|")[2]
    async with kernel.system.connection() as connection:
        for table in ("tenant", "member", "access_token"):
            rows = await connection.fetch(f"SELECT * FROM {table} WHERE tenant_id = $1", data["tenant"]["id"])
            assert rows
            assert not any(word in repr(row) for row in rows for word in (secret, PASSWORD))


async def test_one_entry_tells_of_it_and_the_chain_holds(client: httpx.AsyncClient, kernel: Kernel) -> None:
    data = await registered(client, email="told@plixa.app")
    tenant, user = data["tenant"], data["user"]
    [(fact, entry)] = await entries(kernel, tenant["id"])
    assert (entry.action, entry.subject, entry.subject_id) == ("tenant.registered", "tenant", tenant["id"])
    assert entry.before is None
    assert entry.after == {key: tenant[key] for key in ("name", "slug", "country_code", "timezone", "locale", "currency")}
    assert entry.address == "127.0.0.1"
    assert fact.actor == Actor("member", user["id"], "Lucia Pereira")
    assert fact.request_id
    assert not any(secret in repr(fact) for secret in (PASSWORD, data["token"], "told@plixa.app"))
    verdict = await verify_chain(kernel.system, tenant["id"])
    assert (verdict.fault, verdict.proven) == (None, 1)


async def counts(kernel: Kernel) -> list[int]:
    """Rows of every table a registration writes."""
    tables = ("tenant", "member", "access_token", "log_head", "event", "stream_key")
    return [await value(kernel, f"SELECT count(*) FROM {table}") for table in tables]
