"""Labels of the workspace, and on contacts: who may, once only, gone everywhere at once."""

import asyncio
from typing import Any

import pytest
from httpx import AsyncClient, Response

from plixa.inbox.queries.realtime import render
from plixa.kernel.auth import Principal
from tests.identity.people import bearer
from tests.identity.tokens import new_token, set_plan
from tests.inbox.desk import Desk
from tests.inbox.test_arrivals import named, two_of_one
from tests.support.trail import read_trail
from tests.support.world import Member, Workspace

LABELS = "/v1/labels"
FILL = "INSERT INTO label (tenant_id, name, color, created_at) SELECT $1, 'n' || n, '#000000', now() FROM generate_series(2, 500) n"
ATTACHED = "SELECT contact_id, label_id FROM contact_label WHERE tenant_id = $1 ORDER BY 1, 2"


async def create(client: AsyncClient, owner: Member, name: str = "VIP", **more: Any) -> dict[str, Any]:
    answer = await client.post(LABELS, json={"name": name} | more, headers=owner.headers)
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()["data"]
    return view


async def pin(desk: Desk, contact: int, label: int, member: Member | None = None, method: str = "POST") -> Response:
    headers = (member or desk.workspace.owner).headers
    return await desk.client.request(method, f"/v1/contacts/{contact}/labels/{label}", headers=headers)


async def listed(desk: Desk, member: Member | None = None) -> Any:
    return (await desk.client.get(LABELS, headers=(member or desk.workspace.owner).headers)).json()["data"]


async def test_a_label_is_made_renamed_recoloured_and_deleted(
    client: AsyncClient, lucia: Member, ana: Member, lucia_studios: Workspace
) -> None:
    label = await create(client, lucia, " VIP ", color="#AA3300")
    assert label == {"id": label["id"], "name": "VIP", "color": "#AA3300", "conversations_count": 0, "contacts_count": 0}
    plain = await create(client, lucia, "Lead")
    assert (await client.get(LABELS, headers=ana.headers)).json()["data"] == [plain, label]
    place = f"{LABELS}/{label['id']}"
    for change, name, color in (({"name": "Ouro"}, "Ouro", "#AA3300"), ({"color": "#00ff00"}, "Ouro", "#00ff00"), ({}, "Ouro", "#00ff00")):
        changed = await client.put(place, json=change, headers=lucia.headers)
        assert (changed.status_code, changed.json()["data"]) == (200, label | {"name": name, "color": color})
    assert (await client.delete(place, headers=lucia.headers)).status_code == 204
    assert (await client.delete(place, headers=lucia.headers)).status_code == 404
    trail = await read_trail(client, lucia_studios, subject="label", subject_id=label["id"])
    told = [(one["action"], one["before"], one["after"]) for one in trail][::-1]
    assert told == [
        ("label.created", None, {"name": "VIP", "color": "#AA3300"}),
        ("label.updated", {"name": "VIP"}, {"name": "Ouro"}),
        ("label.updated", {"color": "#AA3300"}, {"color": "#00ff00"}),
        ("label.deleted", {"name": "Ouro", "color": "#00ff00"}, None),
    ]


@pytest.mark.parametrize(
    "body",
    [{}, {"name": ""}, {"name": " "}, {"name": "x" * 41}, {"name": 5}, {"name": None}, {"name": "a\0"}]
    + [{"name": "Ok", "color": color} for color in ("red", "#fff", "#gggggg", "#0000000", " #000000", "#000000\n", None, 0)],
)
async def test_what_is_no_label_is_refused(client: AsyncClient, lucia: Member, body: dict[str, Any]) -> None:
    answer = await client.post(LABELS, json=body, headers=lucia.headers)
    assert (answer.status_code, list(answer.json()["errors"][0]["details"])) == (422, ["color" if "color" in body else "name"])


