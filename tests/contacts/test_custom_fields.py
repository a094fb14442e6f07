"""Custom fields: defined by the owner within the plan, read by everybody, each value of its type."""

import asyncio
import random
from typing import Any

import pytest
from httpx import AsyncClient, Response

from tests.identity.people import bearer
from tests.identity.tokens import new_token, set_plan
from tests.inbox.desk import Desk
from tests.inbox.test_arrivals import named, two_of_one
from tests.support.trail import read_trail
from tests.support.world import Member

PATH = "/v1/custom-field-definitions"
VALUES = "SELECT contact_id, field_id, value FROM custom_field_value WHERE tenant_id = $1 ORDER BY 1, 2"
FILL = """INSERT INTO custom_field (tenant_id, name, key, type, options, position, created_at)
SELECT $1, 'n' || n, 'n' || n, 'text', '{}', n, now() FROM generate_series(1, 99) n"""
KINDS: dict[str, Any] = {"text": {}, "number": {}, "date": {}, "boolean": {}, "select": {"options": ["Ouro", "Prata"]}}


@pytest.fixture
async def paying(desk: Desk) -> Desk:
    """A workspace whose plan has custom fields."""
    await set_plan(desk.workspace.kernel, desk.workspace.tenant, "professional")
    desk.forget()
    return desk


async def define(desk: Desk, name: str, kind: str = "text", **more: Any) -> dict[str, Any]:
    answer = await desk.client.post(PATH, json={"name": name, "type": kind} | more, headers=desk.workspace.owner.headers)
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()["data"]
    return view


async def definitions(desk: Desk, member: Member | None = None) -> Any:
    return (await desk.client.get(PATH, headers=(member or desk.workspace.owner).headers)).json()["data"]


async def put(desk: Desk, place: str, body: Any, member: Member | None = None) -> Response:
    return await desk.client.put(place, json=body, headers=(member or desk.workspace.owner).headers)


async def fill(desk: Desk, contact: int, values: Any, member: Member | None = None) -> Response:
    return await put(desk, f"/v1/contacts/{contact}/custom-fields", {"values": values}, member)


async def filled(desk: Desk, contact: int, member: Member | None = None) -> Any:
    answer = await desk.client.get(f"/v1/contacts/{contact}/custom-fields", headers=(member or desk.workspace.owner).headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["values"]


def faults(answer: Response) -> Any:
    """Status, code and the fields that were complained of."""
    error = answer.json()["errors"][0]
    return answer.status_code, error["code"], list(error.get("details") or {})


async def test_a_field_is_defined_changed_and_deleted(paying: Desk, ana: Member) -> None:
    owner = paying.workspace.owner
    born = await define(paying, " Data de Nascimento ", "date")
    tier = await define(paying, "Nível", "select", options=[" Ouro ", "Prata"])
    shown = {"id": born["id"], "name": "Data de Nascimento", "key": "data_de_nascimento", "type": "date", "options": [], "position": 0}
    assert born == shown | {"created_at": born["created_at"]}
    assert (tier["key"], tier["options"], tier["position"]) == ("nivel", ["Ouro", "Prata"], 1)
    assert await definitions(paying, ana) == [born, tier]
    place = f"{PATH}/{tier['id']}"
    for change, after in (
        ({"name": "Classe", "type": "select"}, {"name": "Classe"}),
        ({"options": ["Prata", "Bronze"]}, {"name": "Classe", "options": ["Prata", "Bronze"]}),
        ({}, {"name": "Classe", "options": ["Prata", "Bronze"]}),
    ):
        answer = await put(paying, place, change)
        assert (answer.status_code, answer.json()["data"]) == (200, tier | after)
    assert (await define(paying, "Nível!"))["key"] == "nivel_2"
    assert [(await paying.client.delete(place, headers=owner.headers)).status_code for _ in range(2)] == [204, 404]
    trail = await read_trail(paying.client, paying.workspace, subject="custom_field", subject_id=tier["id"])
    assert [(one["action"], one["before"], one["after"]) for one in trail][::-1] == [
        ("custom_field.created", None, {"name": "Nível", "type": "select", "options": ["Ouro", "Prata"]}),
        ("custom_field.updated", {"name": "Nível"}, {"name": "Classe"}),
        ("custom_field.updated", {"options": ["Ouro", "Prata"]}, {"options": ["Prata", "Bronze"]}),
        ("custom_field.deleted", {"name": "Classe", "type": "select", "options": ["Prata", "Bronze"]}, None),
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        *(({"name": name, "type": "text"}, "name") for name in ("", " ", "x" * 61, 5, None)),
        ({"type": "text"}, "name"),
        ({"name": "A"}, "type"),
        *(({"name": "A", "type": kind}, "type") for kind in ("", "TEXT", "link", None, 1)),
        *(({"name": "A", "type": kind, "options": ["x"]}, "options") for kind in ("text", "number", "date", "boolean")),
        *(({"name": "A", "type": "select", "options": options}, "options") for options in ([], ["x", "x "], None, ["x"] * 101)),
        *(({"name": "A", "type": "select", "options": [option]}, "options.0") for option in ("", " ", "x" * 101, 1, None)),
    ],
)
async def test_what_is_no_field_is_refused(paying: Desk, body: dict[str, Any], field: str) -> None:
    answer = await paying.client.post(PATH, json=body, headers=paying.workspace.owner.headers)
    assert faults(answer) == (422, "VALIDATION_FAILED", [field])


