"""Campaigns: whom they go to, how they are brought out, and what staff see of them."""

import asyncio
import secrets
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import asyncpg
import pytest
from httpx import AsyncClient
from msgspec.structs import replace

from plixa.app import create_app
from plixa.backoffice.commands.campaigns import Fared, note_fate
from plixa.backoffice.queries.campaigns import hold_recipient
from plixa.kernel.audit import PLATFORM
from plixa.kernel.delivery import ATTEMPTS
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel, perform, working
from plixa.notifications.client import LocalMailbox, ResendMailer, SmtpMailer
from tests.backoffice.blasts import CONTENT, Blast, addresses, blast
from tests.backoffice.crew import Staff, codes
from tests.identity.people import change, entries, value
from tests.identity.tokens import set_plan
from tests.notifications.servers import KEY, MAILING, SENDER, Answer, Resend, Sink, smtp
from tests.support.apps import calling, started
from tests.support.effects import do_effects
from tests.support.world import Workspace

HELLO = "Plixa <hello@plixa.app>"
ASKED = "SELECT count(*) FROM outbox WHERE tenant_id = 0 AND kind = 'campaign.mail' AND payload ->> 'recipient_id' = ANY($1)"
SPAN = "SELECT max(due_at) - min(due_at) FROM outbox WHERE tenant_id = 0 AND kind = 'campaign.mail' AND key = ANY($1)"

GOING = "UPDATE tenant SET deletion_requested_at = now(), purge_at = now() - interval '1 second' WHERE tenant_id = $1"
DESTROY = "INSERT INTO outbox (tenant_id, kind, key, payload, due_at) VALUES ($1, 'workspace.destroy', 'x', '{}', now())"


def letter(content: bytes) -> EmailMessage:
    """A mail as its reader's program reads it."""
    return message_from_bytes(content, _class=EmailMessage, policy=policy.default)


async def test_everybody_gets_one_mail_with_a_text_and_a_way_out(bruna: Staff, kernel: Kernel, settings: Settings) -> None:
    sink, emails = Sink(), addresses(3)
    before = len(await entries(kernel, PLATFORM))
    hostile = "# Hello\n\nThis is **new** <script>alert(1)</script> ![x](https://evil.example/p.png)\n\n- one\n- two"
    button = {"cta_label": "Look & see", "cta_url": "https://plixa.app/new?a=1&b=2"}
    sent = await blast(
        bruna, kernel, settings, [*emails, emails[0].upper()], body=hostile, subject="News\r\nBcc: all@example.com", **button
    )
    with smtp(sink) as port:
        mailer = SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER, MAILING, secure=True)
        await Blast(sent.id, bruna, kernel, replace(settings, campaign_from=HELLO)).work(mailer, rounds=3)
    assert sorted(one for envelope in sink.envelopes for one in envelope.rcpt_tos) == emails
    assert {envelope.mail_from for envelope in sink.envelopes} == {"hello@plixa.app"}
    links = set()
    for envelope in sink.envelopes:
        assert isinstance(envelope.content, bytes)
        raw = envelope.content
        mail = letter(raw)
        assert (mail["From"], mail["Subject"], mail["Bcc"]) == (HELLO, "News Bcc: all@example.com", None)
        link = str(mail["List-Unsubscribe"]).strip("<>")
        assert f"List-Unsubscribe: <{link}>\r\n".encode() in raw  # whole, on one line: programs that find it broken show no button
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert mail["Message-ID"].endswith("@plixa.app>")
        text, html = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))  # type: ignore[union-attr]
        for shown in ("# Hello", "- one\n- two", "Look & see:\nhttps://plixa.app/new?a=1&b=2", f"Unsubscribe: {link}"):
            assert shown in text.replace("\r\n", "\n")
        for shown in (
            "<h1>Hello</h1>",
            "<strong>new</strong>",
            "What is new",
            "Look &amp; see",
            'href="https://plixa.app/new?a=1&amp;b=2"',
            link,
        ):
            assert shown in html
        assert "<script" not in html
        assert "evil" not in html
        links.add(link)
    assert len(links) == 3
    view = await sent.view()
    assert (view["status"], view["sent_count"], view["failed_count"], view["counts"]["sent"]) == ("sent", 3, 0, 3)
    assert (view["audience"], view["audience_value"], view["created_by"]["name"], view["body"]) == ("emails", None, "Bruna", hostile)
    assert {one["tenant_id"] for one in await sent.recipients()} == {None}
    (entry,) = [one for _, one in (await entries(kernel, PLATFORM))[before:] if one.subject == "campaign"]
    assert (entry.action, entry.subject_id, (entry.after or {})["recipients_count"]) == ("campaign.created", sent.id, 3)
    assert emails[0] not in str(entry)


