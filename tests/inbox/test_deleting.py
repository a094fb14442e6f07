"""A deleted conversation is gone for good: no key that is left opens anything it said, and the log still verifies."""

import secrets
from typing import Any

from plixa.kernel.crypto import Unreadable
from tests.inbox.desk import Desk, stamp
from tests.inbox.test_commands import PNG
from tests.whatsapp import webhooks

TABLES = """SELECT DISTINCT c.relname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attname = 'tenant_id' AND NOT a.attisdropped"""


async def dump(desk: Desk) -> bytes:
    """Everything the tenant has in the database, sealed things opened with every key that is left."""
    found = [b""]
    for table in await desk.workspace.rows(f"SELECT name FROM ({TABLES}) t WHERE $1::bigint > 0"):
        rows = await desk.workspace.rows(f"SELECT * FROM {table['name']} WHERE tenant_id = $1")
        found += [part for row in rows for part in parts(desk, row)]
    found += [repr(fact).encode() for fact in await desk.log()]
    return b"\n".join(found)


def parts(desk: Desk, row: dict[str, Any]) -> list[bytes]:
    """A row's values as bytes; what the master key seals, opened."""
    values = [value if isinstance(value, bytes) else str(value).encode() for value in row.values()]
    vault, tenant = desk.workspace.kernel.vault, desk.workspace.tenant
    for column, place in (("payload", f"webhook_seen/{tenant}/{row.get('key')}"), ("fact", f"parked/{tenant}")):
        if isinstance(row.get(column), bytes):
            try:
                values.append(vault.open(row[column], place))
            except Unreadable:
                continue
    return values


async def test_nothing_it_said_can_be_read_again(desk: Desk) -> None:
    names = ("text", "early", "edit", "echo", "reply", "note", "file", "caption", "image", "sent")
    words = {name: f"canary{secrets.token_hex(6)}" for name in names}
    chat, first, second = desk.chat(), stamp(), stamp()
    headers = {"Idempotency-Key": secrets.token_hex(8)}
    await desk.hear(webhooks.edit(chat, first.id, words["early"], 1_767_600_900_000), webhooks.text(chat, first, words["text"]))
    number = (await desk.only())["id"]
    await desk.hear(webhooks.edit(chat, first.id, words["edit"], 1_767_600_950_000), webhooks.echo(chat, stamp(), words["echo"]))
    await desk.hear(webhooks.image(chat, second, words["image"]))
    await desk.do("POST", f"/{number}/messages", json={"body": words["reply"]}, headers=headers)
    await desk.hear(webhooks.sent(chat, stamp(), words["reply"]))
    sent = (await desk.thread(number))[-1]
    again = webhooks.Stamp(id=sent["evolution_message_id"])
    await desk.hear(webhooks.echo(chat, again, words["sent"]))
    await desk.do("POST", f"/{number}/messages", json={"body": words["note"], "type": "note"})
    form: dict[str, Any] = {"files": {"file": (f"{words['file']}.png", PNG)}, "data": {"caption": words["caption"]}}
    media = (await desk.do("POST", f"/{number}/media-messages", **form))["media"]
    await desk.do("PATCH", f"/{number}", json={"notes": words["note"]})
    readable = await dump(desk)
    assert {name for name, word in words.items() if word.encode() not in readable} <= {"sent"}
    ((blob,),) = [row.values() for row in await desk.workspace.rows(
        "SELECT media->>'blob' AS blob FROM inbox_message WHERE tenant_id = $1 AND media ? 'blob'"
    )]  # fmt: skip

    await desk.do("DELETE", f"/{number}")

    left = await dump(desk)
    assert [name for name, word in words.items() if word.encode() in left] == []
    assert (await desk.client.get(media["url"], headers=desk.workspace.owner.headers)).status_code == 404
    assert await desk.all(status="all") == await desk.do("GET", "/search", params={"q": words["text"]}) == []
    for path in ("", "/messages", "/events", "/open", "?as_of=2098-01-01T00:00:00Z"):
        assert (await desk.call("GET", f"/{number}{path}")).status_code == 404
    assert await desk.is_sound()
    (effect,) = await desk.workspace.rows("SELECT payload FROM outbox WHERE tenant_id = $1 AND kind = 'inbox.delete_media'")
    assert blob in effect["payload"]
    assert not any((await desk.do("GET", "/counts")).values())


async def test_what_comes_after_begins_anew(desk: Desk) -> None:
    first = stamp()
    await desk.hear(webhooks.text(desk.chat(), first, "velho"))
    number = (await desk.only())["id"]
    await desk.do("DELETE", f"/{number}")
    await desk.hear(webhooks.text(desk.chat(), first, "velho"), webhooks.ack(desk.chat(), first, "READ"))
    assert await desk.all(status="all") == []
    await desk.hear(webhooks.text(desk.chat(), stamp(), "novo"))
    fresh = await desk.only()
    assert fresh["id"] != number
    assert [message["body"] for message in await desk.thread(fresh["id"])] == ["novo"]
