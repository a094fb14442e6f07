"""What may stand in a form about people and workspaces, which plan is in force, and which codes are right."""

import hmac
import secrets
import string
from datetime import datetime
from importlib.resources import files
from typing import Annotated, Final, Literal

import pycountry
import pyotp
from msgspec import Meta, Struct

from plixa.kernel.passwords import LONGEST
from plixa.kernel.settings import Settings

COUNTRIES: Final = frozenset(country.alpha_2 for country in pycountry.countries)
TIMEZONES: Final = frozenset((files("tzdata") / "zones").read_text().split()) - {"Factory"}
"""The names of the IANA database, exactly as written there."""
EMAIL: Final = r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$(?!\s)"

Text = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\S")]
NewPassword = Annotated[str, Meta(min_length=8, max_length=LONGEST)]
Locale = Literal["en", "pt", "es", "pt-BR"]
Code = Annotated[str, Meta(min_length=1, max_length=64)]
"""A code as somebody typed it, with spaces or dashes where they like."""

STEP: Final = 30
"""Seconds a TOTP code is shown."""
RECOVERY_CODES: Final = 10
ALPHABET: Final = string.ascii_lowercase + string.digits


class Licence(Struct, frozen=True):
    """A plan granted by staff, independent of any payment; ``expires_at`` None is for life, ``plan`` None is none."""

    plan: str | None = None
    expires_at: datetime | None = None


class PlanInForce(Struct, frozen=True):
    """What the workspace may use; ``source`` is ``license`` or ``default``."""

    key: str
    source: str
    features: list[str]
    limits: dict[str, int]
    expires_at: datetime | None


def plan_in_force(settings: Settings, licence: Licence, now: datetime) -> PlanInForce:
    """The one rule: a valid licence, else the default plan; a plan no longer on offer counts as none."""
    licensed = licence.plan in settings.plans and (licence.expires_at is None or licence.expires_at > now)
    key = str(licence.plan) if licensed else settings.default_plan
    plan = settings.plans[key]
    until = licence.expires_at if licensed else None
    return PlanInForce(key, "license" if licensed else "default", sorted(plan.features), plan.limits, until)


def match_step(secret: str, code: str, now: datetime, last: int) -> int | None:
    """The time step whose TOTP code this is (RFC 6238): the present one or a neighbour, but later than ``last``, which was used."""
    digits = "".join(code.split())
    if not (len(digits) == 6 and digits.isascii() and digits.isdigit()):
        return None
    totp, present = pyotp.TOTP(secret), int(now.timestamp()) // STEP
    steps = [step for step in (present, present - 1, present + 1) if step > last and hmac.compare_digest(totp.generate_otp(step), digits)]
    return steps[0] if steps else None


def new_recovery_codes() -> list[str]:
    """Ten codes of ten characters, 51 bits each."""
    return ["".join(secrets.choice(ALPHABET) for _ in range(10)) for _ in range(RECOVERY_CODES)]


def recovery_hash(secret: str, code: str) -> bytes:
    """What is stored of a recovery code: HMAC-SHA256 keyed with its member's own TOTP secret.

    51 bits would not withstand guessing against a plain hash. The key has 160 bits and lies sealed with the master key, so that whoever
    has the database alone cannot even try, the same code of two members differs, and a new master key costs nobody their codes.
    """
    plain = "".join(code.split()).replace("-", "").lower()
    return hmac.digest(secret.encode(), f"recovery code {plain}".encode("utf-8", "surrogatepass"), "sha256")
