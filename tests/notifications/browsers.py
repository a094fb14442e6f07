"""Browsers and their push service, real ones but for the screen: what arrives is decrypted as RFC 8291 says, by its own steps."""

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from httpx import AsyncClient
from litestar import Litestar, Request, Response, post
from litestar.params import FromPath
from msgspec import Struct, field

from plixa.inbox.policies import REACTIONS
from plixa.inbox.queries.notices import WRITERS
from plixa.kernel.projector import advance
from plixa.kernel.reacting import step
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel
from plixa.notifications.actors.push import Actors
from plixa.notifications.client.push import WebPush
from tests.support.effects import do_effects
from tests.support.world import Workspace
from tests.whatsapp.loopback import serving

SUBSCRIPTIONS = "/v1/push/subscriptions"
CURVE = ec.SECP256R1()


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


class Browser:
    """One that was given permission; ``answer`` is what its push service says from then on."""

    def __init__(self, service: str, answer: int = 201) -> None:
        self.key, self.secret = ec.generate_private_key(CURVE), secrets.token_bytes(16)
        self.name = secrets.token_hex(8)
        self.endpoint = f"{service}/push/{answer}/{self.name}"

    def json(self, **changes: Any) -> dict[str, Any]:
        """What the page sends us."""
        keys = {"p256dh": encoded(point(self.key.public_key())), "auth": encoded(self.secret)}
        return {"endpoint": self.endpoint, "keys": keys, **changes}

    def read(self, body: bytes) -> dict[str, Any]:
        """The notice in a push."""
        salt, size, length, theirs = body[:16], int.from_bytes(body[16:20], "big"), body[20], body[21:86]
        assert (size, length) == (4096, 65)
        shared = self.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE, theirs))
        info = b"WebPush: info\0" + point(self.key.public_key()) + theirs
        material = HKDF(SHA256(), 32, self.secret, info).derive(shared)
        key = HKDF(SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(material)
        nonce = HKDF(SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(material)
        plain = AESGCM(key).decrypt(nonce, body[86:], None)
        assert plain.rstrip(b"\0")[-1:] == b"\x02"
        shown: dict[str, Any] = json.loads(plain.rstrip(b"\0")[:-1])
        return shown

    async def subscribe(self, client: AsyncClient, headers: dict[str, str]) -> dict[str, Any]:
        """Have a member's page register it."""
        answer = await client.post(SUBSCRIPTIONS, json=self.json(), headers=headers)
        assert answer.status_code == 201, answer.text
        shown: dict[str, Any] = answer.json()["data"]
        return shown


class Caught(Struct, frozen=True):
    """One push as it came in."""

    name: str
    headers: dict[str, str]
    body: bytes


class PushService(Struct):
    """Of all browsers; what it answers stands in the path."""

    url: str = ""
    caught: list[Caught] = field(default_factory=list)
    retry_after: str = "7"

    def of(self, browser: Browser) -> list[dict[str, Any]]:
        """What a browser was shown, oldest first."""
        return [browser.read(one.body) for one in self.caught if one.name == browser.name]

    @contextmanager
    def listening(self) -> Iterator["PushService"]:
        @post("/push/{answer:int}/{name:str}")
        async def take(request: Request[Any, Any, Any], answer: FromPath[int], name: FromPath[str]) -> Response[None]:
            self.caught.append(Caught(name, dict(request.headers), await request.body()))
            headers = {"retry-after": self.retry_after} if answer == 429 else {"location": f"{self.url}/push/201/elsewhere"}
            return Response(None, status_code=answer, headers=headers)

        with serving(Litestar([take], openapi_config=None, logging_config=None)) as self.url:
            yield self


async def begin(kernel: Kernel, tenant: int) -> None:
    """Have the reactions hear of whatever happens in this workspace from now on."""
    for reaction in REACTIONS:
        await step(kernel, reaction, tenant, 500)


async def react(kernel: Kernel, tenant: int) -> None:
    """Have them hear of what happened."""
    for reaction in REACTIONS:
        while (await advance(kernel, reaction, tenant, take=step)).full:
            """There is more."""


async def bring(settings: Settings, workspace: Workspace) -> int:
    """React, and bring out what that asks for; answers how many there were."""
    await react(workspace.kernel, workspace.tenant)
    return await do_effects(workspace, "push.send", handlers=Actors(WebPush(settings), WRITERS).handlers())


def claims(authorization: str) -> tuple[dict[str, Any], str]:
    """What a VAPID token says and the key it is signed with; raises InvalidSignature."""
    scheme, _, rest = authorization.partition(" ")
    parts = dict(one.split("=", 1) for one in rest.replace(" ", "").split(","))
    head, body, signature = parts["t"].split(".")
    raw = decoded(signature)
    signed = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, decoded(parts["k"]))
    key.verify(signed, f"{head}.{body}".encode(), ec.ECDSA(SHA256()))
    assert scheme == "vapid"
    assert json.loads(decoded(head)) == {"typ": "JWT", "alg": "ES256"}
    told: dict[str, Any] = json.loads(decoded(body))
    return told, parts["k"]
