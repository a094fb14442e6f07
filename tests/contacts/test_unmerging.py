"""Two contacts are made one, found out to be one, and parted again: what each brought along goes back."""

from typing import Any

import pytest

from plixa.kernel.rebuild import rebuild
from plixa.kernel.settings import Settings
from projections.registry import INLINE
from tests.contacts.directory import add, ask, do, found, get, refused
from tests.identity.tokens import set_plan
from tests.inbox.desk import Desk, stamp
from tests.inbox.test_arrivals import named, two_of_one
from tests.inbox.test_erasing import read_models
from tests.support.numbers import connect_number
from tests.support.trail import read_trail
from tests.whatsapp import webhooks

FIRST, SECOND = "5511987654321", "5521912345678"
TABLES = ("contact", "contact_alias", "contact_label", "custom_field_value", "stream_key")
SHOWN = ("id", "status", "contact", "contact_name", "unread_count", "labels", "notes", "last_message")


@pytest.fixture
async def elsewhere(desk: Desk, settings: Settings) -> Desk:
    """The same workspace at its second number."""
    await set_plan(desk.workspace.kernel, desk.workspace.tenant, "professional")
    desk.forget()
    return Desk(desk.workspace, await connect_number(settings, desk.workspace), desk.client, desk.app)


async def rows(desk: Desk) -> list[str]:
    """Everything the tables of contacts hold, and the inbox shows."""
    queries = [f"SELECT t::text AS row FROM {table} t WHERE tenant_id = $1 ORDER BY 1" for table in TABLES]
    held = [row["row"] for query in queries for row in await desk.workspace.rows(query)]
    return held + [repr([one[name] for name in SHOWN]) for one in await desk.all(status="all")]


async def two(desk: Desk, elsewhere: Desk) -> tuple[int, int]:
    """Two contacts that write to different numbers, with labels, fields and notes of their own and in common."""
    kept, gone = (await desk.open(FIRST, name=""))["contact"]["id"], (await elsewhere.open(SECOND, name="Caio"))["contact"]["id"]
    shared, own = await desk.label("VIP"), await desk.label("Lead")
    fields = []
    for name in ("Nível", "Cidade"):
        answer = await desk.client.post(
            "/v1/custom-field-definitions", json={"name": name, "type": "text"}, headers=desk.workspace.owner.headers
        )
        fields.append(str(answer.json()["data"]["id"]))
    for contact, labels, values in ((kept, [shared], {fields[0]: "a"}), (gone, [shared, own], {fields[0]: "b", fields[1]: "c"})):
        for label in labels:
            await do(desk, "POST", f"/{contact}/labels/{label}")
        await do(desk, "PUT", f"/{contact}/custom-fields", {"values": values})
    await do(desk, "PATCH", f"/{kept}", {"notes": "prefere manhã"})
    await do(desk, "PATCH", f"/{gone}", {"notes": "paga em dinheiro"})
    await do(desk, "POST", f"/{gone}/opt-out", {"reason": "complaint"})
    return kept, gone


