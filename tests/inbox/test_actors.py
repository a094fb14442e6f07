"""The inbox's effects where the gateway or the media store fails, and where a lost send is looked for."""

from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from plixa.inbox.actors import Actors
from plixa.inbox.commands.messages import Upload, send_media
from plixa.kernel.delivery import ATTEMPTS, deliver
from plixa.kernel.errors import NotFound
from plixa.kernel.media import LARGEST, MediaStore
from plixa.kernel.uow import perform, working
from plixa.whatsapp.client import FetchedMedia, FoundMessage, MessageKey, OutcomeUnknown, SendMedia, SendText, Sent, Transient
from tests.inbox.desk import Desk, stamp
from tests.inbox.test_commands import PNG
from tests.whatsapp import webhooks
from tests.whatsapp.webhooks import Webhook

DUE = "SELECT id FROM outbox WHERE tenant_id = $1 AND state IN ('waiting', 'running') AND kind = $2"
LAST = f"UPDATE outbox SET attempts = {ATTEMPTS - 1}, due_at = now() WHERE tenant_id = $1 AND kind = $2 RETURNING id"
STALLED = "SELECT key FROM outbox WHERE tenant_id = $1 AND kind = 'inbox.check_stalled'"
OUTGOING = "SELECT status, error FROM inbox_message WHERE tenant_id = $1 AND direction = 'out'"
JID = "5511987654321@s.whatsapp.net"


class Faulty:
    """A gateway that fails in the way it was told, and holds these messages."""

    def __init__(self, fails: Exception | None = None, content: bytes = PNG, held: list[Webhook] | None = None) -> None:
        self.fails, self.content, self.sent = fails, content, 0
        self.held = [row(one) for one in held or ()]

    async def find_messages(self, _name: str, _jid: str, _since: datetime) -> list[FoundMessage]:
        return self.held

    async def fetch_media(self, _name: str, _key: MessageKey) -> FetchedMedia:
        if self.fails is not None:
            raise self.fails
        return FetchedMedia(self.content, "image/png", None)

    async def send_text(self, _name: str, _message: SendText | SendMedia) -> Sent:
        self.sent += 1
        if self.fails is not None:
            raise self.fails
        return Sent("3EB0FRESH", JID, "PENDING", 0)

    send_media = send_text


def row(told: Webhook) -> FoundMessage:
    """A message as the gateway keeps it."""
    data: dict[str, Any] = told["data"]
    return FoundMessage(MessageKey(data["key"]["id"], data["key"]["remoteJid"], data["key"]["fromMe"]), 0, (), data)


async def do(desk: Desk, kind: str, faulty: Faulty, query: str = DUE) -> None:
    """Do what waits of this kind."""
    gateway: Any = faulty
    for due in await desk.workspace.rows(query, kind):
        await deliver(desk.workspace.kernel, Actors(gateway).handlers(), desk.workspace.tenant, due["id"])


async def look_for_picture(desk: Desk, caption: str, *held: Webhook) -> tuple[str | None, int]:
    """Send a picture, lose the answer, look for it: the id it is bound to, and how often it was sent."""
    number = (await desk.open())["id"]
    form: dict[str, Any] = {"files": {"file": ("a.png", PNG)}, "data": {"caption": caption} if caption else {}}
    await desk.do("POST", f"/{number}/media-messages", **form)
    await do(desk, "inbox.send", Faulty(OutcomeUnknown()))
    gateway = Faulty(held=list(held))
    await desk.workspace.rows("UPDATE outbox SET due_at = now() WHERE tenant_id = $1 AND kind = $2 RETURNING id", "inbox.send")
    await do(desk, "inbox.send", gateway)
    return (await desk.thread(number))[-1]["evolution_message_id"], gateway.sent


@pytest.mark.parametrize("caption", ["", "Nosso cardápio"])
async def test_a_lost_picture_is_found_by_kind_and_caption(desk: Desk, caption: str) -> None:
    picture = stamp(from_me=True)
    others = [
        webhooks.video(desk.chat(), stamp(from_me=True), caption),
        webhooks.image(desk.chat(), stamp(from_me=True), "outra"),
        webhooks.reaction(desk.chat(), stamp(from_me=True), "3A01", caption),
    ]
    found = await look_for_picture(desk, caption, *others, webhooks.image(desk.chat(), picture, caption))
    assert found == (picture.id, 0)


