"""What reading the trail leaves in it."""

from plixa.kernel.audit import record
from plixa.kernel.auth import Principal
from plixa.kernel.requests import current_request_id
from plixa.kernel.uow import Kernel, perform, working


async def note_export(kernel: Kernel, caller: Principal) -> None:
    """Somebody took the trail away as a file."""
    async with working(kernel, caller.tenant, caller.actor, current_request_id()) as uow:
        await perform(uow, lambda: record(uow, "audit.exported", ("tenant", caller.tenant)))
