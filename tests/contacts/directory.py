"""Contacts in a test's hands."""

from typing import Any

from httpx import Response

from tests.inbox.desk import Desk
from tests.support.world import Member

RESTRICT = "UPDATE tenant SET agent_restricted = true WHERE tenant_id = $1 RETURNING tenant_id"


async def ask(desk: Desk, method: str, path: str = "", member: Member | None = None, **more: Any) -> Response:
    """An operation on contacts, by the owner unless told otherwise."""
    headers = (member or desk.workspace.owner).headers | more.pop("headers", {})
    return await desk.client.request(method, f"/v1/contacts{path}", headers=headers, **more)


async def get(desk: Desk, path: str = "", member: Member | None = None, **query: Any) -> Any:
    """What a read answers."""
    answer = await ask(desk, "GET", path, member, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def do(desk: Desk, method: str, path: str, body: Any = None) -> Any:
    """The owner's doing, done well: what was answered."""
    answer = await ask(desk, method, path, json=body)
    assert answer.status_code in (200, 201, 204), answer.text
    return answer.json()["data"] if answer.content else None


async def add(desk: Desk, phone: str = "5511987654321", name: str | None = None, member: Member | None = None) -> dict[str, Any]:
    """A contact made by hand."""
    answer = await ask(desk, "POST", "", member, json={"contact_phone": phone, "contact_name": name})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["data"]
    return made


async def found(desk: Desk, member: Member | None = None, **query: Any) -> list[int]:
    """Whom the directory shows, page by page, newest first."""
    ids: list[int] = []
    cursor: str | None = None
    while True:
        answer = await ask(desk, "GET", "", member, params=query | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        ids += [one["id"] for one in answer.json()["data"]]
        cursor = answer.json()["meta"]["next_cursor"]
        if cursor is None:
            return ids


async def restrict(desk: Desk) -> None:
    """From now on agents see no conversations but their own and nobody's."""
    await desk.workspace.rows(RESTRICT)
    desk.forget()


def refused(answer: Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, answer.json()["errors"][0]["code"]