async def test_a_name_is_had_once_also_by_who_comes_at_the_same_moment(client: AsyncClient, lucia: Member, other_tenant: Workspace) -> None:
    answers = await asyncio.gather(*(client.post(LABELS, json={"name": "VIP"}, headers=lucia.headers) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422, 422, 422]
    other = await create(client, lucia, "Lead")
    taken = await client.put(f"{LABELS}/{other['id']}", json={"name": "VIP "}, headers=lucia.headers)
    assert (taken.status_code, list(taken.json()["errors"][0]["details"])) == (422, ["name"])
    await create(client, other_tenant.owner)
    assert [one["name"] for one in (await client.get(LABELS, headers=lucia.headers)).json()["data"]] == ["Lead", "VIP"]


async def test_there_is_an_end_to_them(client: AsyncClient, lucia: Member, lucia_studios: Workspace) -> None:
    label = await create(client, lucia)
    await lucia_studios.rows(FILL)
    full = await client.post(LABELS, json={"name": "one more"}, headers=lucia.headers)
    assert (full.status_code, full.json()["errors"][0]["code"]) == (409, "CONFLICT")
    await client.delete(f"{LABELS}/{label['id']}", headers=lucia.headers)
    await create(client, lucia, "one more")


async def test_agents_and_other_owners_change_none(client: AsyncClient, lucia: Member, ana: Member, other_tenant: Workspace) -> None:
    label = await create(client, lucia)
    assert (await client.post(LABELS, json={"name": "x"}, headers=ana.headers)).status_code == 403
    for method in ("PUT", "DELETE"):
        for member, status in ((ana, 403), (other_tenant.owner, 404)):
            answer = await client.request(method, f"{LABELS}/{label['id']}", json={"name": "x"}, headers=member.headers)
            assert answer.status_code == status
    assert (await client.get(LABELS, headers=ana.headers)).json()["data"] == [label]
    assert (await client.get(LABELS, headers=other_tenant.owner.headers)).json()["data"] == []


async def test_any_member_puts_one_on_a_contact_once(desk: Desk, ana: Member) -> None:
    owner, contact = desk.workspace.owner, (await desk.open())["contact"]["id"]
    vip, lead = await create(desk.client, owner), await create(desk.client, owner, "Lead")
    shown = {"id": vip["id"], "name": "VIP", "color": vip["color"]}
    at_once = await asyncio.gather(*(pin(desk, contact, vip["id"], ana) for _ in range(5)))
    assert [(answer.status_code, answer.json()["data"]) for answer in at_once] == [(200, [shown])] * 5
    both = await pin(desk, contact, lead["id"])
    assert [one["name"] for one in both.json()["data"]] == ["Lead", "VIP"]
    assert [(one["name"], one["contacts_count"]) for one in await listed(desk, ana)] == [("Lead", 1), ("VIP", 1)]
    for _ in range(2):
        assert (await pin(desk, contact, lead["id"], ana, "DELETE")).status_code == 204
    assert [(one["name"], one["contacts_count"]) for one in await listed(desk)] == [("Lead", 0), ("VIP", 1)]
    trail = await read_trail(desk.client, desk.workspace, subject="contact", subject_id=contact)
    assert [(one["action"], one["before"], one["after"]) for one in trail][::-1] == [
        ("contact.labelled", None, {"label_id": vip["id"]}),
        ("contact.labelled", None, {"label_id": lead["id"]}),
        ("contact.unlabelled", {"label_id": lead["id"]}, None),
    ]


async def test_another_workspaces_label_or_contact_does_not_exist(desk: Desk, other_desk: Desk) -> None:
    contact, label = (await desk.open())["contact"]["id"], await desk.label("VIP")
    theirs, foreign = (await other_desk.open())["contact"]["id"], await other_desk.label("VIP")
    for method in ("POST", "DELETE"):
        for one, other in ((contact, foreign), (theirs, label), (theirs, foreign), (contact, 2**52), (2**52, label), (0, label)):
            assert (await pin(desk, one, other, method=method)).status_code == 404, (method, one, other)
    assert await desk.workspace.rows(ATTACHED) == await other_desk.workspace.rows(ATTACHED) == []


async def test_tokens_read_and_pin_as_far_as_they_may(desk: Desk) -> None:
    workspace, label, contact = desk.workspace, await desk.label("VIP"), (await desk.open())["contact"]["id"]
    await set_plan(workspace.kernel, workspace.tenant, "professional")
    reader, writer = [await new_token(workspace.kernel, "api", workspace.tenant, workspace.owner.id, one) for one in ("read", "write")]
    pinned = f"/v1/contacts/{contact}/labels/{label}"
    for token, path, status in ((reader, LABELS, 200), (writer, LABELS, 403)):
        assert (await desk.client.get(path, headers=bearer(token))).status_code == status
    for method, done in (("POST", 200), ("DELETE", 204)):
        assert (await desk.client.request(method, pinned, headers=bearer(reader))).status_code == 403
        assert (await desk.client.request(method, pinned, headers=bearer(writer))).status_code == done
    assert (await desk.client.post(LABELS, json={"name": "x"}, headers=bearer(writer))).status_code == 403


async def test_a_deleted_label_is_off_every_contact_and_nobodys_else(desk: Desk) -> None:
    owner, contact = desk.workspace.owner, (await desk.open())["contact"]["id"]
    gone, kept = await create(desk.client, owner), await create(desk.client, owner, "Lead")
    for label in (gone, kept):
        await pin(desk, contact, label["id"])
    assert (await desk.client.delete(f"{LABELS}/{gone['id']}", headers=owner.headers)).status_code == 204
    assert await desk.workspace.rows(ATTACHED) == [{"contact_id": contact, "label_id": kept["id"]}]
    assert (await pin(desk, contact, gone["id"])).status_code == 404


async def test_deleting_and_pinning_at_the_same_moment_leave_nothing_behind(desk: Desk) -> None:
    contact = (await desk.open())["contact"]["id"]
    for round_ in range(4):
        label = await desk.label(f"round {round_}")
        delete = desk.client.delete(f"{LABELS}/{label}", headers=desk.workspace.owner.headers)
        *pinned, deleted = await asyncio.gather(*(pin(desk, contact, label) for _ in range(3)), delete)
        assert deleted.status_code == 204
        assert {answer.status_code for answer in pinned} <= {200, 404}
    assert await desk.workspace.rows(ATTACHED) == []


async def test_two_contacts_that_are_one_carry_the_labels_of_both_once(desk: Desk) -> None:
    first, second, both = await two_of_one(desk)
    contacts = [(await desk.show(number))["contact"]["id"] for number in (first, second)]
    shared, own = await desk.label("VIP"), await desk.label("Lead")
    for contact, label in ((contacts[0], shared), (contacts[1], shared), (contacts[1], own)):
        assert (await pin(desk, contact, label)).status_code == 200
    await desk.hear(named(both))
    stays = (await desk.only())["contact"]["id"]
    assert [one["id"] for one in (await pin(desk, stays, shared)).json()["data"]] == [own, shared]
    assert [(one["id"], one["contacts_count"]) for one in await listed(desk)] == [(own, 1), (shared, 1)]
    (merged,) = set(contacts) - {stays}
    assert (await pin(desk, merged, shared)).status_code == 404


async def test_an_erased_contact_carries_none(desk: Desk) -> None:
    contact, label = (await desk.open())["contact"]["id"], await desk.label("VIP")
    await pin(desk, contact, label)
    erased = await desk.client.post(f"/v1/contacts/{contact}/erase", headers=desk.workspace.owner.headers)
    assert erased.status_code == 200
    assert await desk.workspace.rows(ATTACHED) == []
    assert ((await pin(desk, contact, label)).status_code, (await listed(desk))[0]["contacts_count"]) == (410, 0)


async def test_open_panels_hear_that_the_list_is_another(desk: Desk, ana: Member) -> None:
    await create(desk.client, desk.workspace.owner)
    tenant = desk.workspace.tenant
    watching = Principal(kind="panel", token_id=1, tenant=tenant, user_id=ana.id, name="Ana", role="agent", restricted=True)
    seen = [(one.event, one.data) for one in await render(desk.workspace.kernel, watching, await desk.log())]
    assert ("WorkspaceUpdated", b'{"keys":["labels"]}') in seen
