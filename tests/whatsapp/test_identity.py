"""Addresses and phone numbers: who is a person, and which numbers are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plixa.whatsapp.domain import canonical_phone, is_direct, lid_of, phone_of, phone_variants
from plixa.whatsapp.domain.identity import indirect_reason, normal_jid

NUMBERS = st.from_regex(r"(55[1-9]{2}9?[2-9][0-9]{7}|521?[0-9]{10}|549?[0-9]{10}|[1-9][0-9]{6,14})", fullmatch=True)


@pytest.mark.parametrize(
    ("received", "canonical"),
    [
        ("5511987654321", "551187654321"),
        ("551187654321", "551187654321"),
        ("551133334444", "551133334444"),
        ("5215512345678", "525512345678"),
        ("525512345678", "525512345678"),
        ("5491123456789", "541123456789"),
        ("541123456789", "541123456789"),
        ("14155552671", "14155552671"),
        ("351912345678", "351912345678"),
        ("+55 (11) 98765-4321", "551187654321"),
    ],
)
def test_a_number_has_one_canonical_form(received: str, canonical: str) -> None:
    assert canonical_phone(received) == canonical


@pytest.mark.parametrize(
    ("received", "variants"),
    [
        ("5531987654321", ("5531987654321", "553187654321")),
        ("553187654321", ("553187654321", "5531987654321")),
        ("551133334444", ("551133334444",)),
        ("5511933334444", ("5511933334444",)),
        ("5215512345678", ("5215512345678", "525512345678")),
        ("541123456789", ("541123456789", "5491123456789")),
        ("14155552671", ("14155552671",)),
    ],
)
def test_a_number_is_tried_as_received_and_then_in_its_other_form(received: str, variants: tuple[str, ...]) -> None:
    assert phone_variants(received) == variants


@given(NUMBERS)
def test_all_variants_of_a_number_share_one_canonical_form(number: str) -> None:
    assert {canonical_phone(variant) for variant in phone_variants(number)} == {canonical_phone(number)}
    assert phone_variants(number)[0] == number


@given(NUMBERS)
def test_every_variant_has_the_same_set_of_variants(number: str) -> None:
    assert {frozenset(phone_variants(variant)) for variant in phone_variants(number)} == {frozenset(phone_variants(number))}


@given(st.text() | NUMBERS)
def test_the_canonical_form_is_its_own_canonical_form(text: str) -> None:
    assert canonical_phone(canonical_phone(text)) == canonical_phone(text)


@pytest.mark.parametrize(
    ("jid", "phone", "lid"),
    [
        ("5511987654321@s.whatsapp.net", "5511987654321", None),
        ("5511987654321:12@s.whatsapp.net", "5511987654321", None),
        ("5511987654321_1:12@s.whatsapp.net", "5511987654321", None),
        ("5511987654321", "5511987654321", None),
        ("5511987654321:12", "5511987654321", None),
        ("5511987654321@c.us", "5511987654321", None),
        ("5511987654321:99@hosted", "5511987654321", None),
        ("84000000000001@lid", None, "84000000000001@lid"),
        ("84000000000001:3@lid", None, "84000000000001@lid"),
        ("84000000000001:99@hosted.lid", None, "84000000000001@lid"),
    ],
)
def test_a_person_is_reached_by_phone_or_lid(jid: str, phone: str | None, lid: str | None) -> None:
    assert is_direct(jid)
    assert (phone_of(jid), lid_of(jid)) == (phone, lid)
    assert indirect_reason(jid) is None


@pytest.mark.parametrize(
    ("jid", "reason"),
    [
        ("120363021234567890@g.us", "group"),
        ("status@broadcast", "broadcast"),
        ("5511987654321-1400000000@g.us", "group"),
        ("120363021234567890@newsletter", "newsletter"),
        ("867051314767696@bot", "bot"),
        ("13135550002@c.us", "bot"),
        ("server@c.us", "system address"),
        ("0@s.whatsapp.net", "system address"),
        ("@s.whatsapp.net", "system address"),
        ("٣٤٥@s.whatsapp.net", "system address"),
        ("5511987654321@elsewhere", "unknown kind of address"),
        ("", "system address"),
    ],
)
def test_nobody_alone_is_at_other_addresses(jid: str, reason: str) -> None:
    assert not is_direct(jid)
    assert (phone_of(jid), lid_of(jid)) == (None, None)
    assert indirect_reason(jid) == reason


@given(st.text())
def test_any_text_is_an_address_or_not_without_failing(text: str) -> None:
    assert is_direct(text) == (phone_of(text) is not None or lid_of(text) is not None)
    assert normal_jid(normal_jid(text)) == normal_jid(text)
