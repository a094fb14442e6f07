"""Webhook delivery by Evolution's own rules: at once, in no order, held in memory only."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from msgspec import Struct

from plixa.whatsapp.sandbox.store import Instance, Json

MOST_ATTEMPTS: Final = 10
FINAL: Final = frozenset((400, 401, 403, 404, 422))
JITTER: Final = 0.2


class Retry(Struct, frozen=True):
    """Seconds: the first pause, the longest one, and the patience with one answer."""

    first: float = 5.0
    longest: float = 300.0
    timeout: float = 30.0

    def pause(self, attempt: int, spread: float) -> float:
        """The pause after the ``attempt``-th failure; ``spread`` within -1 … 1."""
        pause: float = min(self.first * 2.0 ** (attempt - 1), self.longest)
        return max(self.first, pause * (1 + JITTER * spread))


class Tasks:
    """Work going on beside the requests, ended together."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> Callable[[], bool]:
        """Begin; the answer ends it early."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task.cancel

    async def end(self) -> None:
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class Deliverer:
    """Posts events to the URL an instance names."""

    def __init__(self, retry: Retry, tasks: Tasks, chance: random.Random) -> None:
        self._retry, self._tasks, self._chance = retry, tasks, chance
        self._http = httpx.AsyncClient(timeout=retry.timeout, trust_env=False)

    async def aclose(self) -> None:
        await self._http.aclose()

    def emit(self, instance: Instance, event: str, data: Any) -> None:
        """Deliver beside the request, if the instance subscribed to the event."""
        webhook = instance.webhook
        if webhook and webhook["enabled"] and event.replace(".", "_").upper() in webhook["events"]:
            self._tasks.start(self._deliver(webhook, _envelope(instance, webhook, event, data)))

    async def _deliver(self, webhook: Json, envelope: Json) -> None:
        url = webhook["url"]
        if webhook["webhookByEvents"]:
            url = f"{url}/{envelope['event'].replace('.', '-')}"
        for attempt in range(1, MOST_ATTEMPTS + 1):
            status = await self._post(url, webhook["headers"] or {}, envelope)
            if status in FINAL or 200 <= status < 300:
                return
            if attempt < MOST_ATTEMPTS:
                await asyncio.sleep(self._retry.pause(attempt, self._chance.uniform(-1, 1)))

    async def _post(self, url: str, headers: dict[str, str], envelope: Json) -> int:
        """The answer's status, 0 when there was none."""
        try:
            return (await self._http.post(url, json=envelope, headers=headers)).status_code
        except (httpx.TransportError, httpx.InvalidURL):
            return 0


def _envelope(instance: Instance, webhook: Json, event: str, data: Any) -> Json:
    """``date_time`` is local time with a wrong Z, as the real one's; ``sender`` is absent before the first login."""
    envelope = {
        "event": event,
        "instance": instance.name,
        "data": data,
        "destination": webhook["url"],
        "date_time": f"{datetime.now(UTC).astimezone().replace(tzinfo=None).isoformat(timespec='milliseconds')}Z",
        "server_url": "http://localhost:8080",
        "apikey": None,
    }
    return envelope | ({"sender": instance.owner} if instance.owner else {})
