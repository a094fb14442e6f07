"""An erased contact is forgotten: no table, file or log line holds who they were or what was said, and the log still verifies."""

import asyncio
import secrets
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from httpx import Response
from msgspec import Struct

from plixa.inbox.actors import Actors
from plixa.inbox.queries.realtime import render
from plixa.kernel.auth import Principal
from plixa.kernel.crypto import StreamCipher, place_of_key
from plixa.kernel.delivery import deliver
from plixa.kernel.rebuild import rebuild
from plixa.kernel.settings import Settings
from plixa.whatsapp.client import FetchedMedia, SendText, Sent, Transient
from projections.registry import INLINE
from tests.inbox.desk import Desk, stamp
from tests.inbox.test_arrivals import named
from tests.inbox.test_commands import PNG, code
from tests.support.numbers import connect_number
from tests.support.world import Member
from tests.whatsapp import webhooks
from tests.whatsapp.webhooks import Chat, Stamp

KINDS = [
    *("text", "early", "edit", "echo", "reply", "note", "file", "filename", "caption", "image", "document", "card", "reaction"),
    *("quote", "kind", "custom", "notes", "lost", "group", "hidden", "elsewhere", "book", "fetched", "unsent", "sure", "person"),
]
PUBLIC = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
KEYS = "SELECT stream_id, wrapped_key FROM stream_key WHERE tenant_id = $1"
SEALED = """SELECT stream_id, payload, key FROM webhook_seen WHERE tenant_id = $1
UNION ALL SELECT stream_id, payload, topic FROM snapshot WHERE tenant_id = $1"""
BLOBS = "SELECT media->>'blob' AS blob FROM inbox_message WHERE tenant_id = $1 AND conversation_id = $2 AND media ? 'blob'"
PARKED = "SELECT fact FROM parked_update WHERE tenant_id = $1"
READ_MODELS = ("inbox_conversation", "inbox_message", "inbox_name", "inbox_text", "counter")
OUTBOX = "SELECT id, kind, payload, error FROM outbox WHERE tenant_id = $1 ORDER BY id"
CONTACT = "SELECT id, name, phone, erased_at FROM contact WHERE tenant_id = $1 ORDER BY id"


class Customer:
    """Somebody with a phone, a LID and a word of their own for everything that can be said."""

    def __init__(self) -> None:
        self.tail = f"9{secrets.randbelow(10**6):06d}8"
        self.lid = f"84{secrets.randbelow(10**12):012d}"
        self.words = {kind: f"canary{secrets.token_hex(6)}" for kind in ("name", *KINDS)}

    @property
    def phone(self) -> str:
        return f"55119{self.tail}"

    @property
    def secrets(self) -> dict[str, bytes]:
        """What must not be found, by what it is."""
        forms = {"phone": self.phone, "short phone": f"5511{self.tail}", "national": f"119{self.tail}", "lid": self.lid}
        return {what: said.encode() for what, said in (forms | self.words | {"short national": f"11{self.tail}"}).items()}

    def chat(self, desk: Desk) -> Chat:
        """As the gateway knows them once it has both addresses."""
        return desk.chat(self.phone, lid=self.lid, name=self.words["name"], version="2.3.6")


class Told(Struct, frozen=True):
    """A customer's conversation, and those that ended in it or stand beside it."""

    contact: int
    number: int
    hidden: int
    elsewhere: int
    message: int
    first: str
    sent: Stamp


class Line:
    """A gateway that has one file, takes a text or, with ``fault``, does not."""

    def __init__(self, content: bytes = b"", fault: str | None = None) -> None:
        self.content, self.fault = content, fault
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()
        self.may_answer.set()

    async def send_text(self, _instance: str, message: SendText) -> Sent:
        self.asked.set()
        await self.may_answer.wait()
        if self.fault is not None:
            raise Transient(f"{self.fault} {message.to} {message.text}")
        return Sent(gateway_id=message.message_id, jid=message.to, status="PENDING", timestamp=0)

    async def fetch_media(self, _instance: str, _key: object) -> FetchedMedia:
        return FetchedMedia(self.content, "image/jpeg", None)

    async def work(self, desk: Desk, *kinds: str) -> None:
        """Do what is waiting of these kinds."""
        gateway: Any = self
        for row in await desk.workspace.rows(OUTBOX):
            if row["kind"] in kinds:
                await deliver(desk.workspace.kernel, Actors(gateway).handlers(), desk.workspace.tenant, row["id"])


