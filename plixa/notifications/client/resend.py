"""Resend's HTTP API. ``Idempotency-Key`` lets a repeated attempt be answered with the first one's id."""

import asyncio
import base64
import ssl
import time
from typing import Any, Final

import httpx
import msgspec
from msgspec import Struct

from plixa.kernel.settings import Mailing
from plixa.notifications.client.mailer import MailDelayed, MailError, MailRefused, MailStopped, OutboundMail

QUOTA_NAMES: Final = frozenset({"daily_quota_exceeded", "monthly_quota_exceeded"})
QUOTA_PAUSE: Final = 6 * 3600.0
"""Seconds without a further try: four of them reach into the next day."""
LONGEST_WAIT: Final = 3600.0
"""Seconds of a ``retry-after`` that we believe."""
USER_AGENT: Final = "plixa"


class Accepted(Struct, frozen=True):
    id: str


class Fault(Struct, frozen=True):
    name: str = ""
    message: str = ""


class ResendMailer:
    """One account at Resend, asked no faster than it allows."""

    name = "resend"
    keeps = False

    def __init__(self, base_url: str, api_key: str, sender: str, mailing: Mailing) -> None:
        self._base_url, self._sender = base_url.rstrip("/"), sender
        self._headers = {"authorization": f"Bearer {api_key}", "user-agent": USER_AGENT}
        self._seconds, self._interval = mailing.timeout_seconds, 1.0 / mailing.per_second
        self._tls = ssl.create_default_context()
        self._turns = asyncio.Lock()
        self._next_turn = self._resumed_at = 0.0

    async def send(self, mail: OutboundMail) -> str:
        if (left := self._resumed_at - time.monotonic()) > 0:
            raise MailStopped("Resend's quota is used up.", left)
        await self._turn()
        response = await self._ask("POST", "/emails", mail)
        if response.is_success:
            return _decode(response, Accepted).id
        error = failure(response)
        if isinstance(error, MailStopped) and error.seconds:
            self._resumed_at = time.monotonic() + error.seconds
        raise error

    async def check(self) -> None:
        """A key that may only send is refused here by that name."""
        response = await self._ask("GET", "/domains")
        if not response.is_success and _fault(response).name != "restricted_api_key":
            raise failure(response)

    async def _turn(self) -> None:
        """Wait until the account may be asked again."""
        async with self._turns:
            await asyncio.sleep(max(0.0, self._next_turn - time.monotonic()))
            self._next_turn = time.monotonic() + self._interval

    async def _ask(self, method: str, path: str, mail: OutboundMail | None = None) -> httpx.Response:
        headers, body = self._headers, None
        if mail is not None:
            headers, body = {**headers, "idempotency-key": mail.id}, self._body(mail)
        try:
            async with (
                asyncio.timeout(self._seconds),
                httpx.AsyncClient(verify=self._tls, trust_env=False, timeout=self._seconds) as client,
            ):
                return await client.request(method, self._base_url + path, headers=headers, json=body)
        except TimeoutError as error:
            raise MailDelayed(f"Resend took longer than {self._seconds} s.") from error
        except httpx.TransportError as error:
            raise MailDelayed(f"Resend cannot be reached: {type(error).__name__}.") from error

    def _body(self, mail: OutboundMail) -> dict[str, Any]:
        pictures = [attachment(name, content) for name, content in mail.pictures.items()]
        return {
            **({"attachments": pictures} if pictures else {}),
            "from": mail.sender or self._sender,
            "to": [mail.to],
            "subject": mail.subject,
            "html": mail.html,
            "text": mail.text,
            "headers": {"Auto-Submitted": "auto-generated"} | mail.headers,
            "tags": [{"name": name, "value": value} for name, value in ({"template": mail.template} | mail.tags).items()],
        }


def attachment(name: str, content: bytes) -> dict[str, str]:
    """A picture that the HTML shows."""
    form = {"filename": f"{name}.png", "content_type": "image/png", "content_id": name}
    return {**form, "content": base64.b64encode(content).decode()}


def failure(response: httpx.Response) -> MailError:
    """What Resend's refusal means."""
    status, fault = response.status_code, _fault(response)
    reason = f"Resend answered {status} {fault.name}: {fault.message}"
    if fault.name in QUOTA_NAMES:
        return MailStopped(reason, QUOTA_PAUSE)
    if status < 400 or status in (401, 403):
        return MailStopped(reason)
    if status >= 500 or status in (408, 429) or fault.name == "concurrent_idempotent_requests":
        return MailDelayed(reason, _retry_after(response))
    return MailRefused(reason)


def _retry_after(response: httpx.Response) -> float:
    value = response.headers.get("retry-after", "")
    return min(float(value), LONGEST_WAIT) if value.isdigit() else 0.0


def _fault(response: httpx.Response) -> Fault:
    """What it says of itself; something in between may answer in another form."""
    try:
        return msgspec.json.decode(response.content, type=Fault)
    except msgspec.DecodeError:
        return Fault()


def _decode(response: httpx.Response, shape: type[Accepted]) -> Accepted:
    try:
        return msgspec.json.decode(response.content, type=shape)
    except msgspec.DecodeError as error:
        raise MailDelayed("Resend answered something we do not understand.") from error
