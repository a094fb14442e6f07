"""What is kept of a person, and what becomes of it when two contacts turn out to be one, or no longer are."""

from datetime import datetime
from typing import Final, Literal
from unicodedata import normalize

from msgspec import Struct
from msgspec.structs import asdict

from plixa.kernel.phones import phone_variants
from plixa.kernel.search import lexemes, unmarked

LONGEST_NAME: Final = 120
LONGEST_NOTES: Final = 4000
OUT: Final = frozenset({"stop", "sair", "parar", "cancelar", "baja", "unsubscribe"})
IN: Final = frozenset({"start", "voltar"})


class Facts(Struct, frozen=True):
    """What a contact's own row says of somebody."""

    phone: str | None = None
    name: str | None = None
    notes: str | None = None
    opted_out_at: datetime | None = None
    opt_out_reason: str | None = None
    blocked_at: datetime | None = None


def combined(kept: Facts, absorbed: Facts) -> Facts:
    """Of two that are one: what the first lacks comes from the second, the notes are those of both, and who left or was shut out is."""
    notes = dict.fromkeys(notes for notes in (kept.notes, absorbed.notes) if notes)
    out = kept if kept.opted_out_at else absorbed
    return Facts(
        kept.phone or absorbed.phone,
        kept.name or absorbed.name,
        "\n\n".join(notes)[:LONGEST_NOTES] or None,
        out.opted_out_at,
        out.opt_out_reason,
        kept.blocked_at or absorbed.blocked_at,
    )


def parted(now: Facts, before: Facts, after: Facts) -> Facts:
    """What the first has when they are two again: what it had before, but for what was changed since."""
    was, then = asdict(before), asdict(after)
    return Facts(**{name: was[name] if value == then[name] else value for name, value in asdict(now).items()})


def words_of(tenant: int, name: str | None, phone: str | None, notes: str | None = None) -> str:
    """The words that find a contact; a phone is found with and without its ninth digit."""
    return lexemes(tenant, name, notes, phones=phone_variants(phone) if phone else ())


def wish_of(body: str) -> Literal["out", "in"] | None:
    """What a message asks that is nothing but one of the words for it: no more broadcasts, or broadcasts again."""
    word = unmarked(normalize("NFKD", body.strip())).casefold() if len(body) < 40 else ""
    if word in OUT:
        return "out"
    return "in" if word in IN else None
