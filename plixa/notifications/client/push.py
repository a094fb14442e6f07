"""Web Push: a notice is encrypted for one browser (RFC 8291) and brought to its push service, which knows us by our key (RFC 8292)."""

import base64
import binascii
import re
import time
from typing import Final, Protocol
from urllib.parse import SplitResult

import http_ece  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Struct
from py_vapid import Vapid02  # type: ignore[import-untyped]

from plixa.kernel.egress import ForbiddenAddress, Outside, Unreachable, check_url
from plixa.kernel.settings import LOOPBACK, Settings

SECONDS: Final = 10.0
TOKEN_LASTS: Final = 12 * 3600
"""Seconds; services refuse what lasts longer than a day."""
PAUSE: Final = 60.0
"""Seconds before another try where a service does not say."""
LONGEST_PAUSE: Final = 3600.0
POINT, SECRET = 65, 16
"""Bytes of a browser's public key and of its secret."""
BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}")


class Browser(Struct, frozen=True):
    """Where a browser hears of us, and its keys in base64url; without them it can only be told that there is something."""

    endpoint: str
    p256dh: str | None = None
    auth: str | None = None


class Push(Struct, frozen=True):
    """A notice as it goes out; ``seconds`` it is kept for a browser that is not there."""

    content: bytes
    seconds: int
    urgency: str
    topic: str


class PushError(Exception):
    """It was not taken; the sentence says why."""


class PushGone(PushError):
    """Nobody will ever hear it there again."""


class PushRefused(PushError):
    """This one will not be taken."""


class PushDelayed(PushError):
    """Not now, but perhaps in ``seconds``; None where nobody said when."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Pusher(Protocol):
    """What brings notices to browsers."""

    async def push(self, key: bytes, browser: Browser, push: Push) -> None:
        """Bring one, signed with our private key; raises PushGone, PushRefused, PushDelayed."""


class WebPush:
    """The push services of all browsers."""

    def __init__(self, settings: Settings) -> None:
        self._outside, self._loopback = Outside(seconds=SECONDS, loopback=may_loop(settings)), may_loop(settings)
        host = settings.public_url.partition("://")[2].partition("/")[0].partition(":")[0]
        self._subject = f"https://{host}" if settings.public_url.startswith("https:") else f"mailto:plixa@{host}"
        if host in LOOPBACK:
            self._subject = "mailto:plixa@localhost"

    async def push(self, key: bytes, browser: Browser, push: Push) -> None:
        headers = {"TTL": str(push.seconds), "Urgency": push.urgency, "Topic": push.topic}
        try:
            headers |= self._authorization(key, check_url(browser.endpoint, loopback=self._loopback))
            body = b""
            if browser.p256dh is not None and browser.auth is not None:
                headers |= {"Content-Encoding": "aes128gcm", "Content-Type": "application/octet-stream"}
                body = encrypted(browser.p256dh, browser.auth, push.content)
            answer = await self._outside.post(browser.endpoint, headers, body)
        except ForbiddenAddress as error:
            raise PushRefused(str(error)) from error
        except Unreachable as error:
            raise PushDelayed(f"The push service cannot be reached: {error}") from error
        judge(answer.status, answer.headers.get("retry-after", ""))

    def _authorization(self, key: bytes, parts: SplitResult) -> dict[str, str]:
        """A token for this push service alone."""
        claims = {"sub": self._subject, "aud": f"{parts.scheme}://{parts.netloc}", "exp": int(time.time()) + TOKEN_LASTS}
        signed: dict[str, str] = Vapid02(private_key(key)).sign(claims)
        return signed


def check_endpoint(settings: Settings, endpoint: str) -> str:
    """The host of a push service we may call; raises ForbiddenAddress."""
    return check_url(endpoint, loopback=may_loop(settings)).netloc


def may_loop(settings: Settings) -> bool:
    """Outside production a push service may be on this machine."""
    return settings.environment != "production"


def judge(status: int, retry_after: str) -> None:
    """What a push service's answer means; nothing where it took the notice."""
    reason = f"The push service answered {status}."
    if status in (404, 410):
        raise PushGone(reason)
    if status == 429:
        raise PushDelayed(reason, min(float(retry_after), LONGEST_PAUSE) if retry_after.isdigit() else PAUSE)
    if status >= 500 or status == 408:
        raise PushDelayed(reason)
    if not 200 <= status < 300:
        raise PushRefused(reason)


def encrypted(p256dh: str, auth: str, content: bytes) -> bytes:
    """One record of aes128gcm, for whoever has the private half of ``p256dh``."""
    ours = ec.generate_private_key(ec.SECP256R1())
    body: bytes = http_ece.encrypt(content, private_key=ours, dh=decoded(p256dh), auth_secret=decoded(auth))
    return body


def private_key(raw: bytes) -> ec.EllipticCurvePrivateKey:
    """The key of these 32 bytes."""
    return ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())


def new_key() -> bytes:
    """The 32 bytes of a new private key."""
    return ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32, "big")


def public_key(raw: bytes) -> str:
    """The public half of a private key, as pages hand it to their browser: 87 characters."""
    point = private_key(raw).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return base64.urlsafe_b64encode(point).decode().rstrip("=")


def is_point(text: str) -> bool:
    """Is it a point on the curve, in base64url?"""
    raw = decoded(text)
    if len(raw) != POINT:
        return False
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
    except ValueError:
        return False
    return True


def is_secret(text: str) -> bool:
    """Are these 16 bytes in base64url?"""
    return len(decoded(text)) == SECRET


def decoded(text: str) -> bytes:
    """The bytes of base64url, with or without its padding; none of anything else."""
    if BASE64URL.fullmatch(text) is None:
        return b""
    try:
        return base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
    except binascii.Error:
        return b""
