"""Whether anything may leave a workspace: asked at the last moment before it does."""

from typing import Final

from plixa.kernel.auth import WorkspaceDeletionScheduled, WorkspaceSuspended
from plixa.kernel.errors import Forbidden
from plixa.kernel.uow import UnitOfWork

STANDING: Final = "SELECT status, purge_at FROM tenant WHERE tenant_id = scope.tenant"


async def find_sending_bar(uow: UnitOfWork) -> Forbidden | None:
    """Why nothing may be sent for the workspace, or None: it is suspended, or about to be deleted."""
    row = await uow.fetchrow(STANDING)
    if row is None or row["purge_at"] is not None:
        return WorkspaceDeletionScheduled()
    return WorkspaceSuspended() if row["status"] == "suspended" else None
