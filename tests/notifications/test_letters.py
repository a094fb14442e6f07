"""Every template says all it was told, in three languages, and nothing that was smuggled in."""

import re
from datetime import UTC, datetime
from html import escape
from typing import Any

import pytest
from jinja2 import UndefinedError

from plixa.kernel.mail import VALUES, Mail
from plixa.notifications.domain import LONGEST_SUBJECT, WORDING, BadAddress, Letter, check_address, render

MOMENT = datetime(2026, 3, 1, 1, 30, tzinfo=UTC)
ZONE = "America/Sao_Paulo"
MOMENTS = {
    "en": "February 28, 2026, 22:30 (America/Sao_Paulo)",
    "pt-BR": "28 de fevereiro de 2026, 22:30 (America/Sao_Paulo)",
    "es": "28 de febrero de 2026, 22:30 (America/Sao_Paulo)",
}


def told(template: str) -> dict[str, Any]:
    """A value for each name, hostile where it is text."""
    return {name: MOMENT if name.endswith("_at") else f'<b>{name} & "Co"</b>' for name in VALUES[template]}


def letter(template: str, locale: str) -> Letter:
    return render(Mail(template, "ana@example.com", locale, told(template), ZONE))


@pytest.mark.parametrize("locale", WORDING)
@pytest.mark.parametrize("template", VALUES)
def test_every_template_shows_every_value_and_escapes_it(template: str, locale: str) -> None:
    shown = letter(template, locale)
    for name, value in told(template).items():
        expected = MOMENTS[locale] if name.endswith("_at") else value
        assert expected in shown.text
        assert escape(expected).replace("&quot;", "&#34;") in shown.html
    assert "<b>" not in shown.html
    assert not re.search(r"\{[{%]|[}%]\}", shown.text + shown.html + shown.subject)
    assert f'<html lang="{locale}">' in shown.html


@pytest.mark.parametrize("template", VALUES)
def test_no_language_borrows_from_another(template: str) -> None:
    letters = [letter(template, locale) for locale in WORDING]
    assert len({one.subject for one in letters}) == len({one.text for one in letters}) == len(WORDING)


def test_every_language_has_the_same_templates_and_parts() -> None:
    parts = [{(name, part) for name, words in texts.items() for part in words} for texts in WORDING.values()]
    assert parts[0] == parts[1] == parts[2]
    assert {name for name, _ in parts[0]} == VALUES.keys() | {"shared"}


@pytest.mark.parametrize(
    ("locale", "hello"),
    [("pt", "Olá"), ("pt-BR", "Olá"), ("pt_PT", "Olá"), ("es-419", "Hola"), ("EN-us", "Hello"), ("de", "Hello"), ("", "Hello")],
)
def test_a_locale_is_read_by_its_language(locale: str, hello: str) -> None:
    assert render(Mail("password_changed", "ana@example.com", locale, {"name": "Ana"})).text.startswith(f"{hello}")


def test_a_link_stands_in_the_text_and_behind_the_button() -> None:
    link = "https://chat.example.com/reset-password#token=a1&b=2"
    shown = render(Mail("password_reset", "ana@example.com", "en", {"name": "Ana", "link": link}))
    assert f"Choose a new password:\n{link}\n" in shown.text
    assert f'<a href="{escape(link)}"' in shown.html


def test_names_cannot_add_headers_lines_or_turn_the_text_round() -> None:
    name = "Ana\r\nBcc: all@example.com\x00\u2028\u202egnp.exe \U0001f469\u200d\U0001f4bb" + "x" * 300
    shown = render(Mail("invitation", "ana@example.com", "en", told("invitation") | {"inviter": name}))
    assert shown.subject.startswith("Ana Bcc: all@example.com gnp.exe \U0001f469\u200d\U0001f4bb")
    assert len(shown.subject) == LONGEST_SUBJECT
    assert not re.search("[\r\x00\u2028\u202e]", shown.text + shown.html)
    assert "Ana Bcc: all@example.com" in shown.text


def test_a_value_that_is_missing_is_never_left_blank() -> None:
    with pytest.raises(UndefinedError, match="workspace"):
        render(Mail("member_removed", "ana@example.com", "en", {"name": "Ana"}))


@pytest.mark.parametrize("address", ["ana@example.com", "josé.müller+x@exämple.com", "a'b@example.co"])
def test_an_address_is_taken(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ana",
        "ana@",
        "@x",
        "a@x, b@x",
        "a@x;b@x",
        "Ana <a@x>",
        "a@x\r\nBcc: b@x",
        "a@x\n",
        "a b@x",
        "a@b@c",
        "a\u202e@x",
        f"a@{'x' * 320}",
    ],
)
def test_what_is_not_one_address_is_refused(address: str) -> None:
    with pytest.raises(BadAddress):
        check_address(address)
