"""A picture in a mail: shown where the mail is read, whoever carried it."""

import base64
import email
import io
import secrets
from email.policy import default

from httpx import AsyncClient
from PIL import Image

from plixa.kernel.mail import Mail
from plixa.notifications.client import LocalMailbox, OutboundMail, ResendMailer, SmtpMailer
from tests.notifications.servers import KEY, MAILING, SENDER, Resend, Sink, smtp
from tests.notifications.test_sending import ask, attempt
from tests.support.world import Workspace

DRAWN = io.BytesIO()
Image.new("RGB", (8, 8), "#0f766e").save(DRAWN, "PNG")
PICTURE = DRAWN.getvalue()
PAGE = '<p>Olá</p><img src="cid:chart" alt="">'
MAIL = OutboundMail("f00d", "ana@example.com", "digest", "Ontem", "Olá\n", PAGE, {"chart": PICTURE})
VALUES = dict.fromkeys(("name", "workspace", "period", "opened", "reopened", "closed", "received", "sent", "answers", "answer_time"), "1")


async def test_resend_gets_it_as_what_the_page_names() -> None:
    resend = Resend()
    with resend.listening() as url:
        number = await ResendMailer(url, KEY, SENDER, MAILING).send(MAIL)
    (attached,) = resend.mails[number]["attachments"]
    assert base64.b64decode(attached.pop("content")) == PICTURE
    assert attached == {"filename": "chart.png", "content_type": "image/png", "content_id": "chart"}


async def test_smtp_carries_it_beside_the_page() -> None:
    sink = Sink()
    with smtp(sink) as port:
        await SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER, MAILING, secure=False).send(MAIL)
    content = sink.envelopes[0].content
    assert isinstance(content, bytes)
    message = email.message_from_bytes(content, policy=default)
    assert message.get_content_type() == "multipart/alternative"
    related = message.get_body(("related",))
    assert related is not None
    page, picture = related.iter_parts()
    assert page.get_content().strip() == PAGE
    assert (picture["Content-ID"], picture.get_content_type(), picture.get_content_disposition()) == ("<chart>", "image/png", "inline")
    assert picture.get_content() == PICTURE


async def test_the_mailbox_shows_it(client: AsyncClient, lucia_studios: Workspace) -> None:
    to = f"ana-{secrets.token_hex(6)}@example.com"
    await ask(lucia_studios, "digest/1", Mail("digest", to, "en", VALUES, pictures={"chart": PICTURE}))
    await attempt(lucia_studios, LocalMailbox())
    answer = await client.get("/v1/dev/mailbox", params={"to": to}, headers={"host": "127.0.0.1:8000"})
    (mail,) = answer.json()["data"]
    assert f'src="data:image/png;base64,{base64.b64encode(PICTURE).decode()}"' in mail["html"]
    assert "cid:" not in mail["html"]
