"""What a tenant's inbox has come to, in a form in which neither ids nor the order of arrival show."""

from collections import Counter
from typing import Any

from msgspec import Struct

from plixa.kernel.log import Log
from tests.chaos.world import Shop

CONVERSATIONS = """SELECT c.phone, c.contact_name, c.status, c.handler, c.episode, c.unread_count, c.reply_to, c.last_message_at,
    c.last_message_type, c.last_message_body, c.last_message_direction,
    (SELECT gateway_id FROM inbox_message m WHERE m.tenant_id = c.tenant_id AND m.id = c.last_message_id) AS last_message,
    (SELECT array_agg(value ORDER BY value) FROM contact_alias a WHERE a.tenant_id = c.tenant_id AND a.contact_id = c.contact_id) AS who,
    (SELECT count(*) FROM inbox_message m WHERE m.tenant_id = c.tenant_id AND m.conversation_id = c.id) AS messages
FROM inbox_conversation c WHERE c.tenant_id = $1"""
MESSAGES = """SELECT m.gateway_id, c.phone, c.contact_name, m.direction, m.type, m.body, m.status, m.error, m.author_type, m.sent_at,
    m.quoted_gateway_id, m.unsupported_kind, m.media::text, m.location::text, m.contacts::text, m.edited_at,
    m.revoked_at IS NOT NULL AS revoked, m.accepted_at IS NOT NULL AS accepted, m.delivered_at IS NOT NULL AS delivered,
    m.read_at IS NOT NULL AS read,
    (SELECT array_agg(r->>'by' || ' ' || coalesce(r->>'emoji', '') || ' ' || (r->>'at') ORDER BY r->>'by')
     FROM jsonb_array_elements(m.reactions) r) AS reactions
FROM inbox_message m LEFT JOIN inbox_conversation c ON c.tenant_id = m.tenant_id AND c.id = m.conversation_id WHERE m.tenant_id = $1"""
CONTACTS = """SELECT c.phone, c.name, array_agg(a.value ORDER BY a.value) AS aliases FROM contact c
JOIN contact_alias a ON a.tenant_id = c.tenant_id AND a.contact_id = c.id WHERE c.tenant_id = $1 AND c.merged_into IS NULL
GROUP BY c.id, c.phone, c.name"""
COUNTERS = "SELECT projection, key, value FROM counter WHERE tenant_id = $1 AND value <> 0"
SEEN = "SELECT key FROM webhook_seen WHERE tenant_id = $1"
PARKED = "SELECT gateway_id, key FROM parked_update WHERE tenant_id = $1"
EFFECTS = "SELECT kind, count(*) FROM outbox WHERE tenant_id = $1 AND kind LIKE 'inbox.%' GROUP BY kind"
TOLD = ("message.received", "message.echoed", "message.acknowledged", "message.edited", "message.revoked", "message.reacted")

Facts = Counter[tuple[Any, ...]]


class State(Struct, frozen=True):
    """Rows without their ids, counted: a repeated one shows as two, a missing one as none."""

    conversations: Facts
    messages: Facts
    contacts: Facts
    counters: Facts
    deliveries: Facts
    parked: Facts
    effects: Facts
    events: Facts

    def differences(self, other: "State") -> dict[str, tuple[Facts, Facts]]:
        """By part: what only this one has, and what only the other has."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in self.__struct_fields__}
        return {name: (mine - theirs, theirs - mine) for name, (mine, theirs) in pairs.items() if mine != theirs}


async def state_of(shop: Shop) -> State:
    """Everything that webhooks have made of a tenant."""
    return State(
        conversations=counted(await shop.rows(CONVERSATIONS)),
        messages=counted(await shop.rows(MESSAGES)),
        contacts=counted(await shop.rows(CONTACTS)),
        counters=counted(await shop.rows(COUNTERS)),
        deliveries=counted(await shop.rows(SEEN)),
        parked=counted(await shop.rows(PARKED)),
        effects=counted(await shop.rows(EFFECTS)),
        events=await told(shop),
    )


def counted(rows: list[dict[str, Any]]) -> Facts:
    """Each distinct row, and how often it is there."""
    return Counter(tuple(tuple(one) if isinstance(one, list) else one for one in row.values()) for row in rows)


async def told(shop: Shop) -> Facts:
    """How often the log holds each kind of event about a message that stands in the inbox under a gateway id."""
    ids = {row["id"]: row["gateway_id"] for row in await shop.rows("SELECT id, gateway_id FROM inbox_message WHERE tenant_id = $1")}
    found: Facts = Counter()
    async with shop.kernel.system.connection() as connection:
        log, after, full = Log(connection, shop.kernel.vault, shop.tenant), 0, True
        while full:
            batch = await log.read(after, topics=TOLD)
            after, full = batch.through, batch.full
            found.update((fact.event.TOPIC, ids[fact.event.message_id]) for fact in batch.facts)  # type: ignore[attr-defined]
    return found