async def converse(desk: Desk, beside: Desk, who: Customer) -> Told:
    """Everything that can be said, in every place that keeps it."""
    words, chat, first, reacted = who.words, who.chat(desk), stamp(), stamp()
    await desk.hear(webhooks.text(desk.chat(None, lid=who.lid, name=words["name"]), stamp(), words["hidden"]))
    (before,) = [one for one in await desk.all(status="all") if one["contact_name"] == words["name"]]
    await desk.hear(webhooks.edit(chat, first.id, words["early"], 1_767_600_900_000))
    await desk.hear(webhooks.text(desk.chat(who.phone, name=words["name"]), first, words["text"]), named(chat))
    (shown,) = [one for one in await desk.all(status="all") if one["contact_name"] == words["name"]]
    number = shown["id"]
    await desk.hear(
        webhooks.edit(chat, first.id, words["edit"], 1_767_600_950_000),
        webhooks.echo(chat, stamp(), words["echo"]),
        webhooks.image(chat, reacted, words["image"]),
        webhooks.document(chat, stamp(), f"{words['document']}.pdf"),
        webhooks.contact_card(chat, stamp(), words["card"]),
        webhooks.unknown_kind(chat, stamp(), f"{words['kind']}Message"),
        webhooks.reaction(chat, stamp(), reacted.id, words["reaction"]),
        webhooks.quoted_reply(chat, stamp(), words["quote"], first.id),
        webhooks.edit(chat, stamp().id, words["lost"], 1_767_600_990_000),
        in_a_group(who.chat(desk), words["group"]),
    )
    await beside.hear(webhooks.text(who.chat(beside), stamp(), words["elsewhere"]))
    (other,) = [one for one in await desk.all(status="all", phone_instance_id=beside.number.id) if one["contact_name"] == words["name"]]
    sent, message = await reply(desk, number, who), await send_file(desk, number, who)
    place, owner = f"/v1/contacts/{shown['contact']['id']}", desk.workspace.owner
    assert (await desk.client.patch(place, json={"notes": words["person"]}, headers=owner.headers)).status_code == 200
    return Told(shown["contact"]["id"], number, before["id"], other["id"], message, first.id, sent)


async def reply(desk: Desk, number: int, who: Customer) -> Stamp:
    """What members write: a message that goes out, whose identity is the answer, one that is refused for now, a note, names."""
    words = who.words
    await Line(PNG + words["fetched"].encode()).work(desk, "inbox.fetch_media")
    headers = {"Idempotency-Key": secrets.token_hex(8)}
    await desk.do("POST", f"/{number}/messages", json={"body": words["reply"]}, headers=headers)
    await Line().work(desk, "inbox.send")
    (sent,) = [Stamp(id=one["evolution_message_id"], from_me=True) for one in await desk.thread(number) if one["body"] == words["reply"]]
    await desk.hear(webhooks.sent(who.chat(desk), sent, words["reply"]), webhooks.ack(who.chat(desk), sent, "DELIVERY_ACK"))
    await desk.do("POST", f"/{number}/messages", json={"body": words["unsent"]})
    await Line(fault=f"{words['sure']} is not there:").work(desk, "inbox.send")
    await desk.do("POST", f"/{number}/messages", json={"body": words["note"], "type": "note"})
    await desk.do("PATCH", f"/{number}", json={"contact_name": words["custom"], "notes": words["notes"]})
    return sent


async def send_file(desk: Desk, number: int, who: Customer) -> int:
    """A file that waits to be sent; answers the message's id."""
    content = PNG + who.words["file"].encode()
    form: dict[str, Any] = {"files": {"file": (f"{who.words['filename']}.png", content)}, "data": {"caption": who.words["caption"]}}
    return int((await desk.do("POST", f"/{number}/media-messages", **form))["id"])


def in_a_group(chat: Chat, body: str) -> webhooks.Webhook:
    """What they say in a group is nobody's conversation, and kept raw all the same."""
    webhook = webhooks.group_message(chat, stamp())
    webhook["data"]["message"] = {"conversation": body}
    webhook["data"]["key"]["participant"] = f"{chat.phone}@s.whatsapp.net"
    return webhook