async def test_merging_and_undoing_leaves_every_row_as_it_was(desk: Desk, elsewhere: Desk, settings: Settings) -> None:
    kept, gone = await two(desk, elsewhere)
    before = await rows(desk)
    merged = await do(desk, "POST", f"/{gone}/merge", {"into": kept})
    expected = {"id": kept, "contact_name": "Caio", "notes": "prefere manhã\n\npaga em dinheiro", "opted_out": True}
    assert merged | expected | {"conversations_count": 2} == merged
    assert ([one["name"] for one in merged["labels"]], [one["value"] for one in merged["custom_fields"]]) == (["Lead", "VIP"], ["a", "c"])
    assert [(one["contact_id"], one["can_be_undone"], one["by"]["id"]) for one in merged["merges"]] == [
        (gone, True, desk.workspace.owner.id)
    ]
    assert {one["contact"]["id"] for one in await desk.all()} == {kept}
    assert (await found(desk), (await get(desk, "/lookup", phone=SECOND))["id"]) == ([kept], kept)
    for method, path in (("GET", ""), ("PATCH", ""), ("POST", "/block")):
        assert refused(await ask(desk, method, f"/{gone}{path}", json={})) == (404, "NOT_FOUND")
    shown = await do(desk, "POST", f"/{gone}/unmerge")
    assert (shown["id"], shown["contact_name"], shown["opted_out"]) == (gone, "Caio", True)
    assert (await rows(desk), await found(desk)) == (before, [gone, kept])
    assert refused(await ask(desk, "POST", f"/{gone}/unmerge")) == (409, "NOT_MERGED")
    told = [(one["action"], one["before"], one["after"]) for one in await read_trail(desk.client, desk.workspace, subject_id=gone)]
    assert [one for one in told if "merged" in one[0]] == [
        ("contact.unmerged", {"into": kept}, None),
        ("contact.merged", None, {"into": kept}),
    ]
    incremental = await read_models(desk)
    await rebuild(settings, INLINE, desk.workspace.tenant)
    assert await read_models(desk) == incremental
    assert await desk.is_sound()
    # Both write on where they were.
    await desk.hear(webhooks.text(desk.chat(FIRST), stamp()))
    await elsewhere.hear(webhooks.text(elsewhere.chat(SECOND), stamp()))
    assert {one["contact"]["id"]: one["unread_count"] for one in await desk.all()} == {kept: 2, gone: 2}


async def test_what_was_changed_since_stays_as_it_was_changed(desk: Desk, elsewhere: Desk) -> None:
    kept, gone = await two(desk, elsewhere)
    merged = await do(desk, "POST", f"/{gone}/merge", {"into": kept})
    vip = next(one["id"] for one in merged["labels"] if one["name"] == "VIP")
    city = next(one["definition_id"] for one in merged["custom_fields"] if one["name"] == "Cidade")
    await do(desk, "PATCH", f"/{kept}", {"contact_name": "Caio Lima"})
    await do(desk, "PUT", f"/{kept}/custom-fields", {"values": {str(city): "d"}})
    await do(desk, "DELETE", f"/{kept}/labels/{vip}")
    await do(desk, "POST", f"/{gone}/unmerge")
    shown, back = await get(desk, f"/{kept}"), await get(desk, f"/{gone}")
    assert (shown["contact_name"], shown["notes"], shown["opted_out"], shown["labels"]) == ("Caio Lima", "prefere manhã", False, [])
    assert [one["value"] for one in shown["custom_fields"]] == ["a", "d"]
    assert ([one["name"] for one in back["labels"]], [one["value"] for one in back["custom_fields"]]) == (["Lead", "VIP"], ["b", "c"])


async def test_conversations_that_became_one_cannot_be_parted(desk: Desk) -> None:
    kept, gone = (await desk.open(FIRST))["contact"]["id"], (await desk.open(SECOND))["contact"]["id"]
    merged = await do(desk, "POST", f"/{gone}/merge", {"into": kept})
    assert [one["can_be_undone"] for one in merged["merges"]] == [False]
    refusal = await ask(desk, "POST", f"/{gone}/unmerge")
    assert refused(refusal) == (409, "MERGE_NOT_UNDOABLE")
    assert "joined into one" in refusal.json()["errors"][0]["message"]
    await desk.do("DELETE", f"/{(await desk.only())['id']}")
    assert (await do(desk, "POST", f"/{gone}/unmerge"))["contact_phone"] == SECOND


