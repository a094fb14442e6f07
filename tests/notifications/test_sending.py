"""From a command that asks for a mail to its end: sent once, noted, or parked, and never readable on the way."""

import json
import logging
import secrets
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from plixa.kernel.audit import PLATFORM
from plixa.kernel.delivery import ATTEMPTS, deliver
from plixa.kernel.jobs import PRUNING
from plixa.kernel.mail import VALUES, Mail, open_mail, send_mail
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel, perform, working
from plixa.notifications.actors.mail import Actors
from plixa.notifications.client import LocalMailbox, Mailer, ResendMailer, SmtpMailer
from plixa.notifications.commands.suppressing import suppress
from plixa.whatsapp.client import EvolutionGateway
from plixa.worker import effects
from tests.notifications.servers import KEY, MAILING, SENDER, Answer, Resend, Sink, smtp
from tests.support.world import Workspace

LINK = "https://chat.example.com/reset-password#token=CANARYTOKEN"
OUTBOX = "SELECT * FROM outbox WHERE tenant_id = $1 AND kind = 'mail.send' ORDER BY id"
KEPT = "SELECT * FROM mail WHERE tenant_id = $1 ORDER BY id"
NOW = "UPDATE outbox SET due_at = now() WHERE tenant_id = $1 AND kind = 'mail.send'"


def reset(to: str = "ana@example.com", name: str = "Ana CANARYNAME") -> Mail:
    return Mail("password_reset", to, "pt-BR", {"name": name, "link": LINK})


async def ask(workspace: Workspace, key: str, mail: Mail) -> None:
    """A command that wants a mail sent."""
    async with working(workspace.kernel, workspace.tenant) as uow:

        async def command() -> None:
            send_mail(uow, key, mail)

        await perform(uow, command)


async def attempt(workspace: Workspace, mailer: Mailer) -> None:
    """What a worker does, without waiting until it is due."""
    await workspace.rows(NOW)
    for row in await workspace.rows(OUTBOX):
        await deliver(workspace.kernel, Actors(mailer).handlers(), workspace.tenant, row["id"])


async def outbox(workspace: Workspace) -> list[tuple[str, int]]:
    """State and attempts of every mail that was asked for."""
    return [(row["state"], row["attempts"]) for row in await workspace.rows(OUTBOX)]


def readable(rows: list[dict[str, Any]]) -> str:
    """Everything in these rows that can be read."""
    return " ".join(str(value) + (value.decode("latin-1") if isinstance(value, bytes) else "") for row in rows for value in row.values())


async def test_every_mail_that_was_asked_for_reaches_the_local_mailbox(lucia_studios: Workspace, settings: Settings) -> None:
    gateway = EvolutionGateway(settings.gateway_url, settings.gateway_api_key)
    handlers = effects(settings, gateway)
    for template, names in VALUES.items():
        values = {name: datetime.now(UTC) if name.endswith("_at") else name for name in names}
        await ask(lucia_studios, template, Mail(template, "ana@example.com", "es", values, "America/Sao_Paulo"))
    for row in await lucia_studios.rows(OUTBOX):
        await deliver(lucia_studios.kernel, handlers, lucia_studios.tenant, row["id"])
    assert await outbox(lucia_studios) == [("done", 1)] * len(VALUES)
    kept = await lucia_studios.rows(KEPT)
    assert [(row["template"], row["state"], row["mailer"]) for row in kept] == [(template, "sent", "local") for template in VALUES]
    await gateway.aclose()


@pytest.mark.parametrize(
    ("reasons", "goes"), [(["unsubscribed"], True), (["bounced"], False), (["unsubscribed", "complained"], False), (["complained"], False)]
)
async def test_who_complained_gets_no_digest_and_still_the_way_back_in(lucia_studios: Workspace, reasons: list[str], goes: bool) -> None:
    address = f"{secrets.token_hex(5)}@example.com"
    for reason in reasons:
        async with working(lucia_studios.kernel, PLATFORM) as uow:
            await perform(uow, partial(suppress, uow, address, reason))
    await ask(lucia_studios, "digest", Mail("digest", address.upper(), "en", dict.fromkeys(VALUES["digest"], "1")))
    await ask(lucia_studios, "reset", reset(address))
    await attempt(lucia_studios, LocalMailbox())
    kept = {row["template"]: (row["state"], row["content"] is not None) for row in await lucia_studios.rows(KEPT)}
    assert kept == {"digest": ("sent" if goes else "failed", goes), "password_reset": ("sent", True)}


