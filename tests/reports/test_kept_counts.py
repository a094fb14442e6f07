"""What was counted of a conversation is counted still once it is deleted or its contact erased, also in a rebuild."""

from typing import Any

import pytest

from plixa.kernel.rebuild import rebuild
from plixa.kernel.settings import Settings
from projections.registry import BY_NAME
from tests.inbox.desk import Desk
from tests.inbox.test_arrivals import named, two_of_one
from tests.support.trail import follow_log, read_trail
from tests.support.world import Workspace

SUMS = """SELECT sum(opened) AS opened, sum(reopened) AS reopened, sum(closed) AS closed, sum(received) AS received, sum(sent) AS sent
FROM inbox_activity WHERE tenant_id = $1"""
ROWS = "SELECT * FROM inbox_activity WHERE tenant_id = $1 ORDER BY id"
WAITS = "SELECT key, value FROM counter WHERE tenant_id = $1 AND projection = 'inbox_wait' AND value <> 0 ORDER BY key"


async def counted(workspace: Workspace) -> tuple[Any, Any]:
    """What reports say."""
    await follow_log(workspace.kernel, workspace.tenant)
    return await workspace.rows(SUMS), await workspace.rows(WAITS)


async def test_first_answers_outlive_the_merge_of_their_conversations(desk: Desk, settings: Settings) -> None:
    *numbers, both = await two_of_one(desk)
    for number in numbers:
        await desk.do("POST", f"/{number}/messages", json={"body": "Oi"})
    before = await counted(desk.workspace)
    assert sum(row["value"] for row in before[1] if row["key"].endswith(":answers")) == 2
    await desk.hear(named(both))
    merged = await counted(desk.workspace)
    assert merged[1] == before[1]
    await desk.do("DELETE", f"/{(await desk.only())['id']}")
    assert await counted(desk.workspace) == merged
    await rebuild(settings, BY_NAME["activity"], desk.workspace.tenant)
    assert await counted(desk.workspace) == merged


@pytest.mark.parametrize("way", ["deleted", "erased"])
async def test_numbers_outlive_the_conversation(desk: Desk, settings: Settings, way: str) -> None:
    shown = await desk.open(name="Nobody's business")
    await desk.do("POST", f"/{shown['id']}/messages", json={"body": "Oi"})
    await desk.do("POST", f"/{shown['id']}/close")
    await desk.do("POST", f"/{shown['id']}/reopen")
    before = await counted(desk.workspace)
    assert before[0] == [{"opened": 1, "reopened": 1, "closed": 1, "received": 1, "sent": 1}]
    assert {row["key"].partition(":")[2] for row in before[1]} >= {"answers"}
    if way == "deleted":
        await desk.do("DELETE", f"/{shown['id']}")
    else:
        path = f"/v1/contacts/{shown['contact']['id']}/erase"
        answer = await desk.client.post(path, headers=desk.workspace.owner.headers)
        assert answer.status_code in (200, 201), answer.text
    assert await counted(desk.workspace) == before
    rows = await desk.workspace.rows(ROWS)
    await rebuild(settings, BY_NAME["activity"], desk.workspace.tenant)
    assert (await desk.workspace.rows(ROWS), await counted(desk.workspace)) == (rows, before)
    newest = (await read_trail(desk.client, desk.workspace))[0]
    assert newest["action"] == ("conversation.deleted" if way == "deleted" else "contact.erased")
    assert await desk.is_sound()
