"""Campaigns: begun, spread over time so that no provider is overrun, and followed to each recipient."""

import asyncio
import re
import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Annotated, Final

from litestar.params import Parameter
from msgspec import Meta, Struct
from msgspec.structs import astuple

from plixa.backoffice.domain.campaigns import (
    MOST_ADDRESSES,
    STATES,
    AddressSuppressed,
    Audience,
    Content,
    EmptyAudience,
    MailNotTaken,
    may_follow,
    write,
)
from plixa.backoffice.queries.campaigns import (
    CampaignDetailView,
    Outgoing,
    find_audience,
    get_campaign,
    hold_recipient,
    list_waiting,
)
from plixa.identity.domain import EMAIL
from plixa.kernel.audit import PLATFORM, record
from plixa.kernel.errors import Invalid, UpstreamUnavailable
from plixa.kernel.outbox import Effect
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork
from plixa.notifications.client import MailDelayed, Mailer, MailRefused, OutboundMail
from plixa.notifications.commands.deliveries import RECIPIENT
from plixa.notifications.commands.mails import keep_mail, without
from plixa.notifications.commands.suppressing import Reader, unsubscribe_token
from plixa.notifications.domain import BadAddress, check_address
from plixa.notifications.queries.suppressions import list_suppressed, pseudonym_of

SPREAD: Final = "campaign.spread"
MAIL: Final = "campaign.mail"
BATCH: Final = 100
"""Mails of one campaign that are in the outbox at once."""
INSERT: Final = """INSERT INTO campaign (tenant_id, id, subject, preheader, body, cta_label, cta_url, audience, plan, status,
    created_by, created_by_name, created_at, recipients_count, queued_count)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'queued', $10, $11, $12, $13::int, $13::int)"""
ADD: Final = """INSERT INTO campaign_recipient (tenant_id, campaign_id, email, locale, workspace_id, member_id)
SELECT $1, $2, b.* FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[]) AS b"""
BEGIN: Final = "UPDATE campaign SET status = 'sending' WHERE tenant_id = $1 AND id = $2 AND status = 'queued'"
DELETE: Final = "DELETE FROM campaign WHERE tenant_id = $1 AND id = $2"
FARED: Final = """UPDATE campaign_recipient SET status = $3, error = coalesce($7, error), provider_id = coalesce($6, provider_id),
    sent_at = CASE WHEN $4::text = 'sent' THEN coalesce(sent_at, $5::timestamptz) ELSE sent_at END,
    delivered_at = CASE WHEN $4::text = 'delivered' THEN coalesce(delivered_at, $5::timestamptz) ELSE delivered_at END,
    opened_at = CASE WHEN $4::text = 'opened' THEN coalesce(opened_at, $5::timestamptz) ELSE opened_at END
WHERE tenant_id = $1 AND id = $2"""
"""``$3`` is how it stands now, ``$4`` what we heard: a delivery heard of after the opening has its time all the same."""
MOVED: Final = ", ".join(f"{state}_count = {state}_count + ($4::text = '{state}')::int - ($3::text = '{state}')::int" for state in STATES)
COUNT: Final = f"UPDATE campaign SET {MOVED} WHERE tenant_id = $1 AND id = $2"  # noqa: S608 - constants
END: Final = """UPDATE campaign SET sent_at = $3,
    status = CASE WHEN failed_count + suppressed_count = recipients_count THEN 'failed' ELSE 'sent' END
WHERE tenant_id = $1 AND id = $2 AND queued_count = 0 AND sent_at IS NULL"""

Email = Annotated[str, Meta(max_length=254, pattern=EMAIL), Parameter(max_length=254)]
Emails = Annotated[list[Email], Meta(min_length=1, max_length=MOST_ADDRESSES)]
PlanKey = Annotated[str, Meta(min_length=1, max_length=64)]


class CreateCampaign(Content, frozen=True, kw_only=True):
    """A campaign and whom it goes to; ``audience_value`` is the plan where the audience is ``plan``, addresses where it is ``emails``."""

    audience: Audience
    audience_value: PlanKey | Emails | None = None


class TryCampaign(Content, frozen=True, kw_only=True):
    """What a campaign says, and the one address it is shown to."""

    email: Email


class TriedView(Struct, frozen=True):
    """It was taken by ``mailer``, whose own id of it is ``provider_id``."""

    mailer: str
    provider_id: str


class Fared(Struct, frozen=True):
    """What we heard of one mail, and when that was; ``whom`` are pseudonyms of those it went to, as far as somebody else says so."""

    state: str
    at: datetime
    provider_id: str | None = None
    why: str | None = None
    whom: list[str] | None = None


async def create_campaign(uow: UnitOfWork, settings: Settings, data: CreateCampaign) -> CampaignDetailView:
    """Keep it with everybody it goes to, and have it sent; raises Invalid, EmptyAudience, AudienceTooLarge."""
    check_content(data)
    given = [data.audience_value] if isinstance(data.audience_value, str) else data.audience_value or []
    people = await find_audience(uow, settings, data.audience, check_audience(settings, data.audience, given))
    if not people:
        raise EmptyAudience
    plan = given[0] if data.audience == "plan" else None
    number = await uow.number("campaign_number")
    await uow.begin()
    said = [getattr(data, name) for name in Content.__struct_fields__]
    await uow.execute(INSERT, number, *said, data.audience, plan, uow.actor.id, uow.actor.name, uow.now, len(people))
    await uow.execute(ADD, number, *(list(column) for column in zip(*map(astuple, people), strict=True)))
    uow.enqueue(Effect(SPREAD, f"{number}/0", {"campaign_id": number, "after": 0}))
    told = {"subject": data.subject, "audience": data.audience, "audience_value": plan, "recipients_count": len(people)}
    await record(uow, "campaign.created", ("campaign", number), after=told)
    return await get_campaign(uow, number)


