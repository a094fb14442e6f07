"""Whose rows: every query names its tenant, and row-level security behind it admits no other's.

The policies compare ``tenant_id`` with the transaction-local setting ``plixa.tenant``. A statement outside a transaction sets it
for itself alone: ``scoped`` puts the setting in front, laterally joined, so that it happens first and in the same round trip.
"""

from functools import lru_cache
from hashlib import sha256
from typing import Any

SCOPE = "(SELECT set_config('plixa.tenant', ($1::bigint)::text, true)::bigint AS tenant OFFSET 0) AS scope"
"""Names the tenant for the statement it stands in."""


@lru_cache(maxsize=512)
def scoped(query: str) -> str:
    """A SELECT that runs for tenant ``$1``. Inside ``query`` the tenant is ``scope.tenant``; its own arguments begin at ``$2``.

    ``OFFSET 0`` keeps the planner from taking ``query`` apart and reading one of its tables before the tenant is set.
    """
    if "scope.tenant" not in query:
        raise ValueError(f"This query does not say whose rows it wants: {query}")
    return f"SELECT answer.* FROM {SCOPE} CROSS JOIN LATERAL ({query} OFFSET 0) AS answer"  # noqa: S608


def bind(arguments: list[Any], value: Any) -> str:
    """The placeholder of one more argument; ``$1`` is the tenant."""
    arguments.append(value)
    return f"${len(arguments) + 1}"


def opening(tenant: int, locks: tuple[int, ...] = ()) -> str:
    """The first round trip of a transaction: begin, name the tenant and wait for the turn of each lock, in order."""
    begun = f"BEGIN; SELECT set_config('plixa.tenant', '{tenant:d}', true)"
    return f"{begun}; {turns(locks)}" if locks else begun


def turns(locks: tuple[int, ...]) -> str:
    """Waits for the turn of each lock, in order."""
    return "; ".join(f"SELECT pg_advisory_xact_lock({lock:d})" for lock in sorted(set(locks)))


def lock_of(name: str) -> int:
    """The advisory lock, a signed 64-bit number, of anything that has a name."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big", signed=True)
