"""Real servers to send mail to: one that speaks as Resend does, and SMTP servers with and without TLS."""

import json
import re
import socket
import ssl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from litestar import Litestar, Request, Response, get, post
from msgspec import Struct

from plixa.kernel.settings import Mailing
from tests.whatsapp.loopback import serving

KEY = "re_a_key_for_tests"
SENDER = "Plixa <no-reply@mail.example.com>"
MAILING = Mailing(timeout_seconds=5, per_second=1000)
ELSEWHERE = "127.1"
"""This machine under a name that does not look like it."""
TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")


class Answer(Struct):
    """What Resend answers next; ``after`` says that it had taken the mail nevertheless."""

    status: int
    name: str
    headers: dict[str, str] = {}
    after: bool = False


class Resend:
    """Resend's wire format: accepts, validates, remembers idempotency keys, and fails in the ways it was told, in turn."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.mails: dict[str, dict[str, Any]] = {}
        self.keys: list[str] = []
        self._known: dict[str, tuple[str, bytes]] = {}

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Its base URL."""

        @post("/emails", status_code=200)
        async def emails(request: Request[Any, Any, Any]) -> Response[Any]:
            return self.take(request.headers, await request.body())

        @get("/domains")
        async def domains(request: Request[Any, Any, Any]) -> Response[Any]:
            return self.refusal(request.headers) or Response({"data": []})

        with serving(Litestar([emails, domains], openapi_config=None, logging_config=None)) as url:
            yield url

    def refusal(self, headers: Any) -> Response[Any] | None:
        """The account's own refusal, or what was asked for."""
        if "authorization" not in headers:
            return fault(401, "missing_api_key", "Missing API key in the authorization header")
        if headers["authorization"] != f"Bearer {KEY}" or not headers.get("user-agent"):
            return fault(403, "invalid_api_key", "API key is invalid")
        if self.answers and not self.answers[0].after:
            answer = self.answers.pop(0)
            return fault(answer.status, answer.name, "As the test wants it", answer.headers)
        return None

    def take(self, headers: Any, body: bytes) -> Response[Any]:
        key = headers.get("idempotency-key", "")
        self.keys.append(key)
        refused = self.refusal(headers) or self.malformed(key, json.loads(body))
        if refused is not None:
            return refused
        if key in self._known:
            number, first = self._known[key]
            return Response({"id": number}) if first == body else fault(409, "invalid_idempotent_request", "Same key, other body")
        number = str(uuid.uuid4())
        self._known[key], self.mails[number] = (number, body), json.loads(body)
        if self.answers:
            answer = self.answers.pop(0)
            return fault(answer.status, answer.name, "The answer is lost", answer.headers)
        return Response({"id": number})

    def malformed(self, key: str, mail: dict[str, Any]) -> Response[Any] | None:
        if not 1 <= len(key) <= 256:
            return fault(400, "invalid_idempotency_key", "Between 1 and 256 characters")
        if missing := {"from", "to", "subject"} - mail.keys():
            return fault(422, "missing_required_field", f"Missing {missing}")
        tags = [text for tag in mail.get("tags", []) for text in tag.values()]
        if not all(map(TAG.fullmatch, tags)) or mail["to"] == ["nobody"]:
            return fault(422, "validation_error", f"Invalid `to` field: {mail['to']}")
        return None


def fault(status: int, name: str, message: str, headers: dict[str, str] | None = None) -> Response[Any]:
    return Response({"statusCode": status, "name": name, "message": message}, status_code=status, headers=headers)


class Sink:
    """Keeps every mail, and answers as the addresses ask it to: ``hard@`` ``soft@`` ``full@`` ``spam@``."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_MAIL(self, _server: Any, _session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802
        if address.startswith("stranger@"):
            return "553 5.7.1 sender address rejected"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, _server: Any, _session: Session, envelope: Envelope, address: str, _options: list[str]) -> str:  # noqa: N802
        if address.startswith("hard@"):
            return f"550 5.1.1 <{address}>: no such user"
        if address.startswith("soft@"):
            return f"451 4.3.0 <{address}>: try later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if envelope.rcpt_tos[0].startswith("spam@"):
            return "554 5.7.1 looks like spam"
        if envelope.rcpt_tos[0].startswith("full@"):
            return "452 4.2.2 mailbox full"
        self.envelopes.append(envelope)
        return "250 2.0.0 queued as TEST1"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    """Lets ``plixa`` in."""
    well = (data.login, data.password) == (b"plixa", b"pass:word@1")
    return AuthResult(success=well, handled=well)


@contextmanager
def smtp(sink: Sink, host: str = "127.0.0.1", **options: Any) -> Iterator[int]:
    """The port of an SMTP server."""
    controller = Controller(sink, hostname=host, port=free_port(), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


class Certificate(Struct, frozen=True):
    """A certificate that signs itself, for ``ELSEWHERE``, and a server's context with it."""

    file: Path
    context: ssl.SSLContext


def certify(folder: Path) -> Certificate:
    """A new one."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail for tests")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - timedelta(1), now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(ELSEWHERE)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file, secret = folder / "certificate.pem", folder / "key.pem"
    file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(key.private_bytes(*form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, secret)
    return Certificate(file, context)
