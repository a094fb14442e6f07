"""A workspace with much of everything its lists show, among hundreds of others."""

import asyncpg
import msgspec

from plixa.kernel.audit import PLATFORM
from plixa.kernel.uow import Kernel
from plixa.notifications.queries.mailbox import KeptLetter, place_of_content
from tests.authorization.asking import ask, question
from tests.authorization.making import thing
from tests.authorization.stage import RESTRICT, Scene, Stage
from tests.authorization.table import ROUTES
from tests.authorization.twins import twin
from tests.support.crowds import BASE, SIZE, Crowd
from tests.support.trail import follow_log

OWN = frozenset(
    (
        *("access_token", "audit_entry", "contact", "contact_import_row", "contact_label", "csat_response", "event", "invitation"),
        *("inbox_conversation", "inbox_message", "inbox_name", "inbox_text"),
        *("service", "resource", "closure", "appointment", "provider_time", "waitlist_entry"),
        *("ticket", "ticket_message", "ticket_text"),
    )
)
"""Tables that lists go through page by page."""
PLATFORM_OWN = frozenset({"waitlist_signup", "article", "article_version", "campaign", "campaign_recipient"})
"""And those of them that are the platform's."""
CONFIGURED = {
    *("PUT /v1/business-hours-config", "PUT /v1/sla-config", "PUT /v1/csat-config"),
    *("PUT /v1/scheduling/providers/{user}/schedule", "PUT /v1/scheduling/reminder-config"),
}
IMPORTED = "INSERT INTO contact_import_row (tenant_id, import_id, line, outcome) VALUES ($1, $2, 1, 'created')"
RATED = """INSERT INTO csat_response (tenant_id, id, conversation_id, episode, day, asked_at, rating, rated_at)
VALUES ($1, 1, $2, 1, '2030-01-01', now(), 5, now())"""
ELSEWHERE = """INSERT INTO external_busy (tenant_id, provider_id, event_id, starts_at, ends_at)
VALUES ($1, $2, 'x', now(), now() + interval '1 hour')"""
DESK = """WITH tagged AS (INSERT INTO ticket_tag (tenant_id, id, name, created_at) VALUES ($1, 1, 'Oi', now()))
INSERT INTO canned_reply (tenant_id, id, title, body, updated_at) VALUES ($1, 1, 'Oi', 'Oi', now())"""
LETTERS = ["tenant_id", "id", "key", "template", "recipient", "state", "mailer", "content"]
COMMON, RARE = "maria", "quirino"
STAFF, SUBJECT = 5, 77
"""Who did a tenth of what the trail tells, and to what a tenth was done."""
WORDS = f"""tenant || '/oi' || CASE WHEN k % 4 = 0 THEN ' ' || tenant || '/{COMMON}' ELSE '' END
    || CASE WHEN k % 400 = 399 THEN ' ' || tenant || '/{RARE}' ELSE '' END"""

HALF_HOURS = {"starts_at": "now() + (n + 9000) * interval '1 hour'", "ends_at": "now() + (n + 9000.5) * interval '1 hour'"}
"""Far ahead, and no two at once."""


async def busy_workspace(scene: Scene, url: str) -> Stage:
    """One whose agents are restricted; every filter finds a tenth of its rows and more."""
    stage = await twin(scene)
    for route in ROUTES:
        if route.name in CONFIGURED:
            assert (await ask(stage, await question(stage, route))).is_success, route.name
    await thing(stage, "subscribed")
    await stage.change(IMPORTED, await thing(stage, "import_id"))
    await stage.change(RATED, await thing(stage, "conversation"))
    for name in ("google_link", "appointment", "request", "waitlist_entry"):
        await thing(stage, name)
    await thing(stage, "feed_token")
    await stage.change(DESK)
    await stage.change(ELSEWHERE, stage.agent.id)
    await follow_log(scene.kernel, stage.tenant)
    await stage.change(RESTRICT)
    joined = await scene.client.post("/v1/waitlist", json={"email": "maria@example.com", "locale": "pt"})
    assert joined.is_success, joined.text
    changes = await changes_of(stage)
    await Crowd(stage.tenant, OWN, PLATFORM_OWN, changes).gather(url)
    await fill_mailbox(scene.kernel, url)
    scene.app.state.gatekeeper.forget()
    return stage