async def address_book(desk: Desk, *people: Customer) -> None:
    """One delivery that tells of everybody, and names a stranger beside them."""
    stranger = desk.chat("5521911113333", name="")
    await desk.hear(webhooks.text(stranger, stamp(), "Oi"))
    named_so = [(stranger, "Zé"), *((who.chat(desk), who.words["book"]) for who in people)]
    told = [{**webhooks.key(chat, stamp()), "pushName": name, "instanceId": "1"} for chat, name in named_so]
    await desk.hear(webhooks.envelope(desk.chat(), "contacts.update", told))


async def copied(settings: Settings) -> bytes:
    """Every row of every table as the database would write it to a backup, and every file."""
    connection, found = await asyncpg.connect(settings.database_url), [b""]

    async def take(data: bytes) -> None:
        found.append(data)

    for table in await connection.fetch(PUBLIC):
        await connection.copy_from_query(f"SELECT * FROM {table['relname']}", output=take, format="binary")
    await connection.close()
    return b"\0".join([*found, *files(Path(settings.media_url.removeprefix("file://")))])


def files(folder: Path) -> Iterator[bytes]:
    """The content of every file in a folder."""
    return (file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def opened(desk: Desk) -> bytes:
    """Everything the tenant has that is sealed, opened with every key that is left."""
    workspace = desk.workspace
    vault, tenant = workspace.kernel.vault, workspace.tenant
    rows = await workspace.rows(KEYS)
    keys = {row["stream_id"]: vault.open(row["wrapped_key"], place_of_key(tenant, row["stream_id"])) for row in rows}
    found = [repr(fact).encode() for fact in await desk.log()]
    for row in await workspace.rows(SEALED):
        if row["stream_id"] in keys:
            found.append(StreamCipher(key=keys[row["stream_id"]]).decrypt(row["payload"]))
        elif row["stream_id"] is None and row["payload"]:
            found.append(vault.open(row["payload"], f"webhook_seen/{tenant}/{row['key']}"))
    found += [vault.open(row["fact"], f"parked/{tenant}") for row in await workspace.rows(PARKED)]
    blobs = "SELECT id, conversation_id FROM inbox_message WHERE tenant_id = $1 AND media ? 'blob'"
    for row in await workspace.rows(blobs):
        found.append((await desk.call("GET", f"/{row['conversation_id']}/messages/{row['id']}/media")).content)
    return b"\n".join(found)


def is_there(settings: Settings, blob: str) -> bool:
    """Is the file still in the store?"""
    return (Path(settings.media_url.removeprefix("file://")) / blob).exists()


def found_in(dump: bytes, who: Customer) -> set[str]:
    """What of somebody a dump holds."""
    return {what for what, said in who.secrets.items() if said in dump}


async def erase(desk: Desk, contact: int, member: Member | None = None) -> Response:
    """As members ask for it."""
    headers = (member or desk.workspace.owner).headers
    return await desk.client.post(f"/v1/contacts/{contact}/erase", headers=headers)


async def read_models(desk: Desk) -> list[str]:
    """Every row of every read model, as text."""
    queries = [f"SELECT t::text AS row FROM {table} t WHERE tenant_id = $1 ORDER BY 1" for table in READ_MODELS]
    return [row["row"] for query in queries for row in await desk.workspace.rows(query)]


async def test_nothing_leads_to_them_any_more(desk: Desk, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    beside = Desk(desk.workspace, await connect_number(settings, desk.workspace), desk.client, desk.app)
    gone, stays = Customer(), Customer()
    told, kept = await converse(desk, beside, gone), await converse(desk, beside, stays)
    await address_book(desk, gone, stays)
    before, stored = await opened(desk), await desk.workspace.rows(BLOBS, told.number)
    readable = await copied(settings) + before
    assert [who.secrets.keys() - found_in(readable, who) for who in (gone, stays)] == [{"book"}, {"book"}]

    answer = await erase(desk, told.contact)

    assert answer.status_code == 200, answer.text
    assert set(answer.json()["data"]["conversations"]) == {told.number, told.hidden, told.elsewhere}
    await desk.hear(webhooks.ack(gone.chat(desk), told.sent, "READ"), webhooks.edit(gone.chat(desk), told.first, gone.words["edit"], 1))
    await Line().work(desk, "inbox.delete_media")
    assert (len(stored), [row["blob"] for row in stored if is_there(settings, row["blob"])]) == (3, [])
    after = await opened(desk)
    left = await copied(settings) + after
    assert found_in(left + caplog.text.encode(), gone) == set()
    assert (found_in(left, stays), found_in(after, stays)) == (found_in(readable, stays), found_in(before, stays))
    assert [row for row in await desk.workspace.rows(OUTBOX) if f"{told.number}" in row["payload"]] == []
    for number in (kept.number, kept.elsewhere):
        assert (await desk.call("GET", f"/{number}/messages")).status_code == 200
    assert await desk.is_sound()
    incremental = await read_models(desk)
    await rebuild(settings, INLINE, desk.workspace.tenant)
    assert await read_models(desk) == incremental


async def test_all_there_was_answers_that_it_was_erased(desk: Desk, ana: Member) -> None:
    who = Customer()
    told = await converse(desk, desk, who)
    other = (await desk.open("5511955550000"))["id"]
    before = (await desk.log())[-1].position
    await erase(desk, told.contact)
    calls: tuple[tuple[str, str, dict[str, Any]], ...] = (
        *(("GET", path, {}) for path in ("", "/messages", "/events", "/open", f"/messages/{told.message}/media")),
        *(("GET", path, {"params": {"as_of": "2098-01-01T00:00:00Z"}}) for path in ("", "/messages")),
        *(("POST", path, {}) for path in ("/close", "/reopen", "/read", "/unread")),
        ("POST", "/snooze", {"json": {"until": None}}),
        ("POST", "/messages", {"json": {"body": "Oi"}}),
        ("POST", "/media-messages", {"files": {"file": ("a.png", PNG)}}),
        ("PATCH", "", {"json": {"notes": "x"}}),
        ("DELETE", "", {}),
    )
    for method, path, more in calls:
        for number in (told.number, told.hidden):
            answer = await desk.call(method, f"/{number}{path}", **more)
            assert (answer.status_code, code(answer)) == (410, "ERASED"), (method, path, answer.text)
    for action in ("close", "delete"):
        assert (await desk.do("POST", "/bulk", json={"action": action, "ids": [told.number]}))["affected"] == 0
    assert [one["id"] for one in await desk.all(status="all")] == [other]
    assert await desk.do("GET", "/search", params={"q": who.words["text"]}) == await desk.all(status="all", q=who.phone) == []
    agent = Principal(kind="panel", token_id=1, tenant=desk.workspace.tenant, user_id=ana.id, name="Ana", role="agent", restricted=True)
    fresh = [fact for fact in await desk.log() if fact.position > before]
    seen = [(one.event, one.data) for one in await render(desk.workspace.kernel, agent, fresh)]
    gone = [("ConversationDeleted", b'{"id":%d}' % number) for number in sorted({told.number, told.hidden})]
    assert seen == [*gone, ("WorkspaceUpdated", b'{"keys":["contacts"]}')]


async def test_the_receipt_is_what_the_log_says(desk: Desk) -> None:
    number = (await desk.open())["id"]
    contact = (await desk.show(number))["contact"]["id"]
    last = (await desk.do("GET", f"/{number}/events"))[0]
    (link,) = await desk.workspace.rows("SELECT hash FROM event WHERE tenant_id = $1 AND position = $2", last["position"])
    answer = await erase(desk, contact)
    receipt = answer.json()["data"]
    lines = f"{contact}|{receipt['erased_at']}|{receipt['pseudonym']}\n{number}|{last['version']}|{link['hash'].hex()}"
    assert receipt["hash"] == sha256(lines.encode()).hexdigest()
    *_, erased, _kept, entry = await desk.log()
    assert (erased.event.TOPIC, erased.number, erased.at.isoformat()) == ("conversation.erased", number, iso(receipt["erased_at"]))
    assert (entry.event.action, entry.event.subject_id, entry.actor.id) == ("contact.erased", contact, desk.workspace.owner.id)
    assert entry.event.after == {"conversations": [number], "hash": receipt["hash"]}
    assert answer.headers["x-plixa-position"] == str(entry.position)
    (row,) = await desk.workspace.rows(CONTACT)
    assert (row["name"], row["phone"], row["erased_at"].isoformat()) == (None, receipt["pseudonym"], iso(receipt["erased_at"]))


async def test_only_the_owner_once_and_in_her_own_workspace(desk: Desk, other_desk: Desk, ana: Member) -> None:
    (mine, theirs) = [(await each.open())["contact"]["id"] for each in (desk, other_desk)]
    assert (await erase(desk, mine, ana)).status_code == 403
    nobody = await erase(desk, 2**52)
    foreign = await erase(desk, theirs)
    assert (foreign.status_code, foreign.json()) == (nobody.status_code, nobody.json()) == (404, foreign.json())
    assert (await erase(desk, mine)).status_code == 200
    again = await erase(desk, mine)
    assert (again.status_code, code(again)) == (410, "ERASED")
    assert [row["erased_at"] for row in await other_desk.workspace.rows(CONTACT)] == [None]
    assert (await other_desk.only())["contact"]["id"] == theirs


async def test_who_was_merged_is_erased_with_them_and_counted_once(desk: Desk) -> None:
    who = Customer()
    told = await converse(desk, desk, who)
    rows = await desk.workspace.rows(CONTACT)
    (absorbed,) = [row["id"] for row in rows if row["id"] != told.contact]
    assert (await erase(desk, absorbed)).status_code == 404
    pseudonym = (await erase(desk, told.contact)).json()["data"]["pseudonym"]
    assert pseudonym.startswith("erased:")
    assert {(row["name"], row["phone"]) for row in await desk.workspace.rows(CONTACT)} == {(None, pseudonym)}
    assert (await erase(desk, absorbed)).status_code == 410
    await desk.hear(webhooks.text(desk.chat(f"5511{who.tail}"), stamp(), "de novo"))
    fresh = await desk.only()
    assert fresh["contact"]["id"] not in (told.contact, absorbed)
    assert fresh["id"] not in (told.number, told.hidden)
    assert [message["body"] for message in await desk.thread(fresh["id"])] == ["de novo"]
    assert (await erase(desk, fresh["contact"]["id"])).json()["data"]["pseudonym"] == pseudonym


async def test_whose_conversation_was_deleted_can_still_be_erased(desk: Desk) -> None:
    opened = await desk.open()
    await desk.do("DELETE", f"/{opened['id']}")
    assert [row["phone"] for row in await desk.workspace.rows(CONTACT)] == ["5511987654321"]
    receipt = (await erase(desk, opened["contact"]["id"])).json()["data"]
    assert receipt["conversations"] == []
    assert [(row["name"], row["phone"]) for row in await desk.workspace.rows(CONTACT)] == [(None, receipt["pseudonym"])]
    assert (await desk.call("GET", f"/{opened['id']}")).status_code == 404


async def test_a_reply_that_is_on_its_way_ends_quietly(desk: Desk) -> None:
    opened = await desk.open()
    await desk.do("POST", f"/{opened['id']}/messages", json={"body": "Já respondo"})
    line = Line()
    line.may_answer.clear()
    sending = asyncio.create_task(line.work(desk, "inbox.send"))
    await line.asked.wait()
    assert (await erase(desk, opened["contact"]["id"])).status_code == 200
    line.may_answer.set()
    await sending
    assert {row["kind"] for row in await desk.workspace.rows(OUTBOX)} == {"whatsapp.create_instance", "scheduling.erase_contacts"}
    assert (await desk.log())[-1].event.TOPIC == "audit.recorded"


async def test_whoever_writes_meanwhile_is_erased_or_begins_anew(desk: Desk) -> None:
    opened = await desk.open()
    contact = opened["contact"]["id"]
    told = [webhooks.text(desk.chat(), stamp(), f"#{turn}") for turn in range(12)]
    reply = partial(desk.call, "POST", f"/{opened['id']}/messages", json={"body": "Oi"})
    hearing = asyncio.gather(desk.hear_at_once(told[:6]), desk.hear_at_once(told[6:]))
    erasures, replies = await asyncio.gather(
        asyncio.gather(erase(desk, contact), erase(desk, contact)), asyncio.gather(*(reply() for _ in range(4)))
    )
    await hearing
    assert sorted(answer.status_code for answer in erasures) == [200, 410]
    assert {answer.status_code for answer in replies} <= {201, 410}
    left = await desk.all(status="all")
    assert [one["contact"]["id"] for one in left if one["contact"]["id"] == contact] == []
    keys = await desk.workspace.rows("SELECT stream_id FROM stream_key WHERE tenant_id = $1 AND contact_id = $2", contact)
    aliases = await desk.workspace.rows("SELECT value FROM contact_alias WHERE tenant_id = $1 AND contact_id = $2", contact)
    assert keys == aliases == []
    shown = [message["body"] for one in left for message in await desk.thread(one["id"])]
    assert len(left) <= 1
    assert len(shown) == len(set(shown))
    assert await desk.is_sound()


def iso(told: str) -> str:
    """A time of the API as Python writes it."""
    return datetime.fromisoformat(told).isoformat()