async def test_nothing_is_sent_before_the_commit(lucia_studios: Workspace) -> None:
    async with working(lucia_studios.kernel, lucia_studios.tenant) as uow:

        async def command() -> None:
            send_mail(uow, "reset/1", reset())
            await uow.execute("SELECT 1 FROM tenant WHERE tenant_id = $1")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await perform(uow, command)
    assert await outbox(lucia_studios) == []


async def test_the_same_key_is_mailed_once(lucia_studios: Workspace) -> None:
    sink = Sink()
    with smtp(sink) as port:
        mailer = SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER, MAILING, secure=True)
        for _ in range(2):
            await ask(lucia_studios, "reset/1", reset())
            await attempt(lucia_studios, mailer)
        await ask(lucia_studios, "reset/2", reset())
        await attempt(lucia_studios, mailer)
    assert [envelope.rcpt_tos for envelope in sink.envelopes] == [["ana@example.com"]] * 2
    (first, second) = await lucia_studios.rows(KEPT)
    assert first["provider_id"] != second["provider_id"]
    assert (first["content"], first["state"], first["mailer"]) == (None, "sent", "smtp")


async def test_a_worker_that_dies_after_sending_mails_nobody_twice(lucia_studios: Workspace) -> None:
    resend = Resend()
    resend.answers = [Answer(500, "application_error", after=True)]
    with resend.listening() as url:
        mailer = ResendMailer(url, KEY, SENDER, MAILING)
        await ask(lucia_studios, "reset/1", reset())
        await attempt(lucia_studios, mailer)
        assert await outbox(lucia_studios) == [("waiting", 1)]
        await attempt(lucia_studios, mailer)
    assert await outbox(lucia_studios) == [("done", 2)]
    assert (len(resend.mails), len(resend.keys), len(set(resend.keys))) == (1, 2, 1)
    (kept,) = await lucia_studios.rows(KEPT)
    assert kept["provider_id"] in resend.mails


async def test_two_workspaces_with_the_same_key_get_a_mail_each(lucia_studios: Workspace, other_tenant: Workspace) -> None:
    resend = Resend()
    with resend.listening() as url:
        for workspace in (lucia_studios, other_tenant):
            await ask(workspace, "reset/1", reset())
            await attempt(workspace, ResendMailer(url, KEY, SENDER, MAILING))
    assert (len(resend.mails), len(set(resend.keys))) == (2, 2)


async def test_what_is_delayed_is_parked_in_the_end_and_stays_visible(lucia_studios: Workspace) -> None:
    with smtp(Sink()) as port:
        mailer = SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER, MAILING, secure=True)
        await ask(lucia_studios, "reset/1", reset("soft@example.com"))
        waits = []
        for _ in range(ATTEMPTS + 1):
            await attempt(lucia_studios, mailer)
            (row,) = await lucia_studios.rows("SELECT extract(epoch FROM due_at - now())::int AS wait FROM outbox WHERE tenant_id = $1")
            waits.append(row["wait"])
    (row,) = await lucia_studios.rows(OUTBOX)
    assert (row["state"], row["attempts"], "451" in row["error"]) == ("parked", ATTEMPTS, True)
    assert all(low - 5 <= wait <= low * 1.2 + 5 for wait, low in zip(waits, (60, 300, 900, 3600), strict=False)), waits
    assert await lucia_studios.rows(KEPT) == []


async def test_a_mail_waits_as_long_as_resend_asks(lucia_studios: Workspace) -> None:
    resend = Resend()
    resend.answers = [Answer(429, "rate_limit_exceeded", {"retry-after": "600"})]
    with resend.listening() as url:
        await ask(lucia_studios, "reset/1", reset())
        await attempt(lucia_studios, ResendMailer(url, KEY, SENDER, MAILING))
    (row,) = await lucia_studios.rows("SELECT due_at - now() > interval '590 s' AS late FROM outbox WHERE tenant_id = $1")
    assert row["late"]


@pytest.mark.parametrize("to", ["hard@example.com", "ana@example.com\r\nBcc: all@example.com", "a@example.com, b@example.com", "nul\x00@x"])
async def test_what_is_refused_fails_at_once_with_a_warning(lucia_studios: Workspace, caplog: pytest.LogCaptureFixture, to: str) -> None:
    sink = Sink()
    with smtp(sink) as port, caplog.at_level(logging.WARNING):
        mailer = SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER, MAILING, secure=True)
        await ask(lucia_studios, "reset/1", reset(to))
        for _ in range(2):
            await attempt(lucia_studios, mailer)
    assert await outbox(lucia_studios) == [("done", 1)]
    (kept,) = await lucia_studios.rows(KEPT)
    assert (kept["state"], kept["provider_id"], bool(kept["error"])) == ("failed", None, True)
    assert (sink.envelopes, to in caplog.text) == ([], False)
    assert [record.levelname for record in caplog.records if "refused for good" in record.message] == ["WARNING"]


