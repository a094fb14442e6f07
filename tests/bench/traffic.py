"""What clients ask of Plixa and of the reference programs: the same thing of both, about the same conversations."""

from itertools import count
from random import Random
from urllib.parse import quote, urlencode

import asyncpg
import msgspec
from msgspec import Struct

from plixa.kernel.cursor import encode
from plixa.kernel.search import beginnings, tsquery
from tests.bench.load import request
from tests.bench.seed import Seeded
from tests.bench.story import INSTANCES, gateway_name
from tests.bench.words import FIRST, LAST, VOCABULARY, phone
from tests.whatsapp import webhooks

LONG_ENOUGH = """SELECT id FROM inbox_conversation c WHERE tenant_id = 1 AND (
    SELECT count(*) FROM (SELECT FROM inbox_message m
        WHERE m.tenant_id = 1 AND m.conversation_id = c.id LIMIT $1) AS m) >= $1 ORDER BY hashint8(id) LIMIT $2"""
ANY = "SELECT id FROM inbox_conversation WHERE tenant_id = 1 ORDER BY hashint8(id) LIMIT $1"
EDGE = """SELECT last_message_at, id FROM inbox_conversation WHERE tenant_id = 1
ORDER BY last_message_at DESC, id DESC OFFSET $1 LIMIT 1"""
LIST = "/v1/conversations"

Requests = list[bytes]


class Both(Struct, frozen=True):
    """The same question to ours and to the reference."""

    ours: Requests
    reference: Requests


class Known(Struct, frozen=True):
    """What questions are about. ``long``: conversations of 50 messages and more; ``edges``: places deep in the list."""

    token: str
    secret: str
    conversations: int
    long: list[int]
    some: list[int]
    edges: list[tuple[object, int]]


async def look_around(database_url: str, seeded: Seeded) -> Known:
    """Pick what to ask about."""
    connection = await asyncpg.connect(database_url, server_settings={"timezone": "UTC"})
    try:
        some = [row["id"] for row in await connection.fetch(ANY, 4_000)]
        long = [row["id"] for row in await connection.fetch(LONG_ENOUGH, 50, 1_000)]
        offsets = [seeded.conversations * share // 100 for share in range(20, 96, 5)]
        edges = [tuple(row) for offset in offsets for row in await connection.fetch(EDGE, offset)]
    finally:
        await connection.close()
    return Known(seeded.token, seeded.secret, seeded.conversations, long or some, some, edges)


def listing(known: Known) -> dict[str, Both]:
    """First pages of every view, deep pages, and the search box."""
    views = {
        "default": ("", "all"),
        "mine": ("view=mine", "mine"),
        "unassigned": ("view=unassigned", "unassigned"),
        "snoozed": ("view=snoozed", "snoozed"),
        "closed": ("status=closed", "closed"),
    }
    both = {
        name: Both([ask(known, f"{LIST}?limit=50&{ours}")], [request("GET", f"/list/{theirs}")]) for name, (ours, theirs) in views.items()
    }
    return both | {"deep page": deep_pages(known), "q": by_name(known)}


def deep_pages(known: Known) -> Both:
    """Pages behind a fifth and more of everything."""
    ours = [ask(known, f"{LIST}?limit=50&status=all&cursor={encode(edge)}") for edge in known.edges]
    theirs = [request("GET", "/deep?" + urlencode({"at": at.isoformat(), "number": id_})) for at, id_ in known.edges]  # type: ignore[attr-defined]
    return Both(ours, theirs)


def by_name(known: Known) -> Both:
    """First and last names, which thousands share, and the ends of phone numbers, which few do."""
    wanted = [*FIRST[::6], *(f"{first} {last}" for first, last in zip(FIRST[::5], LAST[::4], strict=False))]
    wanted += [phone(number)[-8:] for number in known.some[:10]]
    ours = [ask(known, f"{LIST}?limit=50&q={quote(text)}") for text in wanted]
    return Both(ours, [request("GET", "/find?q=" + quote(tsquery(beginnings(1, text)))) for text in wanted])


def opening(known: Known) -> Both:
    """Conversations with their last 50 messages."""
    ours = [ask(known, f"{LIST}/{number}/open?limit=50") for number in known.long]
    return Both(ours, [request("GET", f"/open/{number}") for number in known.long])


def searches(known: Known) -> dict[str, Requests]:
    """In all messages: words nearly everybody says, words some say, words few say, and two words together."""
    wanted = {
        "common word": VOCABULARY[:20],
        "ordinary word": VOCABULARY[60:400:7],
        "rare word": VOCABULARY[-600::13],
        "two words": [f"{one} {two}" for one, two in zip(VOCABULARY[20:60], VOCABULARY[100:140], strict=True)],
        "beginning of a word": [word[:3] for word in VOCABULARY[60:400:11]],
    }
    return {name: [ask(known, f"{LIST}/search?limit=50&q={quote(text)}") for text in texts] for name, texts in wanted.items()}


def replies(known: Known) -> Both:
    """An operator's text to conversation after conversation."""
    body = msgspec.json.encode({"body": "Olá! Seu pedido saiu para entrega, chega até as 15h."})
    ours = [request("POST", f"{LIST}/{number}/messages", token=known.token, body=body) for number in known.some]
    return Both(ours, [request("POST", f"/reply/{number}", body=body) for number in known.some])


def inbound(known: Known, serial: "count[int]", amount: int) -> Both:
    """Texts nobody has seen yet: nine of ten from customers we know, the tenth from somebody new."""
    dice = Random(next(serial))
    told = [_text(known, dice, next(serial)) for _ in range(amount)]
    bodies = [msgspec.json.encode(one) for one in told]
    headers = {"X-Plixa-Token": known.secret}
    ours = [
        request("POST", f"/v1/webhooks/evolution/{one['instance']}", body=body, headers=headers)
        for one, body in zip(told, bodies, strict=True)
    ]
    return Both(ours, [request("POST", "/webhook", body=body) for body in bodies])


def _text(known: Known, dice: Random, serial: int) -> webhooks.Webhook:
    is_new = dice.random() < 0.1
    number = known.conversations + serial if is_new else 1 + dice.randrange(known.conversations)
    chat = webhooks.Chat(phone=phone(number), name=f"Cliente {number}", instance=gateway_name(1 + number % INSTANCES))
    return webhooks.text(chat, webhooks.Stamp(id=f"3B{serial:018X}"), f"Oi, vocês entregam hoje? #{serial}")


def ask(known: Known, path: str) -> bytes:
    """A GET by the owner."""
    return request("GET", path, token=known.token)
