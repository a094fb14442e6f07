"""Who is behind a token."""

from datetime import UTC, datetime
from hmac import compare_digest
from typing import Final

import asyncpg

from plixa.identity.domain import Licence, plan_in_force
from plixa.kernel.auth import DELETING, SUSPENDED, UNENROLLED, Authenticate, Principal
from plixa.kernel.database import Database
from plixa.kernel.event_store import Person
from plixa.kernel.settings import Settings

PANEL_DAYS: Final = 30
"""A panel token lives this long after it was last used."""
STAFF_HOURS: Final = 12
"""A staff token lives this long after it was last used."""
FEATURE: Final = "api_access"
"""Without it in the plan, API tokens stop authenticating; they are kept."""
TOKEN: Final = """
SELECT a.tenant_id, a.kind, a.name AS token_name, a.hash, a.abilities, m.id AS member_id, m.name, m.role, t.plan, t.license_expires_at,
       t.status = 'suspended' AS is_suspended, t.purge_at IS NOT NULL AS is_deleting,
       t.require_two_factor AND m.two_factor_confirmed_at IS NULL AND a.kind = 'panel' AS is_unenrolled,
       t.agent_restricted AND m.role = 'agent' AS is_restricted, a.staff_id, s.name AS staff_name,
       a.last_used_at IS NULL OR a.last_used_at <= now() - interval '1 minute' AS is_stale
FROM access_token a
JOIN member m ON m.tenant_id = a.tenant_id AND m.id = a.member_id AND m.deactivated_at IS NULL
JOIN tenant t ON t.tenant_id = a.tenant_id
LEFT JOIN member s ON s.tenant_id = 0 AND s.id = a.staff_id AND s.deactivated_at IS NULL
WHERE a.id = $1 AND (a.expires_at IS NULL OR a.expires_at > now())
"""
TOUCH: Final = f"""
UPDATE access_token SET last_used_at = now(), expires_at = CASE kind
    WHEN 'panel' THEN now() + interval '{PANEL_DAYS} days' WHEN 'staff' THEN now() + interval '{STAFF_HOURS} hours' ELSE expires_at END
WHERE tenant_id = $1 AND id = $2 AND (last_used_at IS NULL OR last_used_at <= now() - interval '1 minute')
"""  # noqa: S608 - constants


def find_principal(system: Database, settings: Settings) -> Authenticate:
    """Tokens are looked up across tenants: one query, and one update a minute for a token in use."""

    async def authenticate(number: int, digest: bytes) -> Principal | None:
        async with system.connection() as connection:
            row = await connection.fetchrow(TOKEN, number)
            if not compare_digest(digest, row["hash"] if row else bytes(32)) or row is None:
                return None
            caller = principal(number, row, settings)
            if caller is not None and row["is_stale"]:
                await connection.execute(TOUCH, row["tenant_id"], number)
        return caller

    return authenticate


def principal(number: int, row: asyncpg.Record, settings: Settings) -> Principal | None:
    """The caller behind a row of ``TOKEN``; None where the plan has lost API tokens, or who impersonates is no longer of the staff."""
    plan = plan_in_force(settings, Licence(row["plan"], row["license_expires_at"]), datetime.now(UTC))
    if (row["kind"] == "api" and FEATURE not in plan.features) or (row["kind"] == "impersonation" and row["staff_name"] is None):
        return None
    bars = {SUSPENDED: row["is_suspended"], UNENROLLED: row["is_unenrolled"], DELETING: row["is_deleting"]}
    return Principal(
        kind=row["kind"],
        token_id=number,
        token_name=row["token_name"].removeprefix("api:"),
        tenant=row["tenant_id"],
        user_id=row["member_id"],
        name=row["name"],
        role=row["role"],
        abilities=frozenset(row["abilities"]),
        features=frozenset(plan.features),
        barred=frozenset(bar for bar, holds in bars.items() if holds),
        restricted=row["is_restricted"],
        impersonated_by=Person(row["staff_id"], row["staff_name"]) if row["kind"] == "impersonation" else None,
    )
