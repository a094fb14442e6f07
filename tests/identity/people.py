"""People of the tests, and what they leave in the database."""

import secrets
from typing import Any

import httpx
from litestar import Litestar
from msgspec.structs import replace

from plixa.identity.commands import Entrance
from plixa.identity.controllers import AccountController, AuthenticationController
from plixa.kernel.audit import AuditEntry
from plixa.kernel.event_store import Recorded
from plixa.kernel.log import read_log
from plixa.kernel.passwords import PasswordChecker
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel
from tests.support.apps import make_app

PASSWORD = "super-secret-pw"


def lucia(**changes: Any) -> dict[str, Any]:
    """The contract's example of a registration, with an address nobody has."""
    return {
        "name": "Lucia Pereira",
        "email": f"lucia.{secrets.token_hex(6)}@plixa.app",
        "password": PASSWORD,
        "password_confirmation": PASSWORD,
        "company_name": "Lucia Studios",
        "country_code": "BR",
        "timezone": "America/Sao_Paulo",
        "locale": "pt",
    } | changes


async def registered(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    """The ``data`` of a new registration."""
    answer = await client.post("/v1/auth/register", json=lucia(**changes))
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def entries(kernel: Kernel, tenant: int) -> list[tuple[Recorded, AuditEntry]]:
    """The audit trail of a tenant."""
    facts = await read_log(kernel, tenant, 0)
    return [(fact, fact.event) for fact in facts if isinstance(fact.event, AuditEntry)]


async def value(kernel: Kernel, query: str, *arguments: Any) -> Any:
    """One value, looked up across tenants."""
    async with kernel.system.connection() as connection:
        return await connection.fetchval(query, *arguments)


def stricter(entrance: Entrance, settings: Settings) -> Litestar:
    """The application with other settings."""
    changed = replace(entrance, settings=settings, passwords=PasswordChecker(settings.argon2))
    return make_app(changed, AuthenticationController, AccountController)


def connect(app: Litestar, address: str) -> httpx.AsyncClient:
    """A client that calls from somewhere."""
    transport = httpx.ASGITransport(app=app, client=(address, 4711))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://plixa.test")


def anywhere() -> str:
    """An address nobody called from yet."""
    return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{secrets.randbelow(256)}"
