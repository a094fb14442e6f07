"""Settings: ``litestar.toml`` holds the defaults, the environment wins, and a wrong or unsafe value stops the start."""

import difflib
import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Meta, Struct

Positive = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=1, le=65534)]

FILE = "litestar.toml"
SHORTEST_SECRET = 32
"""Characters of a master key."""

VARIABLES = {
    "PLIXA_ENVIRONMENT": "environment",
    "PLIXA_HOME": "home",
    "PLIXA_HOST": "host",
    "PLIXA_PORT": "port",
    "PLIXA_PUBLIC_URL": "public_url",
    "PLIXA_SITE_ORIGIN": "site_origin",
    "PLIXA_WEB_WORKERS": "web_workers",
    "PLIXA_DATABASE_URL": "database_url",
    "PLIXA_REDIS_URL": "redis_url",
    "PLIXA_SECRET_KEY": "secret_keys",
    "PLIXA_EVOLUTION_URL": "evolution_url",
    "PLIXA_EVOLUTION_API_KEY": "evolution_api_key",
    "PLIXA_MEDIA_URL": "media_url",
    "PLIXA_RESEND_API_KEY": "resend_api_key",
    "PLIXA_RESEND_API_BASE": "resend_api_base",
    "PLIXA_RESEND_WEBHOOK_SECRET": "resend_webhook_secret",
    "PLIXA_SMTP_URL": "smtp_url",
    "PLIXA_MAIL_FROM": "mail_from",
    "PLIXA_CAMPAIGN_FROM": "campaign_from",
    "PLIXA_GOOGLE_CLIENT_ID": "google_client_id",
    "PLIXA_GOOGLE_CLIENT_SECRET": "google_client_secret",
    "PLIXA_GOOGLE_API_BASE": "google_api_base",
    "PLIXA_GOOGLE_OAUTH_BASE": "google_oauth_base",
    "PLIXA_TRUSTED_PROXIES": "proxies",
}
"""Every variable of the environment, and the field it sets."""
OTHERS = re.compile(r"PLIXA_(TEST|BENCH)_\w+")
"""Read by the tests and the bench, not by Plixa."""

ADDRESSES = {
    "public_url": ("http", "https"),
    "site_origin": ("http", "https"),
    "database_url": ("postgresql",),
    "redis_url": ("redis", "rediss", "unix"),
    "evolution_url": ("http", "https"),
    "media_url": ("file", "s3"),
    "resend_api_base": ("http", "https"),
    "smtp_url": ("smtp", "smtps"),
    "google_api_base": ("http", "https"),
    "google_oauth_base": ("http", "https"),
}
"""The schemes each address may have."""

