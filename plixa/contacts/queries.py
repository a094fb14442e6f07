"""Reading contacts and labels."""

from plixa.kernel.errors import NotFound
from plixa.kernel.uow import UnitOfWork

LABEL = "SELECT id FROM label WHERE tenant_id = scope.tenant AND id = $2"


async def refuse_unknown_label(uow: UnitOfWork, label: int) -> None:
    """Raises NotFound for a label that is not of this workspace."""
    if await uow.fetchrow(LABEL, label) is None:
        raise NotFound("There is no such label.")