async def test_the_type_stays_and_options_go_with_select(paying: Desk) -> None:
    text, tier = await define(paying, "Obs"), await define(paying, "Nível", "select", options=["Ouro"])
    for view, body, field in (
        (text, {"type": "number"}, "type"),
        (text, {"options": ["x"]}, "options"),
        (tier, {"options": []}, "options"),
        (tier, {"type": "text", "options": []}, "type"),
        (tier, {"name": "Obs"}, "name"),
    ):
        assert faults(await put(paying, f"{PATH}/{view['id']}", body)) == (422, "VALIDATION_FAILED", [field])
    assert await definitions(paying) == [text, tier]


async def test_only_owners_within_the_plan_write_and_every_member_reads(desk: Desk, ana: Member, other_desk: Desk) -> None:
    workspace, contact = desk.workspace, (await desk.open())["contact"]["id"]
    await set_plan(workspace.kernel, workspace.tenant, "business")
    desk.forget()
    view = await define(desk, "Obs")
    assert (await fill(desk, contact, {str(view["id"]): "alergia"})).status_code == 200
    writes: list[tuple[str, str, Any]] = [("POST", PATH, {"name": "A", "type": "text"}), ("POST", f"{PATH}/reorder", {"ids": [view["id"]]})]
    writes += [(method, f"{PATH}/{view['id']}", {"name": "A"}) for method in ("PUT", "DELETE")]
    writes += [("PUT", f"/v1/contacts/{contact}/custom-fields", {"values": {}})]
    await set_plan(other_desk.workspace.kernel, other_desk.workspace.tenant, "business")
    desk.forget()
    for method, path, body in writes:
        assert (await desk.client.request(method, path, json=body, headers=ana.headers)).status_code == 403
    for method, path, body in writes[2:]:
        assert (await desk.client.request(method, path, json=body, headers=other_desk.workspace.owner.headers)).status_code == 404
    await set_plan(workspace.kernel, workspace.tenant, "starter")
    desk.forget()
    for method, path, body in writes:
        refused = await desk.client.request(method, path, json=body, headers=workspace.owner.headers)
        assert faults(refused) == (403, "PLAN_REQUIRED", ["feature"])
    assert await definitions(desk, ana) == [view]
    assert await filled(desk, contact, ana) == {str(view["id"]): "alergia"}
    reader = await new_token(workspace.kernel, "api", workspace.tenant, workspace.owner.id, "read")
    await set_plan(workspace.kernel, workspace.tenant, "professional")
    assert (await desk.client.get(f"/v1/contacts/{contact}/custom-fields", headers=bearer(reader))).status_code == 200
    foreign = await desk.client.get(f"/v1/contacts/{contact}/custom-fields", headers=other_desk.workspace.owner.headers)
    assert foreign.status_code == 404


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("text", ["x" * 1000, "Olá 👋", "0"], ["x" * 1001, "a\0"]),
        ("number", ["0", "-12.50", "007", "9" * 30], ["1,5", "1e3", "abc", "+1", ".5", "5.", "NaN", "١٢", "1 2", "9" * 31]),
        ("date", ["2024-02-29", "0001-01-01"], ["2023-02-29", "20240229", "2024-2-9", "29/02/2024", "2024-W01-1", "2024-02-29T00:00:00Z"]),
        ("boolean", ["true", "false"], ["TRUE", "1", "yes", "True"]),
        ("select", ["Ouro", "Prata"], ["ouro", "Bronze", "Ouro, Prata"]),
    ],
)
async def test_a_value_is_of_its_fields_type(paying: Desk, kind: str, good: list[str], bad: list[str]) -> None:
    contact, view = (await paying.open())["contact"]["id"], await define(paying, "Campo", kind, **KINDS[kind])
    number = str(view["id"])
    for value in good:
        answer = await fill(paying, contact, {number: f" {value} " if len(value) < 999 else value})
        assert (answer.status_code, answer.json()["data"]) == (200, {"values": {number: value}}), value
    wrong: list[Any] = [*bad, 5, True, ["x"], {}]
    for value in wrong:
        status, _, (field,) = faults(await fill(paying, contact, {number: value}))
        assert (status, field) in ((422, f"values.{number}"), (422, "values.*")), value
    assert await filled(paying, contact) == {number: good[-1]}
    nothing: str | None
    for nothing in (None, "", "  "):
        await fill(paying, contact, {number: good[0]})
        assert (await fill(paying, contact, {number: nothing})).json()["data"] == {"values": {number: None}}
    assert await paying.workspace.rows(VALUES) == []


