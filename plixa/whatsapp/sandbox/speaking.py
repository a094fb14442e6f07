"""Playing the customer from outside: what `plixa sandbox say` and tests call."""

import base64
import mimetypes
from pathlib import Path
from typing import Any, Final

import httpx

FILES: Final = ("image", "audio", "video", "document", "sticker")
SECONDS: Final = 30.0


def say(base_url: str, api_key: str, **deed: Any) -> str:
    """Do one thing as a customer, by the fields of `Said`; the answer is the WhatsApp id of the message.

    A file may also be a path or bytes. Raises what httpx raises: ``HTTPStatusError`` carries the sandbox's reason.
    """
    wanted = {name: value for name, value in deed.items() if value is not None}
    for name in FILES:
        wanted |= _file(wanted.get(name), wanted, name)
    url = f"{base_url.rstrip('/')}/sandbox/say"
    response = httpx.post(url, json=wanted, headers={"apikey": api_key}, timeout=SECONDS, trust_env=False)
    response.raise_for_status()
    return str(response.json()["id"])


def _file(value: Any, wanted: dict[str, Any], name: str) -> dict[str, Any]:
    if isinstance(value, bytes):
        return {name: base64.b64encode(value).decode()}
    if not isinstance(value, Path):
        return {}
    mime = wanted.get("mime") or mimetypes.guess_type(value.name)[0]
    named = {"filename": wanted.get("filename") or value.name, **({"mime": mime} if mime else {})}
    return {name: base64.b64encode(value.read_bytes()).decode(), **named}