async def test_a_large_campaign_keeps_few_mails_in_the_outbox_and_leaves_nobody_out(
    bruna: Staff, kernel: Kernel, settings: Settings
) -> None:
    resend, emails = Resend(), addresses(230)
    sent = await blast(bruna, kernel, settings, emails)
    numbers = [str(one["id"]) for one in await sent.recipients()]
    with resend.listening() as url:
        mailer = ResendMailer(url, KEY, SENDER, MAILING)
        await sent.work(mailer)
        assert await value(kernel, ASKED, numbers) == 100
        assert (await value(kernel, SPAN, numbers)).total_seconds() == pytest.approx(99 / settings.mail.per_second, abs=0.01)
        assert (await sent.view())["status"] == "sending"
        await sent.work(mailer, rounds=3)
    assert sorted(mail["to"][0] for mail in resend.mails.values()) == sorted(emails)
    assert (await value(kernel, ASKED, numbers), (await sent.view())["status"]) == (230, "sent")
    (mail, *_) = resend.mails.values()
    assert {tag["name"] for tag in mail["tags"]} == {"template", "recipient"}
    assert mail["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


async def test_a_worker_that_dies_after_sending_mails_nobody_twice(bruna: Staff, kernel: Kernel, settings: Settings) -> None:
    resend = Resend()
    sent = await blast(bruna, kernel, settings, addresses(4))
    with resend.listening() as url:
        mailer = ResendMailer(url, KEY, SENDER, MAILING)
        await sent.work(mailer)
        resend.answers = [Answer(500, "application_error", after=True) for _ in range(4)]
        await sent.work(mailer)
        assert (await sent.states(), len(resend.mails)) == (["queued"] * 4, 4)
        await sent.work(mailer)
    assert (await sent.states(), len(resend.mails), len(resend.keys)) == (["sent"] * 4, 4, 8)


async def test_what_cannot_be_sent_fails_and_the_others_go_on(bruna: Staff, kernel: Kernel, settings: Settings) -> None:
    word = secrets.token_hex(5)
    sent = await blast(bruna, kernel, settings, [f"{who}@{word}.example.com" for who in ("hard", "soft", "spam", "ana")])
    with smtp(Sink()) as port:
        mailer = SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER, MAILING, secure=True)
        await sent.work(mailer, rounds=2)
        assert await sent.states() == ["failed", "queued", "failed", "sent"]
        assert (await sent.view())["status"] == "sending"
        await sent.work(mailer, rounds=ATTEMPTS)
    view = await sent.view()
    assert (await sent.states(), view["status"], view["failed_count"]) == (["failed", "failed", "failed", "sent"], "sent", 3)
    errors = [one["error"] for one in await sent.recipients(status="failed")]
    assert ["550" in errors[0], "451" in errors[1], "554" in errors[2]] == [True] * 3
    assert word not in str(errors)
    none = await blast(bruna, kernel, settings, [f"hard@{word}.example.com"])
    with smtp(Sink()) as port:
        await none.work(SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER, MAILING, secure=True), rounds=2)
    assert (await none.view())["status"] == "failed"


async def test_a_deleted_campaign_goes_no_further(bruna: Staff, kernel: Kernel, settings: Settings, client: AsyncClient) -> None:
    sink, before = Sink(), len(await entries(kernel, PLATFORM))
    sent = await blast(bruna, kernel, settings, addresses(3))
    with smtp(sink) as port:
        mailer = SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER, MAILING, secure=True)
        await sent.work(mailer)
        mails = [one["id"] for one in await sent.recipients()]
        await bruna.do("DELETE", f"/campaigns/{sent.id}")
        await value(kernel, "UPDATE outbox SET due_at = now() WHERE tenant_id = 0 AND key = ANY($1) RETURNING id", list(map(str, mails)))
        await sent.work(mailer)
    assert sink.envelopes == []
    for method, path in (("GET", ""), ("GET", "/recipients"), ("DELETE", "")):
        assert codes(await bruna.call(method, f"/campaigns/{sent.id}{path}")) == (404, "NOT_FOUND")
    told = [one for _, one in (await entries(kernel, PLATFORM))[before:] if one.subject == "campaign"]
    assert [one.action for one in told] == ["campaign.created", "campaign.deleted"]
    assert (told[1].before or {})["counts"]["queued"] == 3


