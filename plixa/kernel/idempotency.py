"""Idempotency keys: a POST repeated with the same key has one effect and, for 24 hours, the same answer.

The record is written in the command's own transaction. The answer is kept encrypted with a key made of the caller's own
``Idempotency-Key``, of which only the hash is stored: without it nobody, ourselves included, reads the content again.
"""

import os
from hashlib import sha256
from typing import Any

import asyncpg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from plixa.kernel.errors import Conflict, Invalid

LONGEST = 255
KEPT = "24 hours"
FIND = f"""SELECT fingerprint, status, answer FROM idempotency_key
WHERE tenant_id = $1 AND scope = $2 AND key_hash = $3 AND created_at > now() - interval '{KEPT}'"""  # noqa: S608
PRUNE = f"DELETE FROM idempotency_key WHERE created_at < now() - interval '{KEPT}'"  # noqa: S608
SAVE = """INSERT INTO idempotency_key (tenant_id, scope, key_hash, fingerprint, status, answer)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant_id, scope, key_hash) DO UPDATE
SET fingerprint = excluded.fingerprint, status = excluded.status, answer = excluded.answer, created_at = now()"""


class IdempotencyKeyReused(Invalid):
    code = "IDEMPOTENCY_KEY_REUSED"
    default = "This Idempotency-Key was used for another request. Take a new key."


class IdempotencyKeyInUse(Conflict):
    code = "IDEMPOTENCY_KEY_IN_USE"
    default = "A request with this Idempotency-Key is still running. Ask again in a moment."


class Answer(Struct, frozen=True):
    """What was answered the first time."""

    status: int
    body: bytes


class IdempotencyKey(Struct, frozen=True):
    """One request's key: ``fingerprint`` is the SHA-256 of method, path and body."""

    scope: str
    key: str
    fingerprint: bytes

    @property
    def key_hash(self) -> bytes:
        """What is stored of the key."""
        return sha256(f"{self.scope}|{self.key}".encode()).digest()

    @property
    def cipher(self) -> AESGCM:
        """Opens the kept answer."""
        return AESGCM(sha256(f"answer|{self.scope}|{self.key}".encode()).digest())

    async def find(self, connection: "asyncpg.Connection[Any]", tenant: int) -> Answer | None:
        """The kept answer; raises IdempotencyKeyInUse while the first request runs, IdempotencyKeyReused for another request."""
        lock = int.from_bytes(self.key_hash[:8], "big", signed=True)
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", lock):
            raise IdempotencyKeyInUse
        row = await connection.fetchrow(FIND, tenant, self.scope, self.key_hash)
        if row is None:
            return None
        if row["fingerprint"] != self.fingerprint:
            raise IdempotencyKeyReused
        kept: bytes = row["answer"]
        return Answer(row["status"], self.cipher.decrypt(kept[:12], kept[12:], None))

    def keeping(self, answer: Answer) -> tuple[Any, ...]:
        """The statement, and its arguments behind the tenant, that keeps the answer."""
        nonce = os.urandom(12)
        kept = nonce + self.cipher.encrypt(nonce, answer.body, None)
        return SAVE, self.scope, self.key_hash, self.fingerprint, answer.status, kept


def read_key(scope: str, header: str, request: bytes) -> IdempotencyKey:
    """The key of a request whose method, path and body are ``request``."""
    if not 1 <= len(header) <= LONGEST or not header.isascii() or not header.isprintable():
        raise Invalid.field("Idempotency-Key", f"Use 1 to {LONGEST} printable ASCII characters.")
    return IdempotencyKey(scope, header, sha256(request).digest())