async def test_many_are_set_at_once_or_none(paying: Desk, other_desk: Desk) -> None:
    contact, workspace = (await paying.open())["contact"]["id"], paying.workspace
    note, age, tier = await define(paying, "Obs"), await define(paying, "Idade", "number"), await define(paying, "Dia", "date")
    await set_plan(other_desk.workspace.kernel, other_desk.workspace.tenant, "business")
    foreign = str((await define(other_desk, "Obs"))["id"])
    ids = [str(view["id"]) for view in (note, age, tier)]
    wrong = await fill(paying, contact, {ids[0]: "canary", ids[1]: "abc", ids[2]: "ontem"})
    assert faults(wrong) == (422, "VALIDATION_FAILED", [f"values.{one}" for one in ids[1:]])
    assert await filled(paying, contact) == dict.fromkeys(ids)
    unknown: dict[str, Any] = {foreign: "x", "7": "x", f"0{ids[1]}": "x", f" {ids[1]}": "x", f"{ids[1]}.0": "x", "": "x", "abc": None}
    await fill(paying, contact, {ids[0]: "canary", ids[1]: "41"})
    some = await fill(paying, contact, unknown | {ids[0]: "canary", ids[2]: "2024-01-31"})
    assert (some.status_code, some.json()["data"]["values"]) == (200, dict(zip(ids, ("canary", "41", "2024-01-31"), strict=True)))
    assert (await put(paying, f"/v1/contacts/{contact}/custom-fields", {})).status_code == 200
    for values in ({}, unknown):
        assert (await fill(paying, contact, values)).status_code == 200
    trail = await read_trail(paying.client, workspace, subject="contact", subject_id=contact)
    numbers = [view["id"] for view in (note, age, tier)]
    assert [(one["action"], one["before"], one["after"]) for one in trail] == [
        ("contact.custom_fields_changed", None, {"definition_ids": numbers[2:]}),
        ("contact.custom_fields_changed", None, {"definition_ids": numbers[:2]}),
    ]
    assert "canary" not in repr([fact.event for fact in await paying.log()])


@pytest.mark.parametrize("values", [None, [], "x", {"7": "x" * 1001}, {"7": 5}, {str(place): "x" for place in range(1001)}])
async def test_what_are_no_values_is_refused(paying: Desk, values: Any) -> None:
    contact = (await paying.open())["contact"]["id"]
    assert (await put(paying, f"/v1/contacts/{contact}/custom-fields", {"values": values})).status_code == 422


async def test_an_option_that_is_no_longer_offered_stays_where_it_was_chosen(paying: Desk) -> None:
    first, second = [(await paying.open(f"551198765000{place}"))["contact"]["id"] for place in range(2)]
    view = await define(paying, "Nível", "select", options=["Ouro", "Prata"])
    number = str(view["id"])
    await fill(paying, first, {number: "Ouro"})
    await put(paying, f"{PATH}/{view['id']}", {"options": ["Prata"]})
    assert await filled(paying, first) == {number: "Ouro"}
    assert ((await fill(paying, first, {number: "Ouro"})).status_code, (await fill(paying, second, {number: "Ouro"})).status_code) == (
        200,
        422,
    )
    await fill(paying, first, {number: "Prata"})
    assert (await fill(paying, first, {number: "Ouro"})).status_code == 422


async def test_a_deleted_field_takes_its_values_along_also_while_it_is_filled(paying: Desk) -> None:
    contact, owner = (await paying.open())["contact"]["id"], paying.workspace.owner
    kept, gone = await define(paying, "Obs"), await define(paying, "Idade")
    for round_ in range(3):
        await fill(paying, contact, {str(kept["id"]): f"fica {round_}", str(gone["id"]): "41"})
        delete = paying.client.delete(f"{PATH}/{gone['id']}", headers=owner.headers)
        writing = (fill(paying, contact, {str(gone["id"]): f"{age}"}) for age in range(3))
        answers = await asyncio.gather(*writing, delete)
        assert [answer.status_code for answer in answers] == [200, 200, 200, 204]
        assert await paying.workspace.rows(VALUES) == [{"contact_id": contact, "field_id": kept["id"], "value": f"fica {round_}"}]
        gone = await define(paying, "Idade")


