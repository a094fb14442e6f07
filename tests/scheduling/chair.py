"""A salon whose customers are on WhatsApp: what is said to them by itself, and what they answer."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from plixa.automation.actors import Actors as Automation
from plixa.kernel.delivery import deliver
from plixa.kernel.settings import Settings
from plixa.scheduling import actors
from tests.inbox.desk import Desk, stamp
from tests.scheduling.salon import Salon
from tests.support.effects import do_effects
from tests.whatsapp import webhooks

PHONE = "5511987654321"
HASTE = """UPDATE outbox SET due_at = now() WHERE tenant_id = $1 AND kind = ANY($2::text[]) AND state IN ('waiting', 'running')
RETURNING id"""
FAILED = "SELECT error FROM outbox WHERE tenant_id = $1 AND (state = 'parked' OR error IS NOT NULL)"


class Chair:
    """One salon with its inbox."""

    def __init__(self, salon: Salon, desk: Desk, settings: Settings) -> None:
        self.salon, self.desk = salon, desk
        self.handlers = {**Automation(settings).handlers(), **actors.handlers()}

    async def customer(self, phone: str = PHONE) -> int:
        """Somebody who has written once; answers the contact."""
        return int((await self.desk.open(phone))["contact"]["id"])

    async def do(self, kind: str) -> int:
        """What waits, done whether it is due or not."""
        return await do_effects(self.desk.workspace, kind, handlers=self.handlers)

    async def do_at_once(self, *kinds: str) -> None:
        """The same, side by side, as often as it takes until nothing is left."""
        workspace = self.desk.workspace
        for _ in range(20):
            waiting = await workspace.rows(HASTE, list(kinds))
            if not waiting:
                return
            await asyncio.gather(*(deliver(workspace.kernel, self.handlers, workspace.tenant, row["id"]) for row in waiting))
        raise AssertionError(f"{kinds} never ended")

    async def parked(self) -> list[str]:
        """What was given up, or failed and will be tried again."""
        return [row["error"] for row in await self.desk.workspace.rows(FAILED)]

    async def due(self, kind: str) -> list[datetime]:
        """When what waits is due."""
        rows = await self.desk.workspace.rows(
            "SELECT due_at FROM outbox WHERE tenant_id = $1 AND kind = $2 AND state = 'waiting' ORDER BY due_at", kind
        )
        return [row["due_at"] for row in rows]

    async def hear(self, text: str, phone: str = PHONE) -> None:
        """The customer writes."""
        await self.desk.hear(webhooks.text(self.desk.chat(phone), stamp(), text))

    async def said(self, phone: str = PHONE) -> list[str]:
        """What was said to somebody by itself, oldest first."""
        for one in await self.desk.all(status="all"):
            if one["contact"] and one["contact"]["phone"] == phone:
                return [message["body"] for message in await self.desk.thread(one["id"]) if message["author"]["type"] == "bot"]
        return []

    async def told(self, phone: str = PHONE) -> dict[str, str]:
        """What the steps said of the last message of somebody."""
        (one,) = [one for one in await self.desk.all(status="all") if one["contact"] and one["contact"]["phone"] == phone]
        events = await self.desk.do("GET", f"/{one['id']}/events?limit=200")
        return next(dict(event["data"]["handling"]) for event in events if event["type"] == "message.received")

    async def wait(self, service: int, contact: int, **more: Any) -> int:
        """An entry of the waitlist."""
        entry = await self.salon.ask("POST", "/waitlist", json={"service_id": service, "contact_id": contact} | more)
        return int(entry["id"])

    async def standing(self) -> dict[int, str]:
        """What every entry of the waitlist is."""
        return {entry["id"]: entry["status"] for entry in await self.salon.ask("GET", "/waitlist")}

    async def happened(self, appointment: int) -> list[dict[str, Any]]:
        """The events of an appointment, oldest first."""
        found: list[dict[str, Any]] = (await self.salon.ask("GET", f"/appointments/{appointment}/events"))[::-1]
        return found

    async def wear_off(self) -> int:
        """Half an hour goes by for what is kept."""
        return await self.do("scheduling.expire_hold")


def soon(hours: float) -> datetime:
    """A whole minute some hours from now."""
    return datetime.now().astimezone().replace(second=0, microsecond=0) + timedelta(hours=hours)
