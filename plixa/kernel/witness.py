"""What the logs' heads were, kept where the database cannot reach: whoever rewrites a log, or cuts its end and mends its head, leaves a
chain that is sound, but not the one that was witnessed.

A statement names every tenant's position and hash at one moment, signed with a key derived from the master key. It stands in the media
store, away from the tenants' files; the newest one that bears our signature counts.
"""

import hmac
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Struct

from plixa.kernel.media import MediaStore
from plixa.kernel.settings import Settings, derive
from plixa.kernel.uow import Kernel

log = logging.getLogger(__name__)

FOLDER: Final = "witness"
HEADS: Final = "SELECT tenant_id, position, encode(hash, 'hex') FROM log_head WHERE position > 0 ORDER BY tenant_id"
PURPOSE: Final = "witness of the logs"


class Statement(Struct, frozen=True):
    """Every log's head at one moment: tenant → (position, hash in hexadecimal)."""

    at: datetime
    heads: dict[int, tuple[int, str]]


class Signed(Struct, frozen=True):
    """A statement as it is kept: its JSON, and the HMAC-SHA256 over it in hexadecimal."""

    statement: str
    signature: str


async def bear_witness(kernel: Kernel, settings: Settings) -> Statement:
    """Keep one more statement, and let go of those that are older than ``witness_days``."""
    async with kernel.system.connection() as connection:
        rows = await connection.fetch(HEADS)
    now = datetime.now(UTC)
    statement = Statement(now, {tenant: (position, link) for tenant, position, link in rows})
    text = msgspec.json.encode(statement).decode()
    signed = Signed(text, sign(text, settings.secret_keys[0]))
    await kernel.media.write(f"{FOLDER}/{now:%Y%m%dT%H%M%S%f}.json", msgspec.json.encode(signed))
    oldest = f"{FOLDER}/{now - timedelta(days=settings.retention.witness_days):%Y%m%dT%H%M%S%f}.json"
    for name in await kernel.media.names(FOLDER):
        if name < oldest:
            await kernel.media.remove(name)
    return statement


async def find_witness(media: MediaStore, keys: Sequence[bytes]) -> Statement | None:
    """The newest statement that is ours; None where there is none."""
    for name in sorted(await media.names(FOLDER), reverse=True):
        try:
            signed = msgspec.json.decode(await media.read(name), type=Signed)
        except msgspec.DecodeError:
            log.error("%s is no statement of ours: it was altered", name)
            continue
        if any(hmac.compare_digest(sign(signed.statement, key), signed.signature) for key in keys):
            return msgspec.json.decode(signed.statement, type=Statement)
        log.error("%s does not bear our signature: it was altered, or its key is gone", name)
    return None


def sign(text: str, key: bytes) -> str:
    """The signature of a statement."""
    return hmac.new(derive(key, PURPOSE), text.encode(), sha256).hexdigest()
