"""What can be booked in a test's workspace, made by its owner."""

from typing import Any

from httpx import AsyncClient, Response
from msgspec import Struct

from tests.support.world import Member

SCHEDULING = "/v1/scheduling"


class Catalog(Struct, frozen=True):
    """A client of the application, and whoever calls."""

    client: AsyncClient
    member: Member

    async def call(self, method: str, path: str, **more: Any) -> Response:
        """An operation of scheduling."""
        return await self.client.request(method, f"{SCHEDULING}{path}", headers=self.member.headers, **more)

    async def do(self, method: str, path: str, **body: Any) -> Any:
        """The same, done well: what was answered."""
        answer = await self.call(method, path, **({"json": body} if method != "GET" else {"params": body}))
        assert answer.status_code in (200, 201, 204), answer.text
        return answer.json()["data"] if answer.content else None

    async def fields(self, method: str, path: str, body: dict[str, Any]) -> list[str]:
        """The fields for which it is refused."""
        answer = await self.call(method, path, json=body)
        assert answer.status_code == 422, answer.text
        return list(answer.json()["errors"][0]["details"])

    async def names(self, path: str) -> list[str]:
        """What a list holds, page by page."""
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await self.call("GET", path, params={"limit": 2, **cursor})).json()
            assert len(page["data"]) <= 2
            found += [one["name"] for one in page["data"]]
            if page["meta"]["next_cursor"] is None:
                return found
            cursor = {"cursor": page["meta"]["next_cursor"]}
