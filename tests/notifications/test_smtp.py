"""The SMTP mailer against real servers: what it says on the wire, when it keeps silent, and what a refusal means."""

import email
import socket
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from msgspec.structs import replace

from plixa.kernel.settings import Mailing
from plixa.notifications.client import MailDelayed, MailError, MailRefused, MailStopped, OutboundMail, SmtpMailer
from tests.notifications.servers import ELSEWHERE, MAILING, SENDER, Certificate, Sink, authenticate, certify, free_port, smtp

MAIL = OutboundMail("f00d", "ana@example.com", "password_reset", "Redefinição de senha ✓", "Olá,\n\nseu código\n", "<p>Olá, é você</p>")
PASSWORD = "plixa:pass%3Aword%401@"

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


def mailer(url: str, *, secure: bool = True) -> SmtpMailer:
    return SmtpMailer(url, SENDER, MAILING, secure=secure)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certify(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    """The certificate, known to this machine."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    return certificate


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def port(sink: Sink) -> Iterator[int]:
    """Of a server without TLS."""
    with smtp(sink) as port:
        yield port


def received(sink: Sink) -> EmailMessage:
    """The newest mail, as a reader of mail takes it apart."""
    content = sink.envelopes[-1].content
    assert isinstance(content, bytes)
    return email.message_from_bytes(content, policy=default)


async def refusal(url: str, to: str = "ana@example.com", *, secure: bool = True) -> MailError:
    with pytest.raises(MailError) as caught:
        await mailer(url, secure=secure).send(replace(MAIL, to=to))
    return caught.value


async def test_a_mail_arrives_whole(sink: Sink, port: int) -> None:
    number = await mailer(f"smtp://127.0.0.1:{port}").send(MAIL)
    message = received(sink)
    assert (message["Subject"], message["To"], message["From"]) == (MAIL.subject, MAIL.to, SENDER)
    assert number == message["Message-ID"] == "<f00d@mail.example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime.tzinfo is not None
    text, html = message.iter_parts()
    assert isinstance(text, EmailMessage)
    assert isinstance(html, EmailMessage)
    assert (text.get_content_type(), text.get_content().replace("\r\n", "\n")) == ("text/plain", MAIL.text)
    assert (html.get_content_type(), html.get_content().strip()) == ("text/html", MAIL.html)


async def test_a_second_attempt_has_the_same_message_id(sink: Sink, port: int) -> None:
    one = mailer(f"smtp://127.0.0.1:{port}")
    assert await one.send(MAIL) == await one.send(MAIL)


async def test_an_address_in_any_alphabet_needs_a_server_that_knows_it(sink: Sink, port: int) -> None:
    with smtp(Sink(), enable_SMTPUTF8=False) as older:
        assert isinstance(await refusal(f"smtp://127.0.0.1:{older}", "josé@example.com"), MailRefused)
    await mailer(f"smtp://127.0.0.1:{port}").send(replace(MAIL, to="josé@example.com"))
    assert sink.envelopes[0].rcpt_tos == ["josé@example.com"]


@pytest.mark.parametrize(
    ("to", "kind", "code"),
    [
        ("hard@example.com", MailRefused, "550"),
        ("spam@example.com", MailRefused, "554"),
        ("soft@example.com", MailDelayed, "451"),
        ("full@example.com", MailDelayed, "452"),
    ],
)
async def test_what_a_server_says_of_a_mail_decides(sink: Sink, port: int, to: str, kind: type[MailError], code: str) -> None:
    error = await refusal(f"smtp://127.0.0.1:{port}", to)
    assert (type(error), code in str(error), sink.envelopes) == (kind, True, [])


async def test_what_a_server_says_of_us_stops_all_mail(sink: Sink, port: int) -> None:
    with pytest.raises(MailStopped, match="553"):
        await SmtpMailer(f"smtp://127.0.0.1:{port}", "stranger@example.com", MAILING, secure=True).send(MAIL)


async def test_the_password_is_said_and_a_wrong_one_stops_all_mail(sink: Sink) -> None:
    with smtp(sink, authenticator=authenticate, auth_required=True, auth_require_tls=False) as port:
        await mailer(f"smtp://{PASSWORD}127.0.0.1:{port}").send(MAIL)
        assert len(sink.envelopes) == 1
        wrong = await refusal(f"smtp://plixa:wrong@127.0.0.1:{port}")
        without = await refusal(f"smtp://127.0.0.1:{port}")
    assert (type(wrong), "535" in str(wrong)) == (MailStopped, True)
    assert (type(without), "530" in str(without)) == (MailStopped, True)
    assert len(sink.envelopes) == 1


async def test_nothing_crosses_a_network_in_the_clear(sink: Sink) -> None:
    said: list[str] = []

    def hear(_server: object, _session: object, _envelope: object, mechanism: str, data: object) -> object:
        said.append(mechanism)
        return authenticate(_server, _session, _envelope, mechanism, data)

    with smtp(sink, authenticator=hear, auth_require_tls=False) as port:
        error = await refusal(f"smtp://{PASSWORD}{ELSEWHERE}:{port}")
        assert (type(error), "STARTTLS" in str(error), said, sink.envelopes) == (MailStopped, True, [], [])
        await mailer(f"smtp://{PASSWORD}{ELSEWHERE}:{port}", secure=False).send(MAIL)
    assert (said, len(sink.envelopes)) == (["PLAIN"], 1)


async def test_starttls_comes_before_the_password(sink: Sink, trusted: Certificate) -> None:
    with smtp(sink, tls_context=trusted.context, require_starttls=True, authenticator=authenticate, auth_required=True) as port:
        await mailer(f"smtp://{PASSWORD}{ELSEWHERE}:{port}").send(MAIL)
        await mailer(f"smtp://{PASSWORD}{ELSEWHERE}:{port}").check()
    assert len(sink.envelopes) == 1


async def test_smtps_is_behind_tls_from_the_start(sink: Sink, trusted: Certificate) -> None:
    with smtp(sink, ELSEWHERE, ssl_context=trusted.context) as port:
        await mailer(f"smtps://{ELSEWHERE}:{port}").send(MAIL)
    assert len(sink.envelopes) == 1


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(sink: Sink, certificate: Certificate, scheme: str) -> None:
    implicit: dict[str, Any] = {"ssl_context": certificate.context} if scheme == "smtps" else {"tls_context": certificate.context}
    with smtp(sink, **implicit) as port:
        error = await refusal(f"{scheme}://{ELSEWHERE}:{port}")
    assert (isinstance(error, MailDelayed), "certificate" in str(error).lower(), sink.envelopes) == (True, True, [])


async def test_a_server_that_is_away_or_silent_is_tried_again_later() -> None:
    assert type(await refusal(f"smtp://127.0.0.1:{free_port()}")) is MailDelayed
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        hasty = Mailing(timeout_seconds=1, per_second=1)
        with pytest.raises(MailDelayed):
            await SmtpMailer(f"smtp://127.0.0.1:{silent.getsockname()[1]}", SENDER, hasty, secure=True).send(MAIL)


async def test_a_check_finds_what_would_stop_mail(sink: Sink) -> None:
    with smtp(sink, authenticator=authenticate, auth_required=True, auth_require_tls=False) as port:
        await mailer(f"smtp://{PASSWORD}127.0.0.1:{port}").check()
        with pytest.raises(MailStopped, match="535"):
            await mailer(f"smtp://plixa:wrong@127.0.0.1:{port}").check()
    with pytest.raises(MailDelayed):
        await mailer(f"smtp://127.0.0.1:{port}").check()
