"""What waits in a workspace's outbox, done as a worker does it."""

from typing import Any

from plixa.inbox.actors import Actors
from plixa.kernel.delivery import Handler, deliver
from plixa.workspace import actors as workspace_actors
from tests.support.world import Workspace

DUE = "SELECT id FROM outbox WHERE tenant_id = $1 AND state IN ('waiting', 'running') AND kind = $2 ORDER BY id"
HASTEN = "UPDATE outbox SET due_at = now() WHERE tenant_id = $1 AND kind = $2 AND state = 'waiting' RETURNING id"


async def do_effects(workspace: Workspace, kind: str, gateway: Any = None, handlers: dict[str, Handler] | None = None) -> int:
    """Do everything of one kind, due or not; answers how many there were. ``gateway`` is only asked by what needs one."""
    known = handlers or {**Actors(gateway).handlers(), **workspace_actors.handlers()}
    await workspace.rows(HASTEN, kind)
    waiting = await workspace.rows(DUE, kind)
    for row in waiting:
        assert await deliver(workspace.kernel, known, workspace.tenant, row["id"])
    return len(waiting)