async def test_an_audience_is_counted_as_it_is_written_to(
    bruna: Staff, kernel: Kernel, settings: Settings, client: AsyncClient, lucia_studios: Workspace, other_tenant: Workspace
) -> None:
    async def count(audience: str, **more: Any) -> int:
        found = await bruna.do("GET", "/campaigns/audience", params={"audience": audience, **more})
        assert len(found["sample"]) == min(found["count"], 10)
        return int(found["count"])

    async def counts() -> dict[str, int]:
        plans = {plan: await count("plan", audience_value=plan) for plan in settings.plans}
        return plans | {who: await count(who) for who in ("all_owners", "trial", "waitlist")}

    first = await counts()
    assert first["all_owners"] == sum(first[plan] for plan in settings.plans)
    await set_plan(kernel, lucia_studios.tenant, "business")
    granted = await counts()
    moved = {"business": 1, settings.default_plan: -1, "trial": -1}
    assert {name: granted[name] - first[name] for name in first} == dict.fromkeys(first, 0) | moved
    for barred in ("status = 'suspended', suspended_at = now()", "purge_at = now() + interval '1 day', deletion_requested_at = now()"):
        await change(kernel, f"UPDATE tenant SET {barred} WHERE tenant_id = $1", lucia_studios.tenant)
        gone = await counts()
        assert (gone["all_owners"], gone["business"]) == (first["all_owners"] - 1, first["business"])
        await change(kernel, "UPDATE tenant SET status = 'active', purge_at = NULL WHERE tenant_id = $1", lucia_studios.tenant)
    await client.post("/v1/waitlist", json={"email": addresses(1)[0], "locale": "es"})
    assert await count("waitlist") == first["waitlist"] + 1
    emails = addresses(12)
    assert await count("emails", audience_value=[*emails, emails[3].upper()]) == 12

    made = await bruna.do("POST", "/campaigns", json=CONTENT | {"audience": "plan", "audience_value": "business"})
    sent = Blast(made["id"], bruna, kernel, settings)
    assert (made["recipients_count"], made["audience_value"]) == (granted["business"], "business")
    owner = lucia_studios.owner
    (mine,) = [one for one in await sent.recipients() if one["email"] == owner.email]
    assert (mine["tenant_id"], mine["user_id"], mine["status"]) == (lucia_studios.tenant, owner.id, "queued")
    assert other_tenant.owner.email not in str(await sent.recipients())
    waiting = await bruna.do("POST", "/campaigns", json=CONTENT | {"audience": "waitlist"})
    assert waiting["recipients_count"] == await count("waitlist")
    for one in (made, waiting):
        await bruna.do("DELETE", f"/campaigns/{one['id']}")


@pytest.mark.parametrize("barred", ["status = 'suspended', suspended_at = now()", "purge_at = now() + interval '30 days'"])
async def test_a_workspace_that_is_shut_before_its_turn_is_left_out(
    bruna: Staff, kernel: Kernel, settings: Settings, lucia_studios: Workspace, barred: str
) -> None:
    await set_plan(kernel, lucia_studios.tenant, "business")
    made = await bruna.do("POST", "/campaigns", json=CONTENT | {"audience": "plan", "audience_value": "business"})
    await change(kernel, f"UPDATE tenant SET {barred} WHERE tenant_id = $1", lucia_studios.tenant)
    sent = Blast(made["id"], bruna, kernel, settings)
    await sent.work(LocalMailbox(), rounds=2)
    (mine,) = [one for one in await sent.recipients() if one["email"] == lucia_studios.owner.email]
    assert (mine["status"], mine["sent_at"], "workspace" in mine["error"]) == ("suppressed", None, True)
    assert (await sent.view())["counts"]["queued"] == 0


