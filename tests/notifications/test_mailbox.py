"""The local mailbox: read without signing in, by whoever sits at the machine, and by nobody else. And which mailer is chosen."""

import secrets
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient
from msgspec.structs import replace

from plixa.cli.doctor import _mail
from plixa.kernel.errors import NotFound
from plixa.kernel.mail import Mail
from plixa.kernel.settings import Settings, SettingsError, load_settings
from plixa.notifications.client import LocalMailbox, create_mailer
from plixa.notifications.queries.mailbox import refuse_strangers
from tests.notifications.servers import KEY, Resend, free_port
from tests.notifications.test_sending import ask, attempt
from tests.support.world import Workspace

MAILBOX = "/v1/dev/mailbox"
HERE = {"host": "127.0.0.1:8000"}
LINK = "https://chat.example.com/reset-password#token=abc"


async def read(client: AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await client.get(MAILBOX, params=query, headers=HERE)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def keep(workspace: Workspace, to: str, *names: str) -> None:
    """Mails that reached the mailbox, one after the other."""
    for name in names:
        await ask(workspace, f"reset/{name}", Mail("password_reset", to, "en", {"name": name, "link": LINK}))
        await attempt(workspace, LocalMailbox())


async def test_a_newcomer_reads_the_link_without_signing_in(client: AsyncClient, lucia_studios: Workspace) -> None:
    address = f"ana-{secrets.token_hex(6)}@example.com"
    await keep(lucia_studios, address, "Ana")
    (mail,) = (await read(client, to=address.upper()))["data"]
    assert (mail["to"], mail["template"], mail["subject"]) == (address, "password_reset", "Reset your password")
    assert mail["tenant_id"] == lucia_studios.tenant
    assert LINK in mail["text"]
    assert LINK in mail["html"]


async def test_the_newest_comes_first_page_by_page(client: AsyncClient, lucia_studios: Workspace, other_tenant: Workspace) -> None:
    address = f"ana-{secrets.token_hex(6)}@example.com"
    await keep(lucia_studios, address, "one", "two", "three")
    await keep(lucia_studios, "bea@example.com", "other")
    await keep(other_tenant, address, "four")
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(2):
        page = await read(client, to=address, limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [mail["text"].split(",")[0] for mail in page["data"]]
        cursor = page["meta"]["next_cursor"]
    assert (seen, cursor) == ([f"Hello {name}" for name in ("four", "three", "two", "one")], None)
    assert [mail["to"] for mail in (await read(client, limit=2))["data"]] == [address, "bea@example.com"]


@pytest.mark.parametrize("query", [{"cursor": "nonsense"}, {"limit": 0}, {"limit": 201}, {"to": "x" * 321}, {"to": "nul\x00"}])
async def test_nonsense_is_refused(client: AsyncClient, query: dict[str, Any]) -> None:
    assert (await client.get(MAILBOX, params=query, headers=HERE)).status_code == 422


@pytest.mark.parametrize("host", ["plixa.test", "evil.example:8000", "127.0.0.1.evil.example"])
async def test_a_page_that_leads_here_under_another_name_reads_nothing(client: AsyncClient, host: str) -> None:
    assert (await client.get(MAILBOX, headers={"host": host})).status_code == 404


@pytest.mark.parametrize(
    "changed",
    [
        {"environment": "production"},
        {"host": "0.0.0.0"},
        {"public_url": "https://chat.example.com"},
        {"resend_api_key": KEY},
        {"smtp_url": "smtp://mail.example.com"},
    ],
)
def test_the_mailbox_is_shut_where_others_could_come_to_it(settings: Settings, changed: dict[str, Any]) -> None:
    refuse_strangers(settings, "localhost")
    with pytest.raises(NotFound):
        refuse_strangers(replace(settings, **changed), "localhost")


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "local"),
        ({"PLIXA_SMTP_URL": "smtps://me:secret@mail.example.com"}, "smtp"),
        ({"PLIXA_RESEND_API_KEY": KEY}, "resend"),
        ({"PLIXA_RESEND_API_KEY": KEY, "PLIXA_SMTP_URL": "smtp://mail.example.com"}, "resend"),
    ],
)
def test_resend_comes_before_smtp_and_smtp_before_the_mailbox(environ: dict[str, str], name: str, tmp_path: Path) -> None:
    given = {"PLIXA_HOME": str(tmp_path), "PLIXA_MAIL_FROM": "Plixa <no-reply@example.com>", **environ}
    assert create_mailer(load_settings(given)).name == name


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"PLIXA_RESEND_API_KEY": KEY}, "PLIXA_MAIL_FROM"),
        ({"PLIXA_SMTP_URL": "smtp://mail.example.com"}, "PLIXA_MAIL_FROM"),
        ({"PLIXA_SMTP_URL": "http://mail.example.com", "PLIXA_MAIL_FROM": "a@b.c"}, "PLIXA_SMTP_URL"),
        ({"PLIXA_SMTP_URL": "smtp:mail.example.com", "PLIXA_MAIL_FROM": "a@b.c"}, "PLIXA_SMTP_URL"),
        ({"PLIXA_RESEND_API_BASE": "ftp://x"}, "PLIXA_RESEND_API_BASE"),
        ({"PLIXA_MAIL_FROM": "Plixa"}, "PLIXA_MAIL_FROM"),
        ({"PLIXA_MAIL_FROM": "Plixa\nBcc: x@y.z <a@b.c>"}, "PLIXA_MAIL_FROM"),
        ({"PLIXA_MAIL_FROM": "a@b.c, d@e.f"}, "PLIXA_MAIL_FROM"),
    ],
)
def test_a_wrong_setting_of_mail_stops_the_start(environ: dict[str, str], named: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=named):
        load_settings({"PLIXA_HOME": str(tmp_path), **environ})


async def test_the_doctor_looks_at_mail(settings: Settings) -> None:
    assert (await _mail(settings)).well
    assert "reach nobody" in str((await _mail(replace(settings, environment="production"))).advice)
    with Resend().listening() as url:
        real = replace(settings, resend_api_base=url, resend_api_key=KEY, mail_from="no-reply@example.com")
        assert (await _mail(real)).well
        assert "invalid_api_key" in (await _mail(replace(real, resend_api_key="re_wrong"))).found
    away = replace(settings, smtp_url=f"smtp://127.0.0.1:{free_port()}", mail_from="no-reply@example.com")
    assert not (await _mail(away)).well