async def test_a_lost_picture_that_is_not_there_is_sent_again(desk: Desk) -> None:
    held = webhooks.video(desk.chat(), stamp(from_me=True)), webhooks.reaction(desk.chat(), stamp(from_me=True), "3A01", "")
    assert await look_for_picture(desk, "", *held) == ("3EB0FRESH", 1)


async def test_a_file_that_is_too_large_is_missing(desk: Desk) -> None:
    await desk.hear(webhooks.image(desk.chat(), stamp()))
    await do(desk, "inbox.fetch_media", Faulty(content=bytes(LARGEST + 2 * 1024 * 1024)))
    (message,) = await desk.thread((await desk.only())["id"])
    assert message["media"]["state"] == "missing"
    assert await desk.workspace.rows(DUE, "inbox.fetch_media") == []


async def test_a_file_is_asked_for_again_and_missing_in_the_end(desk: Desk) -> None:
    await desk.hear(webhooks.image(desk.chat(), stamp()))
    await do(desk, "inbox.fetch_media", Faulty(Transient()))
    (message,) = await desk.thread((await desk.only())["id"])
    assert message["media"]["state"] == "pending"
    await do(desk, "inbox.fetch_media", Faulty(Transient()), LAST)
    (message,) = await desk.thread((await desk.only())["id"])
    assert message["media"]["state"] == "missing"
    assert await desk.workspace.rows(DUE, "inbox.fetch_media") == []


async def test_a_message_whose_file_is_gone_fails(desk: Desk) -> None:
    number = (await desk.open())["id"]
    await desk.do("POST", f"/{number}/media-messages", files={"file": ("a.png", PNG)})
    (kept,) = await desk.workspace.rows("SELECT media->>'blob' AS blob FROM inbox_message WHERE tenant_id = $1 AND media IS NOT NULL")
    await desk.workspace.kernel.media.delete(kept["blob"])
    await do(desk, "inbox.send", Faulty())
    assert (await desk.thread(number))[-1]["status"] == "failed"


async def test_a_send_whose_outcome_stays_unknown_fails_in_the_end(desk: Desk) -> None:
    number = (await desk.open())["id"]
    await desk.do("POST", f"/{number}/messages", json={"body": "Oi"})
    await do(desk, "inbox.send", Faulty(OutcomeUnknown()), LAST)
    (message,) = await desk.workspace.rows(OUTGOING)
    assert (message["status"], "did not say" in message["error"]) == ("failed", True)
    assert await desk.workspace.rows(DUE, "inbox.send") == []


async def test_a_message_bound_by_its_echo_is_checked_for_stalling_too(desk: Desk) -> None:
    number = (await desk.open())["id"]
    queued = await desk.do("POST", f"/{number}/messages", json={"body": "Oi"})
    await desk.hear(webhooks.sent(desk.chat(), stamp(), "Oi"))
    assert await desk.workspace.rows(STALLED) == [{"key": str(queued["id"])}]


class Overtaken(MediaStore):
    """A store in memory; while it keeps a file, the conversation is deleted."""

    def __init__(self, desk: Desk, number: int) -> None:
        super().__init__("memory:")
        self.desk, self.number = desk, number
        self.kept: list[tuple[str, bytes]] = []

    async def put(self, tenant: int, data: bytes, key: bytes) -> str:
        blob = await super().put(tenant, data, key)
        assert await self.get(blob, key) == data
        self.kept.append((blob, key))
        await self.desk.do("DELETE", f"/{self.number}")
        return blob


async def test_a_refused_file_leaves_nothing_in_the_store(desk: Desk) -> None:
    number = (await desk.open())["id"]
    store = Overtaken(desk, number)
    upload = Upload(content=PNG, filename="a.png", caption=None, voice=False, seconds=None, waveform=None)
    async with working(replace(desk.workspace.kernel, media=store), desk.workspace.tenant) as uow:
        with pytest.raises(NotFound):
            await perform(uow, lambda: send_media(uow, number, upload))
    (kept,) = store.kept
    with pytest.raises(NotFound):
        await store.get(*kept)
