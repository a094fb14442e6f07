"""The targets of a workspace, and the conversations whose clocks are running."""

from typing import Final

from msgspec import Struct

from plixa.kernel.uow import UnitOfWork

CONFIG: Final = "SELECT first_response_seconds, resolution_seconds FROM sla_config WHERE tenant_id = scope.tenant"
RUNNING: Final = """SELECT id FROM inbox_conversation WHERE tenant_id = scope.tenant AND id > $2 AND status = 'open' AND has_targets
ORDER BY id LIMIT $3::int"""
BATCH: Final = 200


class SlaConfigView(Struct, frozen=True):
    """Seconds until somebody answers, and until the conversation is closed; null is no target."""

    first_response_seconds: int | None = None
    resolution_seconds: int | None = None


async def get_sla_config(uow: UnitOfWork) -> SlaConfigView:
    """The targets; none before any were set."""
    row = await uow.fetchrow(CONFIG)
    return SlaConfigView(*row) if row else SlaConfigView()


async def list_running(uow: UnitOfWork, after: int) -> list[int]:
    """Open conversations that have targets, by id, a batch."""
    return [row["id"] for row in await uow.fetch(RUNNING, after, BATCH)]