async def test_who_leaves_plixa_leaves_no_address_in_its_campaigns(
    bruna: Staff, kernel: Kernel, settings: Settings, lucia_studios: Workspace
) -> None:
    await set_plan(kernel, lucia_studios.tenant, "business")
    made = await bruna.do("POST", "/campaigns", json=CONTENT | {"audience": "plan", "audience_value": "business"})
    sent = Blast(made["id"], bruna, kernel, settings)
    await sent.work(LocalMailbox(), rounds=2)
    assert lucia_studios.owner.email in str(await sent.recipients())
    await change(kernel, GOING, lucia_studios.tenant)
    await change(kernel, DESTROY, lucia_studios.tenant)
    assert await do_effects(lucia_studios, "workspace.destroy") == 1
    assert lucia_studios.owner.email not in str(await sent.recipients())
    shown = await bruna.do("GET", f"/campaigns/{sent.id}")
    assert (shown["recipients_count"], shown["sent_count"]) == (made["recipients_count"], made["recipients_count"])


async def test_a_campaign_can_be_deleted_while_news_of_it_comes_in(bruna: Staff, kernel: Kernel, settings: Settings) -> None:
    sent = await blast(bruna, kernel, settings, addresses(2))
    (first, _) = await sent.recipients()
    async with working(kernel, PLATFORM) as uow:
        assert await hold_recipient(uow, first["id"]) is not None
        async with kernel.system.connection() as connection:
            with pytest.raises(asyncpg.LockNotAvailableError):  # whoever deletes waits here, and holds nothing meanwhile
                await connection.execute("SELECT FROM campaign WHERE id = $1 FOR UPDATE NOWAIT", sent.id)
        deletion = asyncio.create_task(bruna.call("DELETE", f"/campaigns/{sent.id}"))
        await note_fate(uow, first["id"], Fared("sent", uow.now))
        await uow.commit()
    assert (await deletion).status_code == 204
    async with working(kernel, PLATFORM) as uow:
        await perform(uow, lambda: note_fate(uow, first["id"], Fared("delivered", uow.now)))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"subject": " "}, "subject"),
        ({"subject": "x" * 151}, "subject"),
        ({"body": "x" * 50_001}, "body"),
        ({"preheader": ""}, "preheader"),
        ({"cta_label": "Go"}, "cta_url"),
        ({"cta_url": "https://plixa.app"}, "cta_label"),
        ({"cta_label": "Go", "cta_url": "javascript:alert(1)"}, "cta_url"),
        ({"cta_label": "Go", "cta_url": "https://plixa.app/\n"}, "cta_url"),
        ({"audience": "everybody"}, "audience"),
        ({"audience": "plan"}, "audience_value"),
        ({"audience": "plan", "audience_value": "gold"}, "audience_value"),
        ({"audience": "plan", "audience_value": ["ana@example.com"] * 2}, "audience_value"),
        ({"audience": "emails"}, "audience_value"),
        ({"audience": "emails", "audience_value": []}, "audience_value"),
        ({"audience": "emails", "audience_value": "ana@example.com, eva"}, "audience_value"),
        ({"audience": "emails", "audience_value": ["a@b.co\r\nBcc: x@y.co"]}, "audience_value.0"),
        ({"audience": "emails", "audience_value": ["a@b.co\n"]}, "audience_value.0"),
        ({"audience": "emails", "audience_value": ["ana@example.com"] * 1001}, "audience_value"),
        ({"audience": "all_owners", "audience_value": "business"}, "audience_value"),
    ],
)
async def test_nonsense_is_refused(bruna: Staff, kernel: Kernel, body: dict[str, Any], field: str) -> None:
    before = await value(kernel, "SELECT count(*) FROM campaign")
    answer = await bruna.call("POST", "/campaigns", json=CONTENT | {"audience": "waitlist"} | body)
    assert (codes(answer), list(answer.json()["errors"][0]["details"])) == ((422, "VALIDATION_FAILED"), [field])
    assert await value(kernel, "SELECT count(*) FROM campaign") == before


