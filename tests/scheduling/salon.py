"""A salon: Lúcia and Ana cut hair every day from eight to eight, by the clocks of São Paulo."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from httpx import AsyncClient, Response

from tests.support.world import Member, Workspace

ZONE = ZoneInfo("America/Sao_Paulo")
OPEN = {"kind": "open", "start_time": "08:00", "end_time": "20:00"}


class Salon:
    """What its people do, over HTTP."""

    def __init__(self, workspace: Workspace, client: AsyncClient) -> None:
        self.workspace, self.client, self.owner = workspace, client, workspace.owner
        self.day = datetime.now(ZONE).date() + timedelta(days=3)

    def at(self, hour: int, minute: int = 0, days: int = 0) -> datetime:
        """A wall time of the salon's day, or so many days later, as an instant."""
        day = self.day + timedelta(days=days)
        return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZONE).astimezone(UTC)

    async def call(self, method: str, path: str, by: Member | None = None, **request: Any) -> Response:
        """A request of somebody, the owner unless told otherwise."""
        headers = (by or self.owner).headers | request.pop("headers", {})
        return await self.client.request(method, f"/v1/scheduling{path}", headers=headers, **request)

    async def ask(self, method: str, path: str, by: Member | None = None, **request: Any) -> Any:
        """What is answered to a request that succeeds."""
        answer = await self.call(method, path, by, **request)
        assert answer.is_success, answer.text
        return answer.json()["data"] if answer.content else None

    async def employ(self, *members: Member) -> None:
        """Members whose hours are the salon's."""
        rules = [OPEN | {"weekday": weekday} for weekday in range(7)]
        for member in members:
            await self.ask("PUT", f"/providers/{member.id}/schedule", json={"timezone": str(ZONE), "rules": rules})

    async def offer(self, *members: Member, **service: Any) -> int:
        """A service of half an hour that these members give."""
        given = {"name": f"Cut {len(await self.ask('GET', '/services'))}", "duration_minutes": 30} | service
        return int((await self.ask("POST", "/services", json=given | {"provider_ids": [member.id for member in members]}))["id"])

    async def book(self, service: int, start: datetime | str, by: Member | None = None, **more: Any) -> Response:
        """An attempt to book."""
        when = start if isinstance(start, str) else start.isoformat()
        return await self.call("POST", "/appointments", by, json={"service_id": service, "start": when} | more)

    async def booked(self, service: int, start: datetime | str, by: Member | None = None, **more: Any) -> dict[str, Any]:
        """An appointment."""
        answer = await self.book(service, start, by, **more)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()["data"]
        return found

    async def do(self, appointment: int, what: str, by: Member | None = None, **request: Any) -> Response:
        """An attempt to do something with an appointment."""
        return await self.call("POST", f"/appointments/{appointment}/{what}", by, **request)

    async def starts(self, service: int, day: date | None = None, **more: Any) -> list[datetime]:
        """What is offered on a day, as instants."""
        at = (day or self.day).isoformat()
        slots = await self.ask("GET", "/availability", params={"service_id": service, "from": at, "to": at} | more)
        return [datetime.fromisoformat(slot["start"]).astimezone(UTC) for slot in slots]


def reason(answer: Response) -> str:
    """Why a time was refused."""
    assert answer.status_code == 409, answer.text
    (problem,) = answer.json()["errors"]
    assert problem["code"] == "SLOT_UNAVAILABLE"
    return str(problem["details"]["reason"])


def code(answer: Response) -> str:
    """A refusal's code."""
    assert not answer.is_success, answer.text
    return str(answer.json()["errors"][0]["code"])