async def test_a_wrong_password_loses_no_mail(lucia_studios: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    resend = Resend()
    with resend.listening() as url, caplog.at_level(logging.ERROR):
        await ask(lucia_studios, "reset/1", reset())
        await attempt(lucia_studios, ResendMailer(url, "re_wrong", SENDER, MAILING))
        assert await outbox(lucia_studios) == [("waiting", 1)]
        assert "invalid_api_key" in caplog.text
        await attempt(lucia_studios, ResendMailer(url, KEY, SENDER, MAILING))
    assert (await outbox(lucia_studios), len(resend.mails)) == ([("done", 2)], 1)


async def test_no_value_of_a_mail_can_be_read_in_the_database(lucia_studios: Workspace) -> None:
    with smtp(Sink()) as port:
        mailer = SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER, MAILING, secure=True)
        await ask(lucia_studios, "reset/1", reset("soft@CANARYdomain.example"))
        await attempt(lucia_studios, mailer)
    (row,) = await lucia_studios.rows(OUTBOX)
    assert "<the recipient>" in row["error"]
    assert "canary" not in readable([row]).lower()
    opened = open_mail(lucia_studios.kernel.vault, lucia_studios.tenant, row["key"], json.loads(row["payload"]))
    assert opened == reset("soft@CANARYdomain.example")
    await attempt(lucia_studios, LocalMailbox())
    kept = readable(await lucia_studios.rows(KEPT))
    assert "CANARYTOKEN" not in kept
    assert "CANARYNAME" not in kept


async def test_times_come_back_as_times(lucia_studios: Workspace) -> None:
    values = {"name": "Ana", "workspace": "Lúcia Studios", "purge_at": datetime.now(UTC), "link": LINK}
    await ask(lucia_studios, "deletion/1", Mail("deletion_scheduled", "ana@example.com", "en", values))
    (row,) = await lucia_studios.rows(OUTBOX)
    assert open_mail(lucia_studios.kernel.vault, lucia_studios.tenant, row["key"], json.loads(row["payload"])).values == values


@pytest.mark.parametrize(
    ("template", "values", "fault"),
    [
        ("pasword_reset", {"name": "Ana", "link": LINK}, "no template pasword_reset"),
        ("password_reset", {"name": "Ana"}, "link"),
        ("password_changed", {"name": "Ana", "password": "secret"}, "password"),
    ],
)
async def test_a_mail_that_cannot_be_written_is_refused_where_it_is_asked_for(
    lucia_studios: Workspace, template: str, values: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        await ask(lucia_studios, "key", Mail(template, "ana@example.com", "en", values))
    with pytest.raises(ValueError, match="key"):
        await ask(lucia_studios, "k" * 201, reset())


async def test_plixa_itself_writes_too(kernel: Kernel, lucia_studios: Workspace) -> None:
    key = f"waitlist/{lucia_studios.tenant}"
    async with working(kernel, 0) as uow:

        async def command() -> None:
            send_mail(uow, key, Mail("waitlist_welcome", "ana@example.com", "pt"))

        await perform(uow, command)
    async with kernel.system.connection() as connection:
        number = await connection.fetchval("SELECT id FROM outbox WHERE tenant_id = 0 AND key = $1", key)
        assert await deliver(kernel, Actors(LocalMailbox()).handlers(), 0, number)
        assert await connection.fetchval("SELECT state FROM mail WHERE tenant_id = 0 AND key = $1", key) == "sent"


async def test_a_mail_is_forgotten_after_its_days(lucia_studios: Workspace, settings: Settings) -> None:
    (forget,) = [(statement, getattr(settings.retention, days)) for statement, days in PRUNING.items() if " mail " in statement]
    for key, age in (("old", forget[1] + 1), ("new", forget[1] - 1)):
        await ask(lucia_studios, key, reset())
        await attempt(lucia_studios, LocalMailbox())
        await lucia_studios.rows(
            "UPDATE mail SET created_at = now() - make_interval(days => $2) WHERE tenant_id = $1 AND key = $3", age, key
        )
    async with lucia_studios.kernel.system.connection() as connection:
        await connection.execute(*forget)
    assert [row["key"] for row in await lucia_studios.rows(KEPT)] == ["new"]
