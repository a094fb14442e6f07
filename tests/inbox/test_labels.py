"""Labels on conversations: pinned once by whoever sees them, counted, and gone with the label."""

import asyncio
from typing import Any

from httpx import Response

from tests.identity.people import bearer
from tests.identity.tokens import new_token, set_plan
from tests.inbox.desk import Desk
from tests.support.effects import do_effects
from tests.support.trail import read_trail
from tests.support.world import Member

RESTRICT = "UPDATE tenant SET agent_restricted = true WHERE tenant_id = $1 RETURNING tenant_id"


async def pin(desk: Desk, number: int, label: int, member: Member | None = None, method: str = "POST") -> Response:
    return await desk.call(method, f"/{number}/labels/{label}", member)


async def counts(desk: Desk, member: Member | None = None) -> dict[str, Any]:
    """How many conversations carry each label, by its name."""
    answer = await desk.client.get("/v1/labels", headers=(member or desk.workspace.owner).headers)
    return {one["name"]: one["conversations_count"] for one in answer.json()["data"]}


async def test_any_member_pins_one_once_and_takes_it_off(desk: Desk, ana: Member) -> None:
    number, label = (await desk.open())["id"], await desk.label("VIP")
    answers = await asyncio.gather(*(pin(desk, number, label, ana) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    shown = await desk.show(number)
    assert [answer.json()["data"] for answer in answers] == [shown] * 5
    assert shown["labels"] == [{"id": label, "name": "VIP", "color": "#aa3300"}]
    assert (await desk.events(number))[2:] == ["conversation.labelled"]
    for _ in range(2):
        assert (await pin(desk, number, label, ana, "DELETE")).status_code == 204
    assert ((await desk.show(number))["labels"], (await desk.events(number))[3:]) == ([], ["conversation.unlabelled"])
    trail = await read_trail(desk.client, desk.workspace, subject="conversation", subject_id=number)
    assert [(one["action"], one["actor"]["name"], one["before"], one["after"]) for one in trail][::-1] == [
        ("conversation.labelled", "Ana", {"labels": []}, {"labels": [label]}),
        ("conversation.unlabelled", "Ana", {"labels": [label]}, {"labels": []}),
    ]


async def test_what_is_not_of_this_workspace_does_not_exist(desk: Desk, other_desk: Desk) -> None:
    number, label = (await desk.open())["id"], await desk.label("VIP")
    theirs, foreign = (await other_desk.open())["id"], await other_desk.label("VIP")
    for method in ("POST", "DELETE"):
        for one, other in ((number, foreign), (theirs, label), (theirs, foreign), (number, 2**52), (2**52, label), (number, 0)):
            assert (await pin(desk, one, other, method=method)).status_code == 404, (method, one, other)
    assert len(await desk.events(number)) == len(await other_desk.events(theirs)) == 2


async def test_a_token_that_may_write_pins_too(desk: Desk) -> None:
    workspace, number, label = desk.workspace, (await desk.open())["id"], await desk.label("VIP")
    await set_plan(workspace.kernel, workspace.tenant, "professional")
    for ability, pinned, taken in (("read", 403, 403), ("write", 200, 204)):
        token = await new_token(workspace.kernel, "api", workspace.tenant, workspace.owner.id, ability)
        for method, status in (("POST", pinned), ("DELETE", taken)):
            place = f"/v1/conversations/{number}/labels/{label}"
            assert (await desk.client.request(method, place, headers=bearer(token))).status_code == status
    assert (await desk.events(number))[2:] == ["conversation.labelled", "conversation.unlabelled"]


async def test_restricted_agents_pin_what_they_see_and_count_nothing(desk: Desk, ana: Member) -> None:
    mine, hidden = (await desk.open())["id"], (await desk.open("5511900000001"))["id"]
    await desk.do("PATCH", f"/{hidden}", json={"assigned_user_id": desk.workspace.owner.id})
    label = await desk.label("VIP")
    await desk.workspace.rows(RESTRICT)
    desk.forget()
    assert (await pin(desk, mine, label, ana)).status_code == 200
    for method in ("POST", "DELETE"):
        assert (await pin(desk, hidden, label, ana, method)).status_code == 404
    assert (await counts(desk, ana), await counts(desk)) == ({"VIP": None}, {"VIP": 1})


async def test_conversations_are_counted_whatever_state_they_are_in(desk: Desk) -> None:
    numbers = [(await desk.open(f"551198765000{place}"))["id"] for place in range(4)]
    label = await desk.label("VIP")
    await desk.label("Lead")
    for number in numbers:
        await pin(desk, number, label)
    await desk.do("POST", f"/{numbers[0]}/close")
    await desk.do("POST", f"/{numbers[1]}/snooze", json={"until": "2027-01-05T10:00:00Z"})
    assert (await counts(desk), (await desk.do("GET", "/counts"))["by_label"]) == ({"Lead": 0, "VIP": 4}, {str(label): 2})
    await desk.do("DELETE", f"/{numbers[0]}")
    await pin(desk, numbers[1], label, method="DELETE")
    assert await counts(desk) == {"Lead": 0, "VIP": 2}


async def test_a_deleted_label_is_off_every_conversation_and_their_history_keeps_it(desk: Desk) -> None:
    numbers = [(await desk.open(f"551198765000{place}"))["id"] for place in range(3)]
    gone, kept = await desk.label("VIP"), await desk.label("Lead")
    for number in numbers:
        await pin(desk, number, gone)
    await pin(desk, numbers[0], kept)
    await desk.do("POST", f"/{numbers[2]}/close")
    assert (await desk.client.delete(f"/v1/labels/{gone}", headers=desk.workspace.owner.headers)).status_code == 204
    assert [[one["id"] for one in (await desk.show(number))["labels"]] for number in numbers] == [[kept], [], []]
    assert (await pin(desk, numbers[1], gone)).status_code == 404
    assert await do_effects(desk.workspace, "inbox.drop_label") == 1
    assert await desk.all(label_id=gone, status="all") == []
    assert (await desk.do("GET", "/counts"))["by_label"] == {str(kept): 1}
    assert [[one["id"] for one in (await desk.show(number))["labels"]] for number in numbers] == [[kept], [], []]
    for number in numbers:
        last = (await desk.do("GET", f"/{number}/events"))[0]
        assert (last["type"], last["actor"]["name"]) == ("conversation.unlabelled", "Lucia")
        assert "conversation.labelled" in await desk.events(number)
    assert await desk.is_sound()


async def test_pinning_while_it_is_deleted_leaves_nothing_behind(desk: Desk) -> None:
    number = (await desk.open())["id"]
    for round_ in range(4):
        label = await desk.label(f"round {round_}")
        delete = desk.client.delete(f"/v1/labels/{label}", headers=desk.workspace.owner.headers)
        bulk = desk.call("POST", "/bulk", json={"action": "add_label", "ids": [number], "label_id": label})
        *pinned, deleted = await asyncio.gather(pin(desk, number, label), bulk, pin(desk, number, label), delete)
        assert deleted.status_code == 204
        assert {answer.status_code for answer in pinned} <= {200, 404}
    await do_effects(desk.workspace, "inbox.drop_label")
    (row,) = await desk.workspace.rows("SELECT labels::text FROM inbox_conversation WHERE tenant_id = $1")
    assert row["labels"] == "[]"
