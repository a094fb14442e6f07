"""Links that reset a password: whose one is, and what nobody may choose as their next password."""

from typing import Final

from msgspec import Struct

from plixa.kernel.database import Database


class Reset(Struct, frozen=True):
    """Whose password a link resets, and what their next one must not be made of."""

    tenant: int
    member: int
    name: str
    email: str
    workspace: str


RESET: Final = """
SELECT m.tenant_id, m.id, m.name, m.email, t.name FROM password_reset r
JOIN member m ON m.tenant_id = r.tenant_id AND m.id = r.member_id JOIN tenant t ON t.tenant_id = r.tenant_id
WHERE r.hash = $1 AND r.expires_at > now() AND m.deactivated_at IS NULL
"""


async def find_reset(system: Database, digest: bytes) -> Reset | None:
    """Whose link this is, in whichever workspace; None for one that was never made, was used, or is too old."""
    async with system.connection() as connection:
        row = await connection.fetchrow(RESET, digest)
    return None if row is None else Reset(*row)
