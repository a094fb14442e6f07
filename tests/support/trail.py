"""The audit trail in a test's hands: the read model brought up to date, and what it says."""

from typing import Any

from httpx import AsyncClient

from plixa.kernel.projector import catch_up
from plixa.kernel.uow import Kernel
from projections.registry import ASYNC
from tests.support.world import Workspace


async def follow_log(kernel: Kernel, tenant: int) -> None:
    """Do what the worker does beside the requests: bring what follows the log up to date."""
    for projection in ASYNC:
        await catch_up(kernel, projection, tenant)


async def read_trail(client: AsyncClient, workspace: Workspace, **query: Any) -> list[dict[str, Any]]:
    """The owner's view of the trail, newest first."""
    await follow_log(workspace.kernel, workspace.tenant)
    answer = await client.get("/v1/audit-logs", params=query, headers=workspace.owner.headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found
