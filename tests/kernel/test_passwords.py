"""Passwords are hashed off the event loop, at most two at once, and nobody's takes as long as somebody's."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from plixa.kernel.passwords import AT_ONCE, PasswordChecker
from plixa.kernel.settings import Passwords

CHEAP = Passwords(time_cost=1, memory_kib=8, parallelism=1)


@pytest.fixture
def checker() -> Iterator[PasswordChecker]:
    checker = PasswordChecker(CHEAP)
    yield checker
    checker.close()


async def test_a_password_matches_its_hash_and_no_other(checker: PasswordChecker) -> None:
    stored = await checker.hash("super-secret-pw")
    assert stored != await checker.hash("super-secret-pw")
    assert await checker.matches(stored, "super-secret-pw")
    assert not await checker.matches(stored, "super-secret-pw ")
    assert not await checker.matches(stored, "")


async def test_nobody_has_no_password(checker: PasswordChecker) -> None:
    assert not await checker.matches(None, "super-secret-pw")
    assert not await checker.matches("", "super-secret-pw")
    assert not await checker.matches("garbage", "super-secret-pw")


async def test_a_hash_of_another_cost_is_outdated_and_still_matches(checker: PasswordChecker) -> None:
    dearer = PasswordChecker(replace(CHEAP, time_cost=2))
    stored = await dearer.hash("super-secret-pw")
    dearer.close()
    assert checker.is_outdated(stored)
    assert not checker.is_outdated(await checker.hash("super-secret-pw"))
    assert await checker.matches(stored, "super-secret-pw")


async def test_no_more_than_two_are_worked_on_at_once() -> None:
    checker = PasswordChecker(replace(CHEAP, memory_kib=4096, time_cost=4))
    others = set(threading.enumerate())
    running = asyncio.gather(*(checker.matches(None, "super-secret-pw") for _ in range(20)))
    most = turns = 0
    while not running.done():
        await asyncio.sleep(0)
        most = max(most, len(set(threading.enumerate()) - others))
        turns += 1
    checker.close()
    assert await running == [False] * 20
    assert most <= AT_ONCE
    assert turns > 20
