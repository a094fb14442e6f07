"""The rules over HTTP: made, changed, deleted, refused, previewed."""

import asyncio
from typing import Any

import pytest

from plixa.contacts.commands.labels import CreateLabel, create_label, delete_label
from plixa.kernel.uow import perform, working
from tests.automation.reception import ALWAYS, Reception
from tests.identity.people import entries
from tests.identity.tokens import set_plan
from tests.support.world import Member, Workspace

CURSORS = "SELECT id, cursor_member_id FROM assignment_rule WHERE tenant_id = $1 ORDER BY id"


async def new_label(workspace: Workspace, name: str = "VIP") -> int:
    async with working(workspace.kernel, workspace.tenant, workspace.owner.actor) as uow:
        return (await perform(uow, lambda: create_label(uow, CreateLabel(name)))).id


async def test_rules_are_listed_to_everybody_in_the_order_in_which_they_run(reception: Reception, ana: Member) -> None:
    label = await new_label(reception.workspace)
    third = await reception.rule(priority=20)
    first = await reception.rule(priority=1, condition_type="keyword", condition_value=" Reembolso ", action_type="least_busy")
    fourth = await reception.rule(priority=20, action_type="assign_user", action_user_id=ana.id, is_active=False)
    second = await reception.rule(priority=2, condition_type="label", condition_value=str(label))
    answer = await reception.call("GET", member=ana)
    assert answer.json()["data"] == [first, second, third, fourth]
    assert (first["condition_value"], first["label"], first["action_user"], first["is_active"]) == ("Reembolso", None, None, True)
    assert (second["condition_value"], second["label"]["name"]) == (str(label), "VIP")
    assert (fourth["action_user"], fourth["is_active"]) == ({"id": ana.id, "name": "Ana"}, False)


async def test_a_change_is_partial_and_leaves_one_entry_or_none(reception: Reception, ana: Member) -> None:
    rule = await reception.rule(condition_type="keyword", condition_value="oi", action_type="assign_user", action_user_id=ana.id)
    place = f"/{rule['id']}"
    for changes, expected in (
        ({"priority": 5}, {"priority": 5}),
        ({"is_active": False}, {"is_active": False}),
        ({"condition_value": "olá"}, {"condition_value": "olá"}),
        ({"condition_type": "always"}, {"condition_type": "always", "condition_value": None}),
        ({"action_type": "round_robin", "action_user_id": ana.id}, {"action_type": "round_robin", "action_user": None}),
        ({}, {}),
        ({"priority": 5}, {}),
    ):
        answer = await reception.call("PUT", place, json=changes)
        rule |= expected
        assert (answer.status_code, answer.json()["data"]) == (200, rule)
    assert (await reception.call("DELETE", place)).status_code == 204
    assert (await reception.call("GET")).json()["data"] == []
    told = [(entry.action, entry.before, entry.after) for _, entry in await entries(reception.workspace.kernel, reception.workspace.tenant)]
    assert [action for action, _, _ in told[1:]] == ["assignment_rule.created", *["assignment_rule.updated"] * 5, "assignment_rule.deleted"]
    assert told[2] == ("assignment_rule.updated", {"priority": 10}, {"priority": 5})
    assert told[6][1:] == ({"action_type": "assign_user", "action_user_id": ana.id}, {"action_type": "round_robin", "action_user_id": None})


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"priority": -1}, "priority"),
        ({"priority": "first"}, "priority"),
        ({"condition_type": "never"}, "condition_type"),
        ({"condition_type": "keyword"}, "condition_value"),
        ({"condition_type": "keyword", "condition_value": " ?! "}, "condition_value"),
        ({"condition_type": "keyword", "condition_value": "x" * 256}, "condition_value"),
        ({"condition_type": "label"}, "condition_value"),
        ({"condition_type": "label", "condition_value": "VIP"}, "condition_value"),
        ({"action_type": "assign_user"}, "action_user_id"),
        ({"action_type": "nobody"}, "action_type"),
        ({"is_active": None}, "is_active"),
    ],
)
async def test_what_is_malformed_is_refused_by_its_field(reception: Reception, wrong: dict[str, Any], field: str) -> None:
    answer = await reception.call("POST", json=ALWAYS | wrong)
    assert (answer.status_code, answer.json()["errors"][0]["details"].keys()) == (422, {field})
    rule = await reception.rule()
    answer = await reception.call("PUT", f"/{rule['id']}", json=wrong)
    assert (answer.status_code, answer.json()["errors"][0]["details"].keys()) == (422, {field})
    assert (await reception.call("GET")).json()["data"] == [rule]


async def test_what_is_another_workspaces_is_not_there(reception: Reception, other_tenant: Workspace) -> None:
    await set_plan(other_tenant.kernel, other_tenant.tenant, "business")
    rule, label = await reception.rule(), await new_label(other_tenant)
    stranger = other_tenant.owner
    for foreign in (
        {"action_type": "assign_user", "action_user_id": stranger.id},
        {"condition_type": "label", "condition_value": str(label)},
    ):
        assert (await reception.call("POST", json=ALWAYS | foreign)).status_code == 404
        assert (await reception.call("PUT", f"/{rule['id']}", json=foreign)).status_code == 404
    assert (await reception.call("POST", "/preview", json={"label_id": label})).status_code == 404
    assert (await reception.call("GET", member=stranger)).json()["data"] == []
    for method in ("PUT", "DELETE"):
        more = {"json": {"priority": 1}} if method == "PUT" else {}
        assert (await reception.call(method, f"/{rule['id']}", member=stranger, **more)).status_code == 404
    assert (await reception.call("GET")).json()["data"] == [rule]


