"""Contact cards: the name and the first number of a vCard."""

import re

import phonenumbers

from plixa.whatsapp.domain.facts import ContactCard
from plixa.whatsapp.domain.values import record, text, word

_CARDS = 100
_CARD_LENGTH = 10_000
_WAID = re.compile(r"waid=(\d{5,20})", re.IGNORECASE)
_TEL = re.compile(r"^(?:[\w-]+\.)?TEL[^:\n]*:(.+)$", re.IGNORECASE | re.MULTILINE)
_FN = re.compile(r"^(?:[\w-]+\.)?FN[^:\n]*:(.+)$", re.IGNORECASE | re.MULTILINE)


def contact_cards(part: dict[str, object], our_phone: str | None) -> tuple[ContactCard, ...]:
    """The cards of a ``contactMessage`` or ``contactsArrayMessage``; national numbers are of our own country."""
    several = part.get("contacts")
    cards = several[:_CARDS] if isinstance(several, list) else [part]
    return tuple(_card(record(card), our_phone) for card in cards)


def card_text(card: ContactCard) -> str:
    """One readable line."""
    return " ".join(word for word in (card.name, card.phone and _international(card.phone)) if word)


def _card(card: dict[str, object], our_phone: str | None) -> ContactCard:
    vcard = re.sub(r"\r?\n[ \t]", "", text(card.get("vcard"), _CARD_LENGTH)).replace("\r", "")
    full_name = _FN.search(vcard)
    name = word(card.get("displayName")) or word(full_name and full_name[1])
    return ContactCard(name=name, phone=_phone(vcard, our_phone))


def _phone(vcard: str, our_phone: str | None) -> str | None:
    if waid := _WAID.search(vcard):
        return waid[1]
    tel = _TEL.search(vcard)
    if tel is None:
        return None
    try:
        number = phonenumbers.parse(tel[1][:100], _region_of(our_phone))
    except phonenumbers.NumberParseException:
        return "".join(sign for sign in tel[1][:100] if sign in "0123456789") or None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")


def _international(phone: str) -> str:
    try:
        number = phonenumbers.parse(f"+{phone}")
    except phonenumbers.NumberParseException:
        return phone
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def _region_of(phone: str | None) -> str | None:
    """The country of a number with country code, such as "BR"."""
    try:
        code = phonenumbers.parse(f"+{phone or ''}").country_code
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.region_code_for_country_code(code) if code else None
