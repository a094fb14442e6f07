"""Passwords: argon2id, off the event loop, verified exactly as entered; a new one must not be easy to guess."""

import asyncio
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Final

import argon2
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn  # type: ignore[import-untyped]

from plixa.kernel.errors import Invalid
from plixa.kernel.settings import Passwords

LONGEST: Final = 256
"""Characters of a password; argon2 itself would take megabytes."""
AT_ONCE: Final = 2
"""Each costs tens of megabytes and a whole core."""
PATIENCE: Final = 10.0
"""Seconds one may wait for its turn before the caller is asked to come back (a TimeoutError, answered as 503)."""
WEAKEST: Final = 2
"""Of zxcvbn's 0 to 4: at least a million guesses for somebody who tries the common ones first."""
JUDGED: Final = 32
"""Characters that are judged: what begins well is good, and judging some longer ones takes seconds."""

_judging: Final = Lock()
"""zxcvbn keeps the words of one judgement where another would find them."""


class PasswordChecker:
    """Hashes and verifies, at most two at once in a process."""

    def __init__(self, cost: Passwords) -> None:
        self._argon2 = argon2.PasswordHasher(cost.time_cost, cost.memory_kib, cost.parallelism)
        self._threads = ThreadPoolExecutor(AT_ONCE, "argon2")
        self._nobody = self._threads.submit(self._argon2.hash, secrets.token_urlsafe())  # done before whatever comes after it

    async def choose(self, password: str, *about: str) -> str:
        """What is stored of a new password; raises Invalid where it is easy to guess, also for whoever knows these texts ``about`` it."""
        async with asyncio.timeout(PATIENCE):
            if await asyncio.get_running_loop().run_in_executor(self._threads, is_weak, password, about):
                raise Invalid.field("password", "This password is too easy to guess. Choose a longer or less common one.")
        return await self.hash(password)

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
            self._argon2.verify(self._nobody.result() if stored is None else stored, password)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None


def is_weak(password: str, about: tuple[str, ...]) -> bool:
    """Whether it is among the first that somebody would try who knows the product, the names and the address."""
    words = {"plixa"} | {word for text in about for word in (text, text.partition("@")[0], *re.split(r"\W+", text)) if len(word) > 2}
    with _judging:
        return bool(zxcvbn(password[:JUDGED], sorted(words))["score"] < WEAKEST)