async def changes_of(stage: Stage) -> dict[str, dict[str, str]]:
    """What differs from row to row, by table and column."""
    names = ("label", "sector", "conversation", "import_id")
    label, sector, conversation, imported = [int(await thing(stage, name)) for name in names]
    owner, agent, ticket, tag = stage.workspace.owner.id, stage.agent.id, await thing(stage, "ticket"), await thing(stage, "tag")
    whose, labels = f"(ARRAY[NULL, {owner}, {agent}])[k % 3 + 1]", f"CASE WHEN k % 5 = 0 THEN '[{label}]'::jsonb ELSE '[]' END"
    return {
        "inbox_conversation": {
            "contact_id": f"{BASE} + n - k % 2 * 5",
            "assigned_user_id": whose,
            "sector_id": f"(ARRAY[NULL, {sector}])[k % 2 + 1]",
            "labels": labels,
            "words": WORDS,
            "notes": "CASE WHEN k % 2 = 0 THEN 'Oi' END",
            "unread_count": "k / 3 % 2",
            "status": "(ARRAY['open', 'open', 'closed'])[k / 2 % 3 + 1]",
            "snoozed_until": "CASE WHEN k % 7 = 0 THEN now() + interval '1 day' END",
        },
        "ticket": {
            "status": "(ARRAY['open', 'pending', 'solved', 'closed'])[n % 4 + 1]",
            "priority": "(ARRAY['low', 'normal', 'high', 'urgent'])[n / 4 % 4 + 1]",
            "assigned_to": f"(ARRAY[NULL, {STAFF}])[n % 3 + 1]",
            "tags": f"CASE WHEN n % 300 = 0 THEN '[{tag}]'::jsonb ELSE '[]' END",
        },
        "ticket_text": {"words": WORDS.replace("tenant", "0").replace("k %", "n %")},
        "ticket_tag": {"name": "'Oi' || n"},
        "article": {
            "locale": "(ARRAY['en', 'pt-BR', 'es'])[n % 3 + 1]",
            "status": "(ARRAY['published', 'published', 'draft', 'published'])[n % 4 + 1]",
            "category": "CASE WHEN n % 5 = 0 THEN 'Numbers' ELSE 'Other ' || n % 20 END",
            "position": "n % 100",
            "words": WORDS,
        },
        "article_version": {"article_id": str(await thing(stage, "article")), "version": "n + 10"},
        "campaign_recipient": {
            "campaign_id": str(await thing(stage, "campaign")),
            "status": "(ARRAY['queued', 'sent', 'delivered', 'opened', 'suppressed', 'failed', 'bounced', 'complained'])[n % 8 + 1]",
            "workspace_id": "NULL",
        },
        "ticket_message": {"ticket_id": str(ticket)},
        "inbox_name": {"labels": labels, "words": WORDS},
        "inbox_message": {"conversation_id": str(conversation)},
        "inbox_text": {"conversation_id": f"{BASE} + n", "words": WORDS},
        "contact": {
            "words": WORDS,
            "blocked_at": "CASE WHEN k % 5 = 0 THEN now() END",
            "opted_out_at": "CASE WHEN k % 5 = 1 THEN now() END",
            "merged_into": "NULL",
        },
        "contact_label": {"label_id": f"CASE WHEN k % 5 = 0 THEN {label} ELSE {BASE} + n END"},
        "contact_import_row": {"import_id": str(imported), "outcome": "(ARRAY['created', 'updated', 'skipped', 'error'])[k % 4 + 1]"},
        "csat_response": {
            "conversation_id": f"{BASE} + n",
            "agent_id": f"(ARRAY[{owner}, {agent}])[k % 2 + 1]",
            "rating": "1 + k / 2 % 5",
            "day": "to_char(date '2029-01-01' + (n / 30)::int, 'YYYY-MM-DD')",
        },
        "audit_entry": {
            "is_staff": "n % 9 = 0",
            "actor_type": "CASE WHEN n % 9 = 0 THEN 'staff' ELSE (ARRAY['member', 'token'])[k / 2 % 2 + 1] END",
            "actor_id": f"CASE WHEN n % 9 = 0 THEN {STAFF} ELSE (ARRAY[{owner}, {agent}])[k / 4 % 2 + 1] END",
            "action": "(ARRAY['label.created', 'sector.created', 'sector.updated'])[k % 3 + 1]",
            "subject": "(ARRAY['label', 'sector', 'sector'])[k % 3 + 1]",
            "subject_id": "70 + k % 10",
        },
        "service": {"name": "t.name || n"},
        "appointment": {
            "service_id": f"(ARRAY[{await thing(stage, 'service')}, {BASE} + n % 20])[k % 2 + 1]",
            "provider_id": f"(ARRAY[{owner}, {agent}])[k % 2 + 1]",
            "contact_id": f"CASE WHEN k % 7 = 0 THEN {await thing(stage, 'contact')} ELSE {BASE} + n END",
            "status": "(ARRAY['pending', 'confirmed', 'arrived', 'completed', 'no_show', 'cancelled'])[k % 6 + 1]",
            **dict.fromkeys(("start_at", "first_start", "last_start"), "now() + (k - 100) * interval '1 hour'"),
            "end_at": "now() + (k - 99.5) * interval '1 hour'",
        },
        "provider_time": HALF_HOURS,
        "waitlist_entry": {
            "service_id": f"(ARRAY[{await thing(stage, 'service')}, {BASE} + n % 20])[k % 2 + 1]",
            "status": "(ARRAY['waiting', 'offered', 'booked', 'expired', 'removed'])[k / 2 % 5 + 1]",
        },
        "resource_time": HALF_HOURS,
        "resource": {"name": "t.name || n"},
        "closure": {"date": "date '2029-01-01' + k::int"},
        "calendar_filter": {"name": "t.name || n", "is_default": "false"},
        "waitlist_signup": {"locale": "(ARRAY['pt', 'en', 'es', NULL])[n % 4 + 1]"},
        "access_token": {"member_id": f"CASE WHEN t.kind = 'api' THEN t.member_id WHEN k % 8 = 0 THEN {owner} ELSE {BASE} + n END"},
        "invitation": {"accepted_at": "CASE WHEN k % 50 > 0 THEN now() END"},
        "tenant": {
            "created_at": "t.created_at - (10000 - n) * interval '1 second'",
            "status": "(ARRAY['active', 'active', 'active', 'suspended'])[n % 4 + 1]",
            "purge_at": "CASE WHEN n % 7 = 0 THEN now() END",
            "plan": "(ARRAY['business', NULL])[n % 2 + 1]",
        },
    }


async def fill_mailbox(kernel: Kernel, url: str) -> None:
    """Mails that reached nobody; they are sealed."""
    text = msgspec.json.encode(KeptLetter("Oi", "Oi", "<p>Oi</p>"))
    sealed = [(f"crowd/{n}", kernel.vault.seal(text, place_of_content(PLATFORM, f"crowd/{n}"))) for n in range(SIZE)]
    whom = ("ana@example.com", "rui@example.com", "eva@example.com")
    rows = [(PLATFORM, BASE + n, key, "invitation", whom[n % 3], "sent", "local", seal) for n, (key, seal) in enumerate(sealed)]
    connection = await asyncpg.connect(url)
    try:
        await connection.copy_records_to_table("mail", records=rows, columns=LETTERS)
        await connection.execute("VACUUM ANALYZE mail")
    finally:
        await connection.close()
