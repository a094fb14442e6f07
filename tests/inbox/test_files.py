"""Files of customers, and of the owner's own phone, come into our own store, and go with what they belong to."""

from typing import Any

import pytest

from plixa.inbox.actors import Actors
from plixa.kernel.delivery import deliver
from plixa.kernel.errors import NotFound
from plixa.whatsapp.client import FetchedMedia, MessageKey
from tests.inbox.desk import Desk, stamp
from tests.inbox.test_commands import PNG
from tests.whatsapp import webhooks

DUE = "SELECT id FROM outbox WHERE tenant_id = $1 AND state = 'waiting' AND kind = ANY($2::text[]) ORDER BY id"


class Holding:
    """A gateway that still has every file."""

    async def fetch_media(self, _instance: str, _key: MessageKey) -> FetchedMedia:
        return FetchedMedia(PNG, "image/png", None)


async def work(desk: Desk, *kinds: str) -> int:
    """Do what waits in the outbox; answers how much it was."""
    gateway: Any = Holding()
    due = await desk.workspace.rows(DUE, list(kinds))
    for row in due:
        assert await deliver(desk.workspace.kernel, Actors(gateway).handlers(), desk.workspace.tenant, row["id"])
    return len(due)


@pytest.mark.parametrize("from_me", [False, True])
async def test_a_file_is_fetched_and_served(desk: Desk, from_me: bool) -> None:
    await desk.hear(webhooks.image(desk.chat(), stamp(from_me=from_me)))
    assert await work(desk, "inbox.fetch_media") == 1
    (message,) = await desk.thread((await desk.only())["id"])
    assert (message["media"]["state"], message["media"]["mime"]) == ("stored", "image/png")
    served = await desk.client.get(message["media"]["url"], headers=desk.workspace.owner.headers)
    assert (served.status_code, served.content) == (200, PNG)


async def test_what_is_deleted_for_everyone_takes_its_file_along(desk: Desk) -> None:
    one = stamp()
    await desk.hear(webhooks.image(desk.chat(), one))
    await work(desk, "inbox.fetch_media")
    query = "SELECT id, conversation_id, media->>'blob' AS blob FROM inbox_message WHERE tenant_id = $1"
    (kept,) = await desk.workspace.rows(query)
    await desk.hear(webhooks.revoke(desk.chat(), one))
    url = f"/v1/conversations/{kept['conversation_id']}/messages/{kept['id']}/media"
    assert (await desk.client.get(url, headers=desk.workspace.owner.headers)).status_code == 404
    assert await work(desk, "inbox.delete_media") == 1
    with pytest.raises(NotFound):
        await desk.workspace.kernel.media.get(kept["blob"], bytes(32))


async def test_what_was_deleted_before_it_was_fetched_is_left_where_it_is(desk: Desk) -> None:
    one = stamp()
    await desk.hear(webhooks.image(desk.chat(), one), webhooks.revoke(desk.chat(), one))
    assert await work(desk, "inbox.fetch_media") == 1
    assert "message.media_stored" not in await desk.events((await desk.only())["id"])