TOGETHER = (("evolution_url", "evolution_api_key"), ("google_client_id", "google_client_secret"))
"""Neither half is of use alone."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""Names of this machine that nobody else can reach."""
SENDER = re.compile(r"([^<>\x00-\x1f]*<[^<>@\s,]+@[^<>@\s,]+>|[^<>@\s,]+@[^<>@\s,]+)")
"""``Plixa <no-reply@example.com>`` or the address alone."""
WEBHOOK_SECRET = re.compile(r"whsec_(?:[A-Za-z0-9+/]{4}){5,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


class SettingsError(Exception):
    """A setting is wrong or unsafe; one sentence that names it."""


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a workspace has paid for."""

    features: frozenset[str]
    limits: dict[str, Annotated[int, Meta(ge=0)]]


class Throttle(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many requests are let through, as in ``5/minute; 10/15 minute``, counted for each ``per``."""

    limits: Annotated[str, Meta(pattern=r"^\d+/(\d+ )?(second|minute|hour|day)(; ?\d+/(\d+ )?(second|minute|hour|day))*$")]
    per: Literal["ip", "account", "tenant", "user"]


class Passwords(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cost of argon2id."""

    time_cost: Positive
    memory_kib: Annotated[int, Meta(ge=8)]
    parallelism: Positive


class Gateway(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long we wait for the WhatsApp gateway."""

    timeout_seconds: Positive
    connect_seconds: Positive


class Mailing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long we wait for whoever sends our mail, and how often one process asks Resend."""

    timeout_seconds: Positive
    per_second: Positive


class Retention(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long what is not history is kept."""

    webhook_days: Positive
    outbox_days: Positive
    witness_days: Positive
    mail_days: Positive
    token_days: Positive


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a deployment may decide."""

    environment: Literal["development", "production", "test"]
    home: Path
    host: str
    port: Port
    public_url: str
    site_origin: str | None = None
    """Where the landing page is served, whose forms may post to us."""
    web_workers: Positive
    pool_size: Positive
    secret_keys: tuple[bytes, ...]
    """32 bytes each, newest first: the first one encrypts, all decrypt."""
    database_url: str | None = None
    redis_url: str | None = None
    evolution_url: str | None = None
    evolution_api_key: str | None = None
    media_url: str
    resend_api_key: str | None = None
    resend_api_base: str = "https://api.resend.com"
    resend_webhook_secret: str | None = None
    """``whsec_`` and base64: what Resend signs with when it tells how mails fared."""
    smtp_url: str | None = None
    mail_from: str | None = None
    campaign_from: str | None = None
    """The sender of campaigns, where it is another."""
    google_client_id: str | None = None
    google_client_secret: str | None = None
    google_api_base: str = "https://www.googleapis.com"
    google_oauth_base: str = "https://oauth2.googleapis.com"
    proxies: str = ""
    """Networks, with commas between them, whose ``X-Forwarded-For`` is believed."""
    argon2: Passwords
    gateway: Gateway
    mail: Mailing
    retention: Retention
    schedules: dict[str, Positive]
    """Seconds between two runs of each piece of recurring work."""
    throttles: dict[str, Throttle]
    plans: dict[str, Plan]
    default_plan: str

    def __repr__(self) -> str:
        """Without the secrets: settings end up in logs and tracebacks."""
        return f"Settings(environment={self.environment!r}, home={str(self.home)!r}, public_url={self.public_url!r})"

    @property
    def trusted_proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of ``proxies``; a ValueError for what is none."""
        return tuple(ip_network(part.strip()) for part in self.proxies.split(",") if part.strip())

    @property
    def sandbox_port(self) -> int:
        """The sandbox gateway stands beside the application, so that two homes never meet."""
        return self.port + 1

    @property
    def gateway_url(self) -> str:
        """The WhatsApp gateway, or the sandbox when none is set."""
        return self.evolution_url or f"http://127.0.0.1:{self.sandbox_port}"

    @property
    def gateway_api_key(self) -> str:
        """The gateway's key; the sandbox has one derived from the master key."""
        return self.evolution_api_key or derive(self.secret_keys[0], "sandbox gateway").hex()


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the file and the environment, and check both. Makes ``PLIXA_HOME/secret.key`` when no key is given."""
    given = {name: value.strip() for name, value in (os.environ if environ is None else environ).items()}
    given = {name: value for name, value in given.items() if name.startswith("PLIXA_") and value}
    _refuse_unknown(given)
    values = _read_file()
    values |= {field: given[name] for name, field in VARIABLES.items() if name in given}
    _complete(values, given)
    return _decode(values)


def derive(key: bytes, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose: HKDF with SHA-256."""
    return HKDF(SHA256(), length=32, salt=None, info=f"plixa/{purpose}".encode()).derive(key)


def _refuse_unknown(given: Mapping[str, str]) -> None:
    """A misspelt variable would silently leave its default in force."""
    for name in given:
        if name in VARIABLES or OTHERS.fullmatch(name):
            continue
        near = difflib.get_close_matches(name, VARIABLES, n=1)
        raise SettingsError(f"{name} is not a setting of Plixa" + (f"; did you mean {near[0]}?" if near else "."))


def _read_file() -> dict[str, Any]:
    """The file in the working directory, else the one that came with the package, as fields of ``Settings``."""
    package = Path(__file__).parents[1]
    file = next(path for path in (Path(FILE), package / FILE, package.parent / FILE) if path.exists())
    try:
        tables = tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not valid TOML: {error}.") from error
    fields: dict[str, Any] = tables.pop("server", {}) | tables.pop("billing", {}) | tables
    if "passwords" in fields:
        fields["argon2"] = fields.pop("passwords")
    return fields


def _complete(values: dict[str, Any], given: Mapping[str, str]) -> None:
    """Fill in what follows from other values."""
    home = Path(values["home"]).expanduser().resolve()
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(values["host"], values["host"])  # noqa: S104 - compared, not bound
    values["home"] = home
    values.setdefault("public_url", f"http://{host}:{values['port']}")
    values.setdefault("media_url", f"file://{home / 'media'}")
    if "database_url" in values:
        values["database_url"] = re.sub(r"^postgres(ql)?(\+\w+)?:", "postgresql:", values["database_url"])
    if "redis_url" in values:
        values["redis_url"] = re.sub(r"^valkey(s?):", r"redis\1:", values["redis_url"])
    if values.get("media_url") == "file:":
        values["media_url"] = f"file://{home / 'media'}"
    values["secret_keys"] = _secret_keys(values, given)


def _secret_keys(values: dict[str, Any], given: Mapping[str, str]) -> tuple[bytes, ...]:
    file = values["home"] / "secret.key"
    text = given.get("PLIXA_SECRET_KEY")
    if text is None:
        if values["environment"] == "production" and "database_url" in values and not file.exists():
            raise SettingsError("PLIXA_SECRET_KEY must be set in production with a database of its own: a key made here could be lost.")
        try:
            text = _key_file(file)
        except PermissionError as error:
            raise SettingsError(f"PLIXA_HOME is another user's: {values['home']}.") from error
    keys = [key.strip() for key in text.split(",")]
    if any(len(key) < SHORTEST_SECRET for key in keys):
        raise SettingsError(f"PLIXA_SECRET_KEY must have at least {SHORTEST_SECRET} characters for each key.")
    return tuple(derive(key.encode(), "master key") for key in keys)


def _key_file(file: Path) -> str:
    """Made once, whole or not at all, whoever comes first."""
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48) + "\n")
        try:
            file.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    if file.stat().st_mode & 0o077:
        raise SettingsError(f"PLIXA_HOME holds a secret.key that others may read: chmod 600 {file}.")
    return file.read_text().strip()


