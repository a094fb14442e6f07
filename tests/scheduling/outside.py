"""A salon whose people have calendars at Google's."""

from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from httpx import Response

from plixa.kernel.projector import advance
from plixa.kernel.reacting import step
from plixa.kernel.settings import Settings
from plixa.scheduling.actors import Calendars
from plixa.scheduling.client import Google
from plixa.scheduling.commands.google.linking import READ, WRITE
from plixa.scheduling.policies import REACTIONS
from tests.scheduling.fake_google import FakeGoogle
from tests.scheduling.salon import Salon
from tests.support.effects import do_effects
from tests.support.world import Member

CALENDAR = "/calendar/google"


class Outside:
    """What happens between the two."""

    def __init__(self, salon: Salon, google: FakeGoogle, settings: Settings) -> None:
        self.salon, self.google, self.settings = salon, google, settings
        self.client = Google(settings)
        self.kernel, self.tenant = salon.workspace.kernel, salon.workspace.tenant

    async def url(self, member: Member) -> str:
        """Where a member is sent."""
        return str((await self.salon.ask("GET", f"{CALENDAR}/connect", member))["url"])

    async def return_with(self, query: dict[str, str]) -> str:
        """Follow Google's redirect; how it ended, as the panel is told."""
        answer = await self.salon.client.get(f"/v1/scheduling{CALENDAR}/callback", params=query)
        return outcome(answer, self.settings)

    async def connect(self, member: Member, email: str | None = None) -> str:
        """A member allows us their calendar; whose it is at Google's."""
        address = email or member.email
        assert await self.return_with(self.google.consent(await self.url(member), address)) == "connected"
        await self.follow()
        return address

    async def follow(self) -> None:
        """Have the reactions hear of what happened."""
        for reaction in REACTIONS:
            while (await advance(self.kernel, reaction, self.tenant, take=step)).full:
                """There is more."""

    async def do(self, kind: str, settings: Settings | None = None) -> int:
        """Do every effect of a kind, due or not."""
        told = settings or self.settings
        return await do_effects(self.salon.workspace, kind, handlers=Calendars(Google(told), told.public_url).handlers())

    async def write(self) -> int:
        """React, and write what that asks for."""
        await self.follow()
        return await self.do(WRITE)

    async def read(self, settings: Settings | None = None) -> None:
        """Read every calendar."""
        await self.do(READ, settings)

    async def status(self, member: Member) -> dict[str, Any]:
        """A member's own link."""
        found: dict[str, Any] = await self.salon.ask("GET", CALENDAR, member)
        return found

    async def busy(self, member: Member, since: datetime | None = None, until: datetime | None = None) -> list[tuple[datetime, datetime]]:
        """When a member is busy elsewhere, on the salon's day unless told otherwise."""
        edges = {"from": (since or self.salon.at(0)).isoformat(), "to": (until or self.salon.at(0, days=1)).isoformat()}
        blocks = (await self.salon.ask("GET", f"{CALENDAR}/busy", member, params=edges))["blocks"]
        return [(datetime.fromisoformat(block["start"]), datetime.fromisoformat(block["end"])) for block in blocks]

    async def conflict(self, appointment: int) -> str | None:
        """What the calendar says of a difference."""
        rows = await self.salon.workspace.rows("SELECT conflict FROM appointment WHERE tenant_id = $1 AND id = $2", appointment)
        return rows[0]["conflict"] if rows else None


def outcome(answer: Response, settings: Settings) -> str:
    """Where the browser is sent, which is never anywhere but to the panel."""
    assert answer.status_code == 303, answer.text
    target = urlsplit(answer.headers["location"])
    assert f"{target.scheme}://{target.netloc}{target.path}" == f"{settings.public_url}/settings/calendar"
    return parse_qs(target.query)["google"][0]