async def delete_campaign(uow: UnitOfWork, number: int) -> None:
    """With its recipients; who was not written to yet no longer is. Raises NotFound."""
    await uow.begin()
    view = await get_campaign(uow, number)
    await uow.execute(DELETE, number)
    names = ("subject", "audience", "audience_value", "status", "recipients_count", "counts")
    await record(uow, "campaign.deleted", ("campaign", number), {name: getattr(view, name) for name in names})


async def try_campaign(uow: UnitOfWork, settings: Settings, mailer: Mailer, data: TryCampaign) -> TriedView:
    """Send it to one address now, and keep nothing of it; raises Invalid, AddressSuppressed, MailNotTaken, UpstreamUnavailable."""
    check_content(data)
    if await list_suppressed(uow, [data.email]):
        raise AddressSuppressed
    token = unsubscribe_token(uow.kernel.vault, Reader(data.email, "en"))
    mail = await asyncio.to_thread(outbound, settings, "campaign_test", Outgoing(data.email, "en", data), token)
    try:
        check_address(mail.to)
        number = await mailer.send(mail)
    except (MailRefused, BadAddress) as error:
        raise MailNotTaken(without(mail.to, error)) from error
    except MailDelayed as error:
        raise UpstreamUnavailable(without(mail.to, error)) from error
    if mailer.keeps:
        await keep_mail(uow, mailer, f"campaign_test/{secrets.token_hex(8)}", mail, number)
    told = {"subject": data.subject, "mailer": mailer.name, "provider_id": number}
    await record(uow, "campaign.tested", ("tenant", PLATFORM), after=told)
    return TriedView(mailer.name, number)


async def spread_campaign(uow: UnitOfWork, settings: Settings, number: int, after: int) -> None:
    """Ask for the mails of the next recipients, as many a second as may be sent, and for those after them in their turn."""
    await uow.begin()
    people = await list_waiting(uow, number, after, BATCH)
    await uow.execute(BEGIN, number)
    pace = timedelta(seconds=1) / settings.mail.per_second
    for place, (recipient, email, locale) in enumerate(people):
        token = unsubscribe_token(uow.kernel.vault, Reader(email, locale))
        payload = {"recipient_id": recipient, "token": token}
        uow.enqueue(Effect(MAIL, str(recipient), payload, due_at=uow.now + place * pace))
    if len(people) == BATCH:
        last = people[-1][0]
        due = uow.now + BATCH * pace
        uow.enqueue(Effect(SPREAD, f"{number}/{last}", {"campaign_id": number, "after": last}, due_at=due))


async def note_fate(uow: UnitOfWork, recipient: int, news: Fared) -> None:
    """What we heard of a mail, in whichever order we hear it; a campaign ends with the last of its mails."""
    held = await hold_recipient(uow, recipient)
    if held is None or (news.whom is not None and pseudonym_of(uow.kernel.vault, held.email) not in news.whom):
        return
    state = news.state if may_follow(news.state, held.status) else held.status
    await uow.execute(FARED, recipient, state, news.state, news.at, news.provider_id, news.why)
    if state != held.status:
        await uow.execute(COUNT, held.campaign_id, held.status, state)
        await uow.execute(END, held.campaign_id, uow.now)


def outbound(settings: Settings, template: str, outgoing: Outgoing, token: str) -> OutboundMail:
    """A mail of a campaign as it leaves: the same at every attempt, which its token makes it known by."""
    link = f"{settings.public_url}/v1/email/unsubscribe/{token}"
    letter = write(outgoing.content, outgoing.locale, link, f"{settings.public_url}/images/")
    return OutboundMail(
        sha256(token.encode()).hexdigest()[:40],
        outgoing.email,
        template,
        letter.subject,
        letter.text,
        letter.html,
        headers={"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
        tags={RECIPIENT: str(outgoing.recipient)} if outgoing.recipient else {},
        sender=settings.campaign_from,
    )


def check_content(content: Content) -> None:
    """Raises Invalid for a button that leads nowhere, or says nothing."""
    for name, other in (("cta_label", content.cta_url), ("cta_url", content.cta_label)):
        if other is not None and getattr(content, name) is None:
            raise Invalid.field(name, "A button needs both its label and where it leads.")


def check_audience(settings: Settings, audience: Audience, value: list[str]) -> list[str]:
    """What narrows an audience, as it should be; raises Invalid."""
    if audience == "plan" and (len(value) != 1 or value[0] not in settings.plans):
        raise Invalid.field("audience_value", f"Must be one of: {', '.join(settings.plans)}.")
    if audience == "emails" and not (0 < len(value) <= MOST_ADDRESSES and all(re.search(EMAIL, one) for one in value)):
        raise Invalid.field("audience_value", f"Must be 1 to {MOST_ADDRESSES:,} e-mail addresses.")
    if audience not in ("plan", "emails") and value:
        raise Invalid.field("audience_value", "Must be left out for this audience.")
    return value