def _decode(values: dict[str, Any]) -> Settings:
    keys = values.pop("secret_keys")
    try:
        settings = msgspec.convert(values | {"secret_keys": []}, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise SettingsError(_sentence(str(error))) from error
    settings = msgspec.structs.replace(settings, secret_keys=keys)
    _check(settings)
    return settings


def _path(kind: type, value: object) -> object:
    return Path(str(value)) if kind is Path else value


def _sentence(fault: str) -> str:
    """`` Expected `int`, got `str` - at `$.port` `` becomes a sentence about PLIXA_PORT."""
    what, _, where = fault.partition(" - at `$.")
    return f"{_name(where.rstrip('`'))} is wrong: {what[:1].lower()}{what[1:]}." if where else f"{FILE} is wrong: {what}."


def _name(field: str) -> str:
    """What a person would set: the variable, or the place in the file."""
    return next((name for name, known in VARIABLES.items() if known == field), f"{field} in {FILE}")


def _check(settings: Settings) -> None:
    for field, schemes in ADDRESSES.items():
        _check_address(field, getattr(settings, field), schemes)
    for pair in TOGETHER:
        absent = [field for field in pair if getattr(settings, field) is None]
        if len(absent) == 1:
            [other] = set(pair) - set(absent)
            raise SettingsError(f"{_name(absent[0])} must be set too when {_name(other)} is.")
    try:
        _ = settings.trusted_proxies
    except ValueError:
        raise SettingsError("PLIXA_TRUSTED_PROXIES must be networks such as 10.0.0.0/8, with commas between them.") from None
    _check_mail(settings)
    if settings.default_plan not in settings.plans:
        raise SettingsError(f"default_plan in {FILE} names no plan: {settings.default_plan}.")
    if settings.environment == "production":
        _check_production(settings)


def _check_mail(settings: Settings) -> None:
    if settings.smtp_url is not None and not urlsplit(settings.smtp_url).hostname:
        raise SettingsError("PLIXA_SMTP_URL must name a server, such as smtp://user:password@mail.example.com:587.")
    if settings.mail_from is None and (settings.resend_api_key or settings.smtp_url):
        raise SettingsError("PLIXA_MAIL_FROM must be set to the sender of our mails, such as Plixa <no-reply@example.com>.")
    for field in ("mail_from", "campaign_from"):
        sender = getattr(settings, field)
        if sender is not None and SENDER.fullmatch(sender) is None:
            raise SettingsError(f"{_name(field)} must be an address such as Plixa <no-reply@example.com>.")
    if settings.resend_webhook_secret is not None and WEBHOOK_SECRET.fullmatch(settings.resend_webhook_secret) is None:
        raise SettingsError("PLIXA_RESEND_WEBHOOK_SECRET must be the signing secret that Resend shows: whsec_ and base64.")


def _check_address(field: str, address: str | None, schemes: tuple[str, ...]) -> None:
    if address is None:
        return
    try:
        parts = urlsplit(address)
        valid = parts.scheme in schemes and bool(parts.netloc or parts.path) and parts.port != 0
    except ValueError:
        raise SettingsError(f"{_name(field)} is not an address.") from None
    if not valid:
        raise SettingsError(f"{_name(field)} must be an address that starts with {': or '.join(schemes)}:")
    if field == "public_url" and (parts.query or parts.fragment or not parts.hostname):
        raise SettingsError("PLIXA_PUBLIC_URL must be a plain address such as https://chat.example.com.")
    if field == "site_origin" and address != f"{parts.scheme}://{parts.netloc}":
        raise SettingsError("PLIXA_SITE_ORIGIN must be an origin without a path, such as https://example.com.")


def _check_production(settings: Settings) -> None:
    if not settings.public_url.startswith("https:"):
        raise SettingsError("PLIXA_PUBLIC_URL must start with https: in production.")
    for field in ("google_api_base", "google_oauth_base"):
        if not getattr(settings, field).startswith("https:"):
            raise SettingsError(f"{_name(field)} must start with https: in production.")
    if settings.argon2.memory_kib * settings.argon2.time_cost < 19456 * 2:
        raise SettingsError(f"passwords.memory_kib in {FILE} is too cheap for production: use at least 19456 with time_cost 2.")
