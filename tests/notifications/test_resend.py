"""The Resend mailer against a server that speaks Resend's wire format."""

import time
from collections.abc import Iterator

import pytest
from litestar import Litestar, post
from msgspec.structs import replace

from plixa.kernel.settings import Mailing
from plixa.notifications.client import MailDelayed, MailError, MailRefused, MailStopped, OutboundMail, ResendMailer
from tests.notifications.servers import KEY, MAILING, SENDER, Answer, Resend, free_port
from tests.whatsapp.loopback import serving

MAIL = OutboundMail("f00d", "ana@example.com", "password_reset", "Redefinição ✓", "Olá", "<p>Olá</p>")
QUOTA = "daily_quota_exceeded"


@pytest.fixture
def resend() -> Resend:
    return Resend()


@pytest.fixture
def url(resend: Resend) -> Iterator[str]:
    with resend.listening() as url:
        yield url


@pytest.fixture
def mailer(url: str) -> ResendMailer:
    return ResendMailer(url, KEY, SENDER, MAILING)


async def refusal(mailer: ResendMailer, mail: OutboundMail = MAIL) -> MailError:
    with pytest.raises(MailError) as caught:
        await mailer.send(mail)
    return caught.value


async def test_a_mail_is_taken_as_resend_wants_it(resend: Resend, mailer: ResendMailer) -> None:
    number = await mailer.send(MAIL)
    assert resend.mails == {
        number: {
            "from": SENDER,
            "to": ["ana@example.com"],
            "subject": "Redefinição ✓",
            "html": "<p>Olá</p>",
            "text": "Olá",
            "headers": {"Auto-Submitted": "auto-generated"},
            "tags": [{"name": "template", "value": "password_reset"}],
        }
    }


async def test_a_mail_whose_answer_was_lost_is_not_sent_twice(resend: Resend, mailer: ResendMailer) -> None:
    resend.answers = [Answer(500, "application_error", after=True)]
    assert type(await refusal(mailer)) is MailDelayed
    assert await mailer.send(MAIL) == next(iter(resend.mails))
    assert (len(resend.mails), resend.keys) == (1, ["f00d", "f00d"])


async def test_the_same_key_with_another_body_is_refused_for_good(resend: Resend, mailer: ResendMailer) -> None:
    await mailer.send(MAIL)
    assert type(await refusal(mailer, replace(MAIL, subject="Another"))) is MailRefused
    assert len(resend.mails) == 1


async def test_an_address_that_resend_does_not_take_is_refused_for_good(resend: Resend, mailer: ResendMailer) -> None:
    error = await refusal(mailer, replace(MAIL, to="nobody"))
    assert (type(error), "422 validation_error" in str(error)) == (MailRefused, True)


@pytest.mark.parametrize(
    ("answer", "kind", "seconds"),
    [
        (Answer(429, "rate_limit_exceeded", {"retry-after": "7"}), MailDelayed, 7),
        (Answer(429, "rate_limit_exceeded", {"retry-after": "999999"}), MailDelayed, 3600),
        (Answer(429, "rate_limit_exceeded", {"retry-after": "soon"}), MailDelayed, 0),
        (Answer(409, "concurrent_idempotent_requests"), MailDelayed, 0),
        (Answer(500, "application_error"), MailDelayed, 0),
        (Answer(503, "service_unavailable"), MailDelayed, 0),
        (Answer(400, "validation_error"), MailRefused, None),
        (Answer(401, "restricted_api_key"), MailStopped, 0),
        (Answer(403, "validation_error"), MailStopped, 0),
        (Answer(302, "elsewhere"), MailStopped, 0),
    ],
)
async def test_what_resend_answers_decides(
    resend: Resend, mailer: ResendMailer, answer: Answer, kind: type[MailError], seconds: int | None
) -> None:
    resend.answers = [answer]
    error = await refusal(mailer)
    assert (type(error), getattr(error, "seconds", None), resend.mails) == (kind, seconds, {})
    await mailer.send(MAIL)


async def test_a_used_up_quota_is_not_asked_again_for_hours(resend: Resend, mailer: ResendMailer) -> None:
    resend.answers = [Answer(429, QUOTA)]
    first, second = await refusal(mailer), await refusal(mailer, replace(MAIL, id="beef"))
    assert isinstance(first, MailStopped)
    assert isinstance(second, MailStopped)
    assert first.seconds == 6 * 3600 >= second.seconds > 6 * 3600 - 60
    assert resend.keys == ["f00d"]


async def test_a_wrong_key_stops_all_mail(resend: Resend, url: str) -> None:
    mailer = ResendMailer(url, "re_wrong", SENDER, MAILING)
    assert type(await refusal(mailer)) is MailStopped
    with pytest.raises(MailStopped, match="invalid_api_key"):
        await mailer.check()


async def test_a_check_is_content_with_a_key_that_may_only_send(resend: Resend, mailer: ResendMailer) -> None:
    await mailer.check()
    resend.answers = [Answer(401, "restricted_api_key")]
    await mailer.check()


async def test_no_more_is_asked_in_a_second_than_is_allowed(resend: Resend, url: str) -> None:
    mailer = ResendMailer(url, KEY, SENDER, Mailing(timeout_seconds=5, per_second=20))
    begun = time.monotonic()
    for number in range(5):
        await mailer.send(replace(MAIL, id=str(number)))
    assert time.monotonic() - begun >= 4 / 20


async def test_a_server_that_is_away_or_speaks_otherwise_is_tried_again_later() -> None:
    away = ResendMailer(f"http://127.0.0.1:{free_port()}", KEY, SENDER, MAILING)
    assert type(await refusal(away)) is MailDelayed

    @post("/emails", status_code=200)
    async def emails() -> str:
        return "<html>a proxy's own page</html>"

    with serving(Litestar([emails], openapi_config=None, logging_config=None)) as url:
        assert type(await refusal(ResendMailer(url, KEY, SENDER, MAILING))) is MailDelayed
