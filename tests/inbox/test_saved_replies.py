"""Saved replies: written and put in order by the owner, at hand for every member."""

import asyncio
import random
from typing import Any

import pytest
from httpx import AsyncClient

from tests.support.trail import read_trail
from tests.support.world import Member, Workspace

PATH = "/v1/saved-replies"
FILL = """INSERT INTO saved_reply (tenant_id, label, body, position, created_at)
SELECT $1, 'n', 'n', n, now() FROM generate_series(1, 500) n"""


async def write(client: AsyncClient, owner: Member, label: str = "Horário", body: str = "Abrimos às 9h.") -> dict[str, Any]:
    answer = await client.post(PATH, json={"label": label, "body": body}, headers=owner.headers)
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()["data"]
    return view


async def listed(client: AsyncClient, member: Member) -> Any:
    return (await client.get(PATH, headers=member.headers)).json()["data"]


async def test_one_is_written_changed_and_deleted(client: AsyncClient, lucia: Member, ana: Member, lucia_studios: Workspace) -> None:
    hours = await write(client, lucia, " Horário ", "Abrimos às 9h.\n")
    assert hours == {"id": hours["id"], "label": "Horário", "body": "Abrimos às 9h.\n", "position": 0}
    twin = await write(client, lucia)
    assert await listed(client, ana) == [hours, twin]
    place = f"{PATH}/{hours['id']}"
    for body in ({"label": "Horas", "body": hours["body"]}, {"label": "Horas", "body": "10h"}, {"label": "Horas ", "body": "10h"}):
        changed = await client.put(place, json=body, headers=lucia.headers)
        assert (changed.status_code, changed.json()["data"]) == (200, hours | body | {"label": "Horas"})
    assert [(await client.delete(place, headers=lucia.headers)).status_code for _ in range(2)] == [204, 404]
    assert await listed(client, ana) == [twin]
    assert (await write(client, lucia))["position"] == 2
    trail = await read_trail(client, lucia_studios, subject="saved_reply", subject_id=hours["id"])
    assert [(one["action"], one["before"], one["after"]) for one in trail][::-1] == [
        ("saved_reply.created", None, {"label": "Horário", "body": "Abrimos às 9h.\n"}),
        ("saved_reply.updated", {"label": "Horário"}, {"label": "Horas"}),
        ("saved_reply.updated", {"body": "Abrimos às 9h.\n"}, {"body": "10h"}),
        ("saved_reply.deleted", {"label": "Horas", "body": "10h"}, None),
    ]


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_what_is_no_reply_is_refused(client: AsyncClient, lucia: Member, method: str) -> None:
    reply = await write(client, lucia, "x" * 80, "y" * 2000)
    place = PATH if method == "POST" else f"{PATH}/{reply['id']}"
    for field, values in (("label", ("", " ", "x" * 81, None, 5)), ("body", ("", "\n", "y" * 2001, None, ["x"], "a\0"))):
        for value in values:
            answer = await client.request(method, place, json={"label": "a", "body": "b", field: value}, headers=lucia.headers)
            assert (answer.status_code, list(answer.json()["errors"][0]["details"])) == (422, [field]), value
    missing = await client.request(method, place, json={}, headers=lucia.headers)
    assert (missing.status_code, set(missing.json()["errors"][0]["details"])) == (422, {"label", "body"})
    assert await listed(client, lucia) == [reply]


async def test_agents_and_other_owners_change_none(client: AsyncClient, lucia: Member, ana: Member, other_tenant: Workspace) -> None:
    replies = [await write(client, lucia, label) for label in "ab"]
    order = {"ids": [one["id"] for one in replies[::-1]]}
    body = {"label": "x", "body": "y"}
    for path, sent in ((PATH, body), (f"{PATH}/reorder", order)):
        assert (await client.post(path, json=sent, headers=ana.headers)).status_code == 403
    for method in ("PUT", "DELETE"):
        for member, status in ((ana, 403), (other_tenant.owner, 404)):
            place = f"{PATH}/{replies[0]['id']}"
            assert (await client.request(method, place, json=body, headers=member.headers)).status_code == status
    foreign = await client.post(f"{PATH}/reorder", json=order, headers=other_tenant.owner.headers)
    assert (foreign.status_code, foreign.json()["data"]) == (200, [])
    assert (await listed(client, lucia), await listed(client, other_tenant.owner)) == (replies, [])


async def test_a_partial_drag_leaves_the_rest_alone(client: AsyncClient, lucia: Member, lucia_studios: Workspace) -> None:
    a, b, c, d, e = [(await write(client, lucia, label))["id"] for label in "abcde"]
    await client.delete(f"{PATH}/{b}", headers=lucia.headers)
    for ids, order in (([e, a], [e, c, d, a]), ([d, c, 2**52, d], [e, d, c, a]), ([b], [e, d, c, a]), ([], [e, d, c, a])):
        answer = await client.post(f"{PATH}/reorder", json={"ids": ids}, headers=lucia.headers)
        assert (answer.status_code, [(one["id"], one["position"]) for one in answer.json()["data"]]) == (
            200,
            list(zip(order, (0, 2, 3, 4), strict=True)),
        )
        assert await listed(client, lucia) == answer.json()["data"]
    trail = await read_trail(client, lucia_studios, action="saved_reply.reordered")
    assert [(one["before"], one["after"]) for one in trail] == [
        ({"ids": [e, c, d, a]}, {"ids": [e, d, c, a]}),
        ({"ids": [a, c, d, e]}, {"ids": [e, c, d, a]}),
    ]
    for wrong in ({}, {"ids": None}, {"ids": "1"}, {"ids": ["1"]}, {"ids": [True]}, {"ids": [1] * 1001}):
        assert (await client.post(f"{PATH}/reorder", json=wrong, headers=lucia.headers)).status_code == 422


async def test_orders_given_at_the_same_moment_leave_every_reply_in_one_place(client: AsyncClient, lucia: Member) -> None:
    dice = random.Random(3)
    ids = [(await write(client, lucia, label))["id"] for label in "abcdef"]
    orders = [dice.sample(ids, dice.randint(2, 6)) for _ in range(12)]
    moves = [client.post(f"{PATH}/reorder", json={"ids": order}, headers=lucia.headers) for order in orders]
    grown = [client.post(PATH, json={"label": "new", "body": "x"}, headers=lucia.headers) for _ in range(3)]
    answers = await asyncio.gather(*moves, *grown)
    assert {answer.status_code for answer in answers} == {200, 201}
    assert [one["position"] for one in await listed(client, lucia)] == list(range(9))


async def test_there_is_an_end_to_them(client: AsyncClient, lucia: Member, lucia_studios: Workspace) -> None:
    await lucia_studios.rows(FILL)
    full = await client.post(PATH, json={"label": "a", "body": "b"}, headers=lucia.headers)
    assert (full.status_code, full.json()["errors"][0]["code"]) == (409, "CONFLICT")