async def test_an_order_is_kept_by_those_that_are_missing(paying: Desk, other_desk: Desk) -> None:
    a, b, c, d = [(await define(paying, name))["id"] for name in "abcd"]
    await set_plan(other_desk.workspace.kernel, other_desk.workspace.tenant, "business")
    foreign = (await define(other_desk, "x"))["id"]
    for ids, order in (
        ([d, c, b, a], [d, c, b, a]),
        ([a, d], [a, c, b, d]),
        ([foreign, b, 2**52, -1, a, b], [b, c, a, d]),
        ([], [b, c, a, d]),
        ([foreign], [b, c, a, d]),
    ):
        answer = await paying.client.post(f"{PATH}/reorder", json={"ids": ids}, headers=paying.workspace.owner.headers)
        assert (answer.status_code, [(one["id"], one["position"]) for one in answer.json()["data"]]) == (
            200,
            [*zip(order, range(4), strict=True)],
        )
        assert await definitions(paying) == answer.json()["data"]
    assert [one["position"] for one in await definitions(other_desk)] == [0]
    trail = await read_trail(paying.client, paying.workspace, action="custom_field.reordered")
    assert len(trail) == 3
    assert (trail[0]["before"], trail[0]["after"]) == ({"ids": [a, c, b, d]}, {"ids": [b, c, a, d]})
    for wrong in ({"ids": "abc"}, {"ids": [1.5]}, {"ids": ["1"]}, {"ids": [True]}, {"ids": None}, {"ids": [1] * 1001}):
        assert (await paying.client.post(f"{PATH}/reorder", json=wrong, headers=paying.workspace.owner.headers)).status_code == 422


async def test_orders_given_at_the_same_moment_leave_every_field_in_one_place(paying: Desk) -> None:
    dice, owner = random.Random(7), paying.workspace.owner
    ids = [(await define(paying, name))["id"] for name in "abcdef"]
    orders = [dice.sample(ids, dice.randint(2, 6)) for _ in range(12)]
    moves = [paying.client.post(f"{PATH}/reorder", json={"ids": order}, headers=owner.headers) for order in orders]
    grown = [paying.client.post(PATH, json={"name": f"new {place}", "type": "text"}, headers=owner.headers) for place in range(3)]
    answers = await asyncio.gather(*moves, *grown)
    assert {answer.status_code for answer in answers} == {200, 201}
    assert [one["position"] for one in await definitions(paying)] == list(range(9))


async def test_there_is_an_end_to_them(paying: Desk) -> None:
    await paying.workspace.rows(FILL)
    await define(paying, "the last")
    full = await paying.client.post(PATH, json={"name": "more", "type": "text"}, headers=paying.workspace.owner.headers)
    assert (full.status_code, full.json()["errors"][0]["code"]) == (409, "CONFLICT")


async def test_a_name_is_had_once(paying: Desk, client: AsyncClient) -> None:
    body = {"name": "Obs", "type": "text"}
    answers = await asyncio.gather(*(client.post(PATH, json=body, headers=paying.workspace.owner.headers) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422, 422]


async def test_what_was_known_of_either_of_two_that_are_one_stays_and_an_erased_one_is_forgotten(paying: Desk) -> None:
    first, second, both = await two_of_one(paying)
    contacts = [(await paying.show(number))["contact"]["id"] for number in (first, second)]
    shared, own = [str((await define(paying, name))["id"]) for name in ("Obs", "Idade")]
    await fill(paying, contacts[0], {shared: "primeiro"})
    await fill(paying, contacts[1], {shared: "segundo", own: "41"})
    await paying.hear(named(both))
    stays = (await paying.only())["contact"]["id"]
    said = "primeiro" if stays == contacts[0] else "segundo"
    assert await filled(paying, stays) == {shared: said, own: "41"}
    (merged,) = set(contacts) - {stays}
    assert (await fill(paying, merged, {own: "42"})).status_code == 404
    writing = [fill(paying, stays, {own: f"{age}"}) for age in range(4)]
    erasing = paying.client.post(f"/v1/contacts/{stays}/erase", headers=paying.workspace.owner.headers)
    *answers, erased = await asyncio.gather(*writing, erasing)
    assert erased.status_code == 200
    assert {answer.status_code for answer in answers} <= {200, 410}
    assert await paying.workspace.rows(VALUES) == []
    assert (await fill(paying, stays, {own: "42"})).status_code == 410