async def test_a_conversation_that_took_in_another_since_cannot_go_back(desk: Desk, elsewhere: Desk) -> None:
    kept, gone = (await desk.open(FIRST))["contact"]["id"], (await elsewhere.open(SECOND))["contact"]["id"]
    third = (await elsewhere.open("5531900001111"))["contact"]["id"]
    await do(desk, "POST", f"/{gone}/merge", {"into": kept})
    await do(desk, "POST", f"/{third}/merge", {"into": kept})
    assert refused(await ask(desk, "POST", f"/{gone}/unmerge")) == (409, "MERGE_NOT_UNDOABLE")


async def test_mergers_are_undone_from_the_last_to_the_first(desk: Desk) -> None:
    first, second, third = [(await add(desk, phone, name))["id"] for phone, name in ((FIRST, "A"), (SECOND, "B"), ("5531900001111", "C"))]
    before = await rows(desk)
    await do(desk, "POST", f"/{first}/merge", {"into": second})
    await do(desk, "POST", f"/{second}/merge", {"into": third})
    assert (await get(desk, "/lookup", phone=FIRST))["id"] == third
    assert refused(await ask(desk, "POST", f"/{first}/unmerge")) == (409, "MERGE_NOT_UNDOABLE")
    await do(desk, "POST", f"/{second}/unmerge")
    assert (await get(desk, "/lookup", phone=FIRST))["id"] == second
    await do(desk, "POST", f"/{first}/unmerge")
    assert await rows(desk) == before


async def test_what_was_found_out_by_itself_and_undone_does_not_happen_again(desk: Desk, elsewhere: Desk) -> None:
    lid = "84000000000009"
    hidden: dict[str, Any] = await elsewhere.open(phone=None, lid=lid, name="Caio")  # type: ignore[arg-type]
    known = await desk.open(FIRST, name="Caio")
    before = await rows(desk)
    both = desk.chat(FIRST, lid=lid, name="Caio", version="2.3.6")
    await desk.hear(named(both))
    assert {one["contact"]["id"] for one in await desk.all()} == {known["contact"]["id"]}
    (merge,) = (await get(desk, f"/{known['contact']['id']}"))["merges"]
    assert (merge["contact_id"], merge["can_be_undone"], merge["by"]["type"]) == (hidden["contact"]["id"], True, "gateway")
    await do(desk, "POST", f"/{merge['contact_id']}/unmerge")
    assert await rows(desk) == before
    await desk.hear(named(both), webhooks.text(both, stamp()))
    assert {one["id"]: one["contact"]["id"] for one in await desk.all()} == {one["id"]: one["contact"]["id"] for one in (hidden, known)}
    assert (await desk.show(known["id"]))["unread_count"] == 2


async def test_automatic_mergers_on_one_number_are_told_as_final(desk: Desk) -> None:
    _, _, both = await two_of_one(desk)
    await desk.hear(named(both))
    shown = await get(desk, f"/{(await desk.only())['contact']['id']}")
    assert [one["can_be_undone"] for one in shown["merges"]] == [False]


async def test_merging_needs_two_that_are_there(desk: Desk, other_desk: Desk) -> None:
    mine, foreign = (await add(desk))["id"], (await add(other_desk))["id"]
    assert (await ask(desk, "POST", f"/{mine}/merge", json={"into": mine})).status_code == 422
    for into in (foreign, 2**52):
        assert refused(await ask(desk, "POST", f"/{mine}/merge", json={"into": into})) == (404, "NOT_FOUND")
    assert refused(await ask(desk, "POST", f"/{mine}/unmerge")) == (409, "NOT_MERGED")
    assert await found(desk) == [mine]


async def test_erasing_forgets_what_mergers_kept(desk: Desk, elsewhere: Desk) -> None:
    kept, gone = await two(desk, elsewhere)
    await do(desk, "POST", f"/{gone}/merge", {"into": kept})
    await do(desk, "POST", f"/{kept}/erase")
    assert await desk.workspace.rows("SELECT id FROM contact_merge WHERE tenant_id = $1") == []
    assert refused(await ask(desk, "POST", f"/{gone}/unmerge")) == (410, "ERASED")