async def test_campaigns_are_listed_and_narrowed(bruna: Staff, kernel: Kernel, settings: Settings) -> None:
    word = secrets.token_hex(5)
    made = [await blast(bruna, kernel, settings, addresses(1), subject=f"{word} {place}") for place in range(3)]
    await made[1].work(LocalMailbox(), rounds=2)

    async def ids(**query: Any) -> list[int]:
        return [one["id"] for one in await bruna.do("GET", "/campaigns", params={"q": word.upper(), **query})]

    assert await ids() == [one.id for one in reversed(made)]
    assert (await ids(status="sent"), await ids(status="queued")) == ([made[1].id], [made[2].id, made[0].id])
    page = (await bruna.call("GET", "/campaigns", params={"q": word, "limit": 2})).json()
    assert await ids(cursor=page["meta"]["next_cursor"]) == [made[0].id]
    assert "body" not in page["data"][0]
    assert await ids(q="%") == []
    assert codes(await bruna.call("GET", "/campaigns", params={"status": "gone"})) == (422, "VALIDATION_FAILED")


async def persisted(kernel: Kernel) -> list[int]:
    """How much there is of all a campaign leaves."""
    tables = ("campaign", "campaign_recipient", "mail", "outbox")
    return [await value(kernel, f"SELECT count(*) FROM {table}") for table in tables]


async def test_a_test_is_sent_at_once_and_nothing_of_it_is_kept(bruna: Staff, kernel: Kernel, settings: Settings) -> None:
    resend, (email,) = Resend(), addresses(1)
    with resend.listening() as url:
        mine = replace(settings, resend_api_key=KEY, resend_api_base=url, mail_from=SENDER, campaign_from=HELLO, mail=MAILING)
        async with started(create_app(mine)) as app, calling(app) as client:
            staff = Staff(bruna.id, bruna.name, bruna.email, bruna.token, client)
            before, told = await persisted(kernel), len(await entries(kernel, PLATFORM))
            done = await staff.do("POST", "/campaigns/test", json=CONTENT | {"email": email})
            assert (done["mailer"], list(resend.mails)) == ("resend", [done["provider_id"]])
            mail = resend.mails[done["provider_id"]]
            assert (mail["to"], mail["from"], mail["subject"]) == ([email], HELLO, CONTENT["subject"])
            assert "<strong>everybody</strong>" in mail["html"]
            resend.answers = [Answer(422, "validation_error")]
            refused = await staff.call("POST", "/campaigns/test", json=CONTENT | {"email": email})
            resend.answers = [Answer(500, "application_error")]
            away = await staff.call("POST", "/campaigns/test", json=CONTENT | {"email": email})
            assert (codes(refused), codes(away)) == ((409, "MAIL_NOT_TAKEN"), (502, "UPSTREAM_UNAVAILABLE"))
            wrong = await staff.call("POST", "/campaigns/test", json=CONTENT | {"email": "nobody"})
            assert codes(wrong) == (422, "VALIDATION_FAILED")
            assert await persisted(kernel) == before
    fresh = [one for _, one in (await entries(kernel, PLATFORM))[told:] if one.action == "campaign.tested"]
    told_of = {"subject": CONTENT["subject"], "mailer": "resend", "provider_id": done["provider_id"]}
    assert ([one.after for one in fresh], email in str(fresh)) == ([told_of], False)


async def test_without_a_provider_a_test_can_be_read_in_the_local_mailbox(bruna: Staff, client: AsyncClient) -> None:
    (email,) = addresses(1)
    await bruna.do("POST", "/campaigns/test", json=CONTENT | {"email": email})
    mailbox = await client.get("/v1/dev/mailbox", params={"to": email}, headers={"host": "127.0.0.1"})
    (mail,) = mailbox.json()["data"]
    assert (mail["subject"], mail["template"], "Hello **everybody**." in mail["text"]) == (CONTENT["subject"], "campaign_test", True)


async def test_a_campaign_that_is_asked_for_twice_under_one_key_is_one(bruna: Staff, kernel: Kernel) -> None:
    body = CONTENT | {"audience": "emails", "audience_value": addresses(2)}
    calls = [bruna.call("POST", "/campaigns", json=body, headers={"Idempotency-Key": body["audience_value"][0]}) for _ in range(4)]
    answers = await asyncio.gather(*calls)
    assert len({answer.json()["data"]["id"] for answer in answers if answer.status_code == 201}) == 1
