"""Campaigns: what one says, in HTML and in text, and how a recipient's mail can fare."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final, Literal

from jinja2 import Template
from markupsafe import Markup
from msgspec import Meta, Struct

from plixa.kernel.errors import Conflict
from plixa.kernel.markdown import render_markdown
from plixa.notifications.domain import WORDING, Letter, cleaned, environment, language_of

HERE: Final = Path(__file__).parent
STATES: Final = ("queued", "sent", "delivered", "opened", "suppressed", "failed", "bounced", "complained")
"""How a mail fares, in the order in which one may follow another, however late we hear of it: never one that stands before."""
WEB_ADDRESS: Final = r"^https?://[^\s/?#\x00-\x20\x7f]+([/?#][^\s\x00-\x20\x7f]*)?$(?!\s)"
MOST_ADDRESSES: Final = 1_000
"""That staff may name one by one."""
MOST_RECIPIENTS: Final = 100_000

RecipientState = Literal["queued", "sent", "delivered", "opened", "suppressed", "failed", "bounced", "complained"]
CampaignState = Literal["queued", "sending", "sent", "failed"]
Audience = Literal["all_owners", "plan", "trial", "waitlist", "emails"]


class EmptyAudience(Conflict):
    code = "EMPTY_AUDIENCE"
    default = "Nobody would get this: the audience is empty, or wants no more news."


class AudienceTooLarge(Conflict):
    code = "AUDIENCE_TOO_LARGE"
    default = f"A campaign goes to at most {MOST_RECIPIENTS:,} addresses."


class AddressSuppressed(Conflict):
    code = "ADDRESS_SUPPRESSED"
    default = "Nobody writes to this address any more: it bounced, complained or unsubscribed."


class MailNotTaken(Conflict):
    code = "MAIL_NOT_TAKEN"
    default = "The provider refuses this mail."


class Content(Struct, frozen=True, kw_only=True):
    """What a campaign says: Markdown, and one button that leads somewhere, if any."""

    subject: Annotated[str, Meta(min_length=1, max_length=150, pattern=r"\S")]
    preheader: Annotated[str, Meta(min_length=1, max_length=150, pattern=r"\S")] | None = None
    body: Annotated[str, Meta(min_length=1, max_length=50_000, pattern=r"\S")]
    cta_label: Annotated[str, Meta(min_length=1, max_length=60, pattern=r"\S")] | None = None
    cta_url: Annotated[str, Meta(max_length=2048, pattern=WEB_ADDRESS)] | None = None


def may_follow(state: str, before: str) -> bool:
    """Is this news?"""
    return STATES.index(state) > STATES.index(before)


def write(content: Content, locale: str, unsubscribe_url: str, pictures: str) -> Letter:
    """The mail for one reader; ``pictures`` is where ours are served."""
    language = language_of(locale)
    line = {
        "subject": cleaned(content.subject),
        "preheader": cleaned(content.preheader or ""),
        "cta_label": cleaned(content.cta_label or ""),
    }
    around = WORDING[language]["shared"] | line | {"locale": language, "cta_url": content.cta_url, "unsubscribe_url": unsubscribe_url}
    return Letter(
        line["subject"],
        template("campaign.txt", html=False).render(around, body=plain(content.body)),
        template("campaign.html", html=True).render(around, body=Markup(render_markdown(content.body, pictures))),  # noqa: S704
    )


def plain(body: str) -> str:
    """Markdown as it is read without any rendering: its lines, without control characters."""
    lines = (cleaned(line) if not line.startswith((" ", "\t")) else "    " + cleaned(line) for line in body.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


@lru_cache
def template(name: str, *, html: bool) -> Template:
    """One of the two forms."""
    return environment(html=html).from_string((HERE / name).read_text("utf-8"))