async def test_agents_and_plans_without_it_change_nothing_and_rules_stay(reception: Reception, ana: Member) -> None:
    rule = await reception.rule()
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "", {"json": ALWAYS}),
        ("PUT", f"/{rule['id']}", {"json": {"priority": 1}}),
        ("POST", "/preview", {"json": {}}),
        ("DELETE", f"/{rule['id']}", {}),
    ]
    for method, path, more in calls:
        answer = await reception.call(method, path, member=ana, **more)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "FORBIDDEN")
    await set_plan(reception.workspace.kernel, reception.workspace.tenant, "starter")
    reception.app.state.gatekeeper.forget()
    for method, path, more in calls:
        answer = await reception.call(method, path, **more)
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["code"], error["details"]) == (403, "PLAN_REQUIRED", {"feature": "auto_assignment"})
    for member in (None, ana):
        assert (await reception.call("GET", member=member)).json()["data"] == [rule]


async def test_a_workspace_has_a_hundred_rules(reception: Reception) -> None:
    await asyncio.gather(*(reception.rule(priority=number) for number in range(100)))
    answer = await reception.call("POST", json=ALWAYS)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "CONFLICT")


async def test_a_label_or_member_that_goes_leaves_a_rule_that_finds_nobody(reception: Reception, ana: Member) -> None:
    label = await new_label(reception.workspace)
    labelled = await reception.rule(condition_type="label", condition_value=str(label))
    named = await reception.rule(priority=11, action_type="assign_user", action_user_id=ana.id)
    async with working(reception.workspace.kernel, reception.workspace.tenant) as uow:
        await perform(uow, lambda: delete_label(uow, label))
    answer = await reception.client.delete(f"/v1/team/members/{ana.id}", headers=reception.workspace.owner.headers)
    assert answer.status_code == 204
    kept = (await reception.call("GET")).json()["data"]
    assert kept == [labelled | {"condition_value": None, "label": None}, named | {"action_user": None}]
    assert (await reception.preview())["reason"] == f"nobody eligible for rule {named['id']}"
    for rule in kept:
        answer = await reception.call("PUT", f"/{rule['id']}", json={"is_active": False})
        assert (answer.status_code, answer.json()["data"]["is_active"]) == (200, False)


async def test_a_preview_tells_the_rule_the_candidates_and_changes_nothing(
    reception: Reception, ana: Member, bia: Member, caio: Member
) -> None:
    assert await reception.preview() == {
        "matched": False,
        "rule": None,
        "action_type": None,
        "user": None,
        "reason": "no rule matched",
        "candidates": [],
    }
    label = await new_label(reception.workspace)
    named = await reception.rule(
        priority=1, condition_type="keyword", condition_value="reembolso", action_type="assign_user", action_user_id=ana.id
    )
    round_robin = await reception.rule(priority=2, condition_type="label", condition_value=str(label))
    await reception.available(ana, bia)
    await reception.away(ana)
    await reception.say(caio, is_available=False)
    before = await reception.workspace.rows(CURSORS)

    told = await reception.preview(message="Quero um REEMBOLSO já")
    assert (told["matched"], told["rule"], told["action_type"], told["user"]) == (True, named, "assign_user", None)
    assert told["reason"] == f"nobody eligible for rule {named['id']}"
    assert told["candidates"] == [{"user": {"id": ana.id, "name": "Ana"}, "eligible": False, "reason": "away"}]

    for _ in range(20):
        told = await reception.preview(message="reembolso", label_id=label)
        assert (told["rule"], told["user"]) == (round_robin, {"id": bia.id, "name": "Bia"})
    assert told["reason"] == f"rule {round_robin['id']}, round robin: Bia"
    assert [(one["user"]["name"], one["eligible"], one["reason"]) for one in told["candidates"]] == [
        ("Lucia", False, "never said to be available"),
        ("Ana", False, "away"),
        ("Bia", True, None),
        ("Caio", False, "not available"),
    ]
    assert await reception.workspace.rows(CURSORS) == before
    trail = await entries(reception.workspace.kernel, reception.workspace.tenant)
    assert len(trail) == 5, "registered, label, two rules, Caio"
    assert await reception.assigned() == []


async def test_a_preview_needs_no_body_and_bounds_it(reception: Reception) -> None:
    assert (await reception.call("POST", "/preview")).status_code == 200
    assert (await reception.preview(message=None, label_id=None))["matched"] is False
    wrong: Any
    for wrong in ({"message": "x" * 10_001}, {"label_id": 0}, {"label_id": "VIP"}, {"message": 1}, []):
        assert (await reception.call("POST", "/preview", json=wrong)).status_code == 422
