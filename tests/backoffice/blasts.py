"""Campaigns in a test's hands: asked for by staff, brought out by a worker's actors, and told of by Resend."""

import json
import secrets
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from httpx import AsyncClient, Request, Response
from msgspec import Struct

from plixa.backoffice.actors.campaigns import Actors
from plixa.backoffice.domain.campaigns import STATES
from plixa.kernel.delivery import deliver
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel
from plixa.notifications.client import Mailer
from tests.backoffice.crew import Staff
from tests.notifications.svix import signed

CONTENT = {"subject": "News ✓", "body": "Hello **everybody**.", "preheader": "What is new"}
OWN = """UPDATE outbox SET due_at = now(), lease_until = NULL WHERE tenant_id = 0 AND state IN ('waiting', 'running') AND (
    (kind = 'campaign.spread' AND payload ->> 'campaign_id' = $1::text) OR (kind IN ('campaign.mail', 'campaign.note')
     AND (payload ->> 'recipient_id')::bigint IN (SELECT id FROM campaign_recipient WHERE campaign_id = $1::text::bigint)))
RETURNING id"""
WAITS = "SELECT payload ->> 'token' FROM outbox WHERE tenant_id = 0 AND kind = 'campaign.mail' AND key = $1"


def addresses(count: int) -> list[str]:
    """Nobody's yet."""
    word = secrets.token_hex(5)
    return [f"{word}-{place}@example.com" for place in range(count)]


class Blast(Struct, frozen=True):
    """A campaign that was asked for."""

    id: int
    staff: Staff
    kernel: Kernel
    settings: Settings

    async def view(self) -> dict[str, Any]:
        """As staff see it; its counts are those of its recipients."""
        view: dict[str, Any] = await self.staff.do("GET", f"/campaigns/{self.id}")
        states = Counter(one["status"] for one in await self.recipients())
        assert view["counts"] == {state: states[state] for state in STATES}
        assert sum(states.values()) == view["recipients_count"]
        return view

    async def recipients(self, **query: Any) -> list[dict[str, Any]]:
        """Everybody it goes to, page by page."""
        found, query = [], {"limit": 70, **query}
        while True:
            answer = (await self.staff.call("GET", f"/campaigns/{self.id}/recipients", params=query)).json()
            found += answer["data"]
            if (cursor := answer["meta"]["next_cursor"]) is None:
                return found
            query["cursor"] = cursor

    async def states(self) -> list[str]:
        """How each mail fared, in the order of the recipients."""
        return [one["status"] for one in await self.recipients()]

    async def work(self, mailer: Mailer, rounds: int = 1) -> None:
        """What a worker does with everything that is asked for by now, without waiting until it is due."""
        handlers = Actors(mailer, self.settings).handlers()
        for _ in range(rounds):
            async with self.kernel.system.connection() as connection:
                rows = await connection.fetch(OWN, str(self.id))
            for row in sorted(rows):
                await deliver(self.kernel, handlers, 0, row["id"])

    async def token(self, recipient: int) -> str:
        """What stands in a recipient's link to unsubscribe."""
        async with self.kernel.system.connection() as connection:
            return str(await connection.fetchval(WAITS, str(recipient)))


async def blast(staff: Staff, kernel: Kernel, settings: Settings, emails: Iterable[str], **content: Any) -> Blast:
    """A campaign to these addresses."""
    body = CONTENT | {"audience": "emails", "audience_value": list(emails)} | content
    return Blast((await staff.do("POST", "/campaigns", json=body))["id"], staff, kernel, settings)


def news(kind: str, address: str, recipient: int | None = None, **data: Any) -> dict[str, Any]:
    """What Resend tells of a mail to a recipient, ``at`` some time."""
    moment = data.pop("at", datetime.now(UTC)).isoformat()
    mail = {"email_id": "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794", "created_at": moment, "to": [address], "subject": "News"}
    tags = {"template": "campaign"} | ({"recipient": str(recipient)} if recipient is not None else {})
    return {"type": f"email.{kind}", "created_at": moment, "data": mail | {"tags": tags} | data}


async def tell(client: AsyncClient, told: Any, number: str | None = None) -> Response:
    """A delivery of Resend's webhook."""
    body = Request("POST", "http://x", json=told).content
    headers = signed(number or f"msg_{sha256(json.dumps(told).encode()).hexdigest()[:20]}", body, int(time.time()))
    return await client.post("/v1/webhooks/resend", content=body, headers=headers)
