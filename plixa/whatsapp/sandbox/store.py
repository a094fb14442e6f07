"""What the sandbox gateway remembers: its instances and messages, in one SQLite file under its home."""

import sqlite3
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

Json = dict[str, Any]

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS instance (name TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS message (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, instance TEXT NOT NULL, id TEXT NOT NULL, jid TEXT NOT NULL,
    body BLOB NOT NULL, media BLOB, UNIQUE (instance, id));
CREATE INDEX IF NOT EXISTS message_chat ON message (instance, jid);
"""


class Instance(Struct, kw_only=True):
    """A number: ``state`` is open, connecting or close; ``webhook`` is the stored row or None."""

    name: str
    id: str
    token: str
    number: str | None = None
    state: str = "close"
    owner: str | None = None
    profile: str = "Loja de demonstração"
    webhook: Json | None = None
    settings: Json = {}
    disconnection: int | None = None
    created_at: str = ""


class Media(Struct):
    content: bytes
    mime: str
    filename: str | None = None


class Message(Struct, kw_only=True):
    """A message as MESSAGES_UPSERT and SEND_MESSAGE carry it (``row``), and what became of it."""

    seq: int = 0
    instance: str
    row: Json
    source: str
    statuses: list[str] = []
    mime: str | None = None
    filename: str | None = None
    size: int = 0
    read: bool = False

    @property
    def id(self) -> str:
        return str(self.row["key"]["id"])

    @property
    def jid(self) -> str:
        return str(self.row["key"]["remoteJid"])


class Store:
    """One connection, used from the sandbox's own loop only."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(home / "sandbox.sqlite3", isolation_level=None)
        self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;" + SCHEMA)

    def close(self) -> None:
        self._db.close()

    def instances(self) -> list[Instance]:
        rows = self._db.execute("SELECT body FROM instance ORDER BY rowid")
        return [msgspec.json.decode(body, type=Instance) for (body,) in rows]

    def instance(self, name: str) -> Instance | None:
        row = self._db.execute("SELECT body FROM instance WHERE name = ?", (name,)).fetchone()
        return msgspec.json.decode(row[0], type=Instance) if row else None

    def keep_instance(self, instance: Instance) -> None:
        self._db.execute(
            "INSERT INTO instance VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body",
            (instance.name, msgspec.json.encode(instance)),
        )

    def drop_instance(self, name: str) -> None:
        self._db.execute("DELETE FROM message WHERE instance = ?", (name,))
        self._db.execute("DELETE FROM instance WHERE name = ?", (name,))

    def add_message(self, message: Message, media: Media | None = None) -> int:
        """Its place in the order of arrival; the same id again replaces the message."""
        if media:
            message.mime, message.filename, message.size = media.mime, media.filename, len(media.content)
        cursor = self._db.execute(
            "INSERT OR REPLACE INTO message (instance, id, jid, body, media) VALUES (?, ?, ?, ?, ?)",
            (message.instance, message.id, message.jid, msgspec.json.encode(message), media and media.content),
        )
        return int(cursor.lastrowid or 0)

    def keep_message(self, message: Message) -> None:
        self._db.execute("UPDATE message SET body = ? WHERE seq = ?", (msgspec.json.encode(message), message.seq))

    def message(self, instance: str, message_id: str) -> Message | None:
        return next(iter(self._messages("instance = ? AND id = ?", (instance, message_id))), None)

    def media(self, instance: str, message_id: str) -> bytes | None:
        query = "SELECT media FROM message WHERE instance = ? AND id = ?"
        row = self._db.execute(query, (instance, message_id)).fetchone()
        return row[0] if row else None

    def chat(self, instance: str, *jids: str) -> list[Message]:
        """Oldest first; several addresses of one contact make one chat, none means every chat."""
        places = ",".join("?" * len(jids))
        where = f"instance = ? AND jid IN ({places})" if jids else "instance = ?"
        return self._messages(where, (instance, *jids))

    def has_chat(self, instance: str, jid: str) -> bool:
        query = "SELECT 1 FROM message WHERE instance = ? AND jid = ? LIMIT 1"
        return self._db.execute(query, (instance, jid)).fetchone() is not None

    def since(self, seq: int) -> list[Message]:
        return self._messages("seq > ?", (seq,))

    def _messages(self, where: str, values: tuple[Any, ...]) -> list[Message]:
        query = f"SELECT seq, body FROM message WHERE {where} ORDER BY seq"  # noqa: S608 - only our own clauses
        messages = []
        for seq, body in self._db.execute(query, values):
            message = msgspec.json.decode(body, type=Message)
            message.seq = seq
            messages.append(message)
        return messages
