"""What our mails say: a template and its values become a subject, a text and HTML, in the reader's language.

``en.toml``, ``es.toml`` and ``pt-BR.toml`` hold every sentence, ``layout.html`` and ``layout.txt`` what stands around. Values are cleaned
of control characters, and escaped in HTML.
"""

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup
from msgspec import Struct

from plixa.kernel.mail import Mail

HERE: Final = Path(__file__).parent
LOCALES: Final = {"en": "en", "es": "es", "pt": "pt-BR"}
"""By the language of a locale: ``pt``, ``pt-BR`` and ``pt_PT`` are read as one."""
WORDING: Final[Mapping[str, dict[str, Any]]] = {
    name: tomllib.loads((HERE / f"{name}.toml").read_text("utf-8")) for name in LOCALES.values()
}
LONGEST_SUBJECT: Final = 150
LONGEST_ADDRESS: Final = 320
ADDRESS: Final = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+")
UNSEEN: Final = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Marks that turn the direction of reading, and so what a name seems to say."""


class BadAddress(Exception):
    """A mail cannot be sent to this."""


class Letter(Struct, frozen=True):
    """A mail as it is read."""

    subject: str
    text: str
    html: str


def check_address(address: str) -> None:
    """Raises BadAddress for anything but one plain address: what follows a line's end would be read as headers."""
    if len(address) > LONGEST_ADDRESS or cleaned(address) != address or ADDRESS.fullmatch(address) is None:
        raise BadAddress("This is not the address of one person.")


def render(mail: Mail) -> Letter:
    """The letter; a KeyError for a template without words, jinja2's UndefinedError for a value that is missing."""
    locale = language_of(mail.locale)
    shared, words = WORDING[locale]["shared"], WORDING[locale][mail.template]
    values = {name: shown(value, shared, mail.zone) for name, value in mail.values.items()} | {"not_you": shared["not_you"]}
    body = [shared["greeting"] if "name" in values else shared["hello"], *re.split(r"\n\s*\n", words["text"].strip())]
    subject = compiled(words["subject"], html=False).render(values)
    around = {"locale": locale, "button": words.get("button"), "link": values.get("link"), **shared}
    around |= {"pictures": list(mail.pictures), "picture": words.get("picture")}
    return Letter(
        subject if len(subject) <= LONGEST_SUBJECT else subject[: LONGEST_SUBJECT - 1] + "…",
        layout("layout.txt", html=False).render(around, paragraphs=[compiled(part, html=False).render(values) for part in body]),
        layout("layout.html", html=True).render(
            around,
            subject=subject,
            paragraphs=[Markup(compiled(part, html=True).render(values)) for part in body],  # noqa: S704
        ),
    )


def language_of(locale: str) -> str:
    """The language of ours that a reader's locale comes nearest to."""
    return LOCALES.get(re.split("[-_]", locale)[0].lower(), "en")


def shown(value: Any, shared: Mapping[str, Any], zone: str) -> str:
    """A value as it is read: a time in the reader's words and zone, anything else as clean text."""
    if not isinstance(value, datetime):
        return cleaned(str(value))
    there = value.astimezone(ZoneInfo(zone))
    return str(shared["moment"]).format(
        day=there.day, month=shared["months"][there.month - 1], year=there.year, time=f"{there:%H:%M}", zone=zone
    )


def cleaned(text: str) -> str:
    """On one line, without control characters."""
    kept = (" " if unicodedata.category(sign) in {"Cc", "Cs", "Zl", "Zp"} else sign for sign in UNSEEN.sub("", text))
    return " ".join("".join(kept).split())


@lru_cache(maxsize=512)
def compiled(source: str, *, html: bool) -> Template:
    """One of our sentences; its lines are one paragraph."""
    return environment(html=html).from_string(" ".join(source.split()))


@lru_cache
def layout(name: str, *, html: bool) -> Template:
    """What stands around every mail."""
    return environment(html=html).from_string((HERE / name).read_text("utf-8"))


@lru_cache
def environment(*, html: bool) -> Environment:
    """Only HTML is escaped; subject and text are no markup."""
    return Environment(autoescape=html, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)  # noqa: S701
