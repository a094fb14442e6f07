"""What Resend's webhooks are signed with, made apart from what checks it."""

import base64
import hashlib
import hmac

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
"""The suite's own."""


def signature(number: str, body: bytes, moment: int, secret: str = SECRET) -> str:
    """By Svix' scheme."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.new(key, b"%s.%d.%s" % (number.encode(), moment, body), hashlib.sha256).digest()).decode()


def signed(number: str, body: bytes, moment: int, secret: str = SECRET) -> dict[str, str]:
    """The headers of a delivery."""
    return {
        "content-type": "application/json",
        "svix-id": number,
        "svix-timestamp": str(moment),
        "svix-signature": signature(number, body, moment, secret),
    }
