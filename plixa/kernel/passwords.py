"""Passwords: argon2id, off the event loop, verified exactly as entered."""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from plixa.kernel.settings import Passwords

LONGEST: Final = 256
"""Characters of a password; argon2 itself would take megabytes."""
AT_ONCE: Final = 2
"""Each costs tens of megabytes and a whole core."""
PATIENCE: Final = 10.0
"""Seconds one may wait for its turn before the caller is asked to come back (a TimeoutError, answered as 503)."""


class PasswordChecker:
    """Hashes and verifies, at most two at once in a process."""

    def __init__(self, cost: Passwords) -> None:
        self._argon2 = argon2.PasswordHasher(cost.time_cost, cost.memory_kib, cost.parallelism)
        self._threads = ThreadPoolExecutor(AT_ONCE, "argon2")
        self._nobody = self._argon2.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """What is stored of a password."""
        async with asyncio.timeout(PATIENCE):
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._argon2.hash, password)

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether it is the password; for nobody's (None) it is never, after the same work."""
        async with asyncio.timeout(PATIENCE):
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._verify, stored, password)

    def is_outdated(self, stored: str) -> bool:
        """Whether it was hashed at another cost than today's."""
        return self._argon2.check_needs_rehash(stored)

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, stored: str | None, password: str) -> bool:
        try:
            self._argon2.verify(self._nobody if stored is None else stored, password)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None
