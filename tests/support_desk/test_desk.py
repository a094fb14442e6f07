"""Tickets as staff have them: the queue of all workspaces, and everything that can be done with one."""

from typing import Any

import pytest

from plixa.kernel.audit import PLATFORM
from tests.backoffice.crew import Staff, codes
from tests.identity.tokens import set_plan
from tests.support.trail import follow_log
from tests.support.world import Workspace
from tests.support_desk.counter_side import Counter

ENTRIES = """SELECT action, actor_type, actor_id, before::text, after::text, address, agent FROM audit_entry
WHERE tenant_id = $1 AND subject = 'ticket' AND subject_id = $2 ORDER BY id"""


async def queue(staff: Staff, counter: Counter, **query: Any) -> list[int]:
    """The tickets of this workspace that a query finds, newest first."""
    found = await staff.do("GET", "/support/tickets", params={"tenant_id": counter.workspace.tenant, **query})
    return [one["id"] for one in found]


async def test_a_ticket_in_full(counter: Counter, bruna: Staff) -> None:
    await set_plan(counter.workspace.kernel, counter.workspace.tenant, "professional")
    number = await counter.open("The app is slow", "Since Monday.")
    await bruna.do("POST", f"/support/tickets/{number}/messages", json={"body": "A known fault", "internal": True})
    shown = await bruna.do("GET", f"/support/tickets/{number}")
    owner = counter.workspace.owner
    assert shown["tenant"] == {"id": counter.workspace.tenant, "name": "Lúcia Studios", "plan": "professional"}
    assert shown["opener"] == {"id": owner.id, "name": "Lucia", "email": owner.email}
    assert (shown["priority"], shown["assigned_admin"], shown["tags"], shown["status"]) == ("normal", None, [], "open")
    assert [(one["body"], one["internal"], one["author"]["name"]) for one in shown["messages"]] == [
        ("Since Monday.", False, "Lucia"),
        ("A known fault", True, "Bruna"),
    ]
    assert (shown["first_response_seconds"], shown["resolution_seconds"], shown["unread"]) == (None, None, 1)


@pytest.mark.parametrize("status", ["pending", "solved", "closed"])
async def test_every_way_out_of_open_is_open(counter: Counter, bruna: Staff, status: str) -> None:
    number = await counter.open()
    moved = await bruna.do("POST", f"/support/tickets/{number}/status", json={"status": status})
    assert (moved["status"], moved["resolution_seconds"] is None) == (status, status == "pending")
    assert (await counter.do("GET", f"/{number}"))["status"] == status


async def test_out_of_closed_leads_only_reopening(counter: Counter, bruna: Staff) -> None:
    number = await counter.open()
    path = f"/support/tickets/{number}"
    assert (await bruna.do("POST", f"{path}/close"))["status"] == "closed"
    for status in ("open", "pending", "solved"):
        assert codes(await bruna.call("POST", f"{path}/status", json={"status": status})) == (409, "TICKET_CLOSED")
    assert codes(await bruna.call("POST", f"{path}/messages", json={"body": "One more thing"})) == (409, "TICKET_CLOSED")
    assert (await bruna.do("POST", f"{path}/messages", json={"body": "For us", "internal": True}))["status"] == "closed"
    assert (await bruna.do("POST", f"{path}/reopen"))["status"] == "open"
    answered = await bruna.do("POST", f"{path}/messages", json={"body": "Done", "status": "solved"})
    assert (answered["status"], answered["first_response_seconds"], answered["resolution_seconds"]) == ("solved", 0, 0)


async def test_a_ticket_is_given_ranked_and_tagged(counter: Counter, bruna: Staff, caio: Staff) -> None:
    number = await counter.open()
    path = f"/support/tickets/{number}"
    tags = [await bruna.do("POST", "/support/tags", json={"name": f"{name} {number}"}) for name in ("Zeta", "alpha")]
    assert {"id": caio.id, "name": "Caio", "email": caio.email} in await bruna.do("GET", "/support/staff")
    assert (await bruna.do("POST", f"{path}/assign", json={"admin_id": caio.id}))["assigned_admin"] == {"id": caio.id, "name": "Caio"}
    assert (await bruna.do("POST", f"{path}/priority", json={"priority": "urgent"}))["priority"] == "urgent"
    tagged = await bruna.do("PUT", f"{path}/tags", json={"tag_ids": [one["id"] for one in tags]})
    assert [one["name"] for one in tagged["tags"]] == [f"alpha {number}", f"Zeta {number}"]
    assert (await bruna.do("POST", f"{path}/assign", json={"admin_id": None}))["assigned_admin"] is None
    assert [one["id"] for one in (await bruna.do("PUT", f"{path}/tags", json={"tag_ids": [tags[0]["id"]]}))["tags"]] == [tags[0]["id"]]
    counts = {one["id"]: one["tickets_count"] for one in await bruna.do("GET", "/support/tags")}
    assert [counts[one["id"]] for one in tags] == [1, 0]


async def test_every_deed_is_an_entry_with_both_sides_of_the_change(counter: Counter, bruna: Staff) -> None:
    number = await counter.open()
    path = f"/support/tickets/{number}"
    tag = (await bruna.do("POST", "/support/tags", json={"name": f"Entry {number}"}))["id"]
    await bruna.do("POST", f"{path}/assign", json={"admin_id": bruna.id})
    for _ in range(2):
        await bruna.do("POST", f"{path}/priority", json={"priority": "high"}, headers={"User-Agent": "a browser"})
    await bruna.do("PUT", f"{path}/tags", json={"tag_ids": [tag]})
    await bruna.do("POST", f"{path}/messages", json={"body": "Note", "internal": True})
    await bruna.do("POST", f"{path}/viewing")
    await follow_log(counter.workspace.kernel, counter.workspace.tenant)
    found = await counter.workspace.rows(ENTRIES, number)
    assert [(one["action"], one["before"], one["after"]) for one in found[1:]] == [
        ("ticket.assigned", '{"assigned_to": null}', f'{{"assigned_to": {bruna.id}}}'),
        ("ticket.prioritized", '{"priority": "normal"}', '{"priority": "high"}'),
        ("ticket.tagged", '{"tags": []}', f'{{"tags": [{tag}]}}'),
        ("ticket.noted", None, None),
    ]
    assert {(one["actor_type"], one["actor_id"], one["address"]) for one in found[1:]} == {("staff", bruna.id, "127.0.0.1")}
    assert found[2]["agent"] == "a browser"
    shown = await bruna.do("GET", "/audit-logs", params={"tenant_id": counter.workspace.tenant, "action": "ticket.prioritized"})
    assert [(one["before"], one["after"]) for one in shown] == [({"priority": "normal"}, {"priority": "high"})]


async def test_what_there_is_not_is_refused(counter: Counter, bruna: Staff) -> None:
    number = await counter.open()
    path = f"/support/tickets/{number}"
    wrong: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "assign", {"admin_id": counter.workspace.owner.id}),
        ("PUT", "tags", {"tag_ids": [2**40]}),
        ("POST", "priority", {"priority": "hot"}),
        ("POST", "status", {"status": "new"}),
        ("POST", "messages", {"body": " "}),
        ("POST", "messages", {"body": "Oi", "status": "new"}),
    ]
    for method, what, body in wrong:
        assert codes(await bruna.call(method, f"{path}/{what}", json=body)) == (422, "VALIDATION_FAILED"), what
    assert codes(await bruna.call("GET", f"/support/tickets/{2**40}")) == (404, "NOT_FOUND")
    assert codes(await bruna.call("POST", f"/support/tickets/{2**40}/close")) == (404, "NOT_FOUND")
    for whose in ("her", "me\n", "7\n"):
        assert codes(await bruna.call("GET", "/support/tickets", params={"assigned": whose})) == (422, "VALIDATION_FAILED")


async def test_the_queue_is_narrowed_by_everything_it_shows(counter: Counter, bruna: Staff, caio: Staff, other_tenant: Workspace) -> None:
    numbers = [await counter.open(f"Ticket {n}", "Árvore quebrada" if n % 2 else "All well") for n in range(4)]
    first, second, third, fourth = numbers
    tag = (await bruna.do("POST", "/support/tags", json={"name": f"Queue {first}"}))["id"]
    await bruna.do("PUT", f"/support/tickets/{second}/tags", json={"tag_ids": [tag]})
    await bruna.do("POST", f"/support/tickets/{third}/priority", json={"priority": "low"})
    await bruna.do("POST", f"/support/tickets/{first}/assign", json={"admin_id": bruna.id})
    await bruna.do("POST", f"/support/tickets/{second}/assign", json={"admin_id": caio.id})
    await bruna.do("POST", f"/support/tickets/{fourth}/messages", json={"body": "Zebrastripes", "internal": True})
    await bruna.do("POST", f"/support/tickets/{fourth}/status", json={"status": "solved"})
    found = {
        "all": await queue(bruna, counter),
        "status": await queue(bruna, counter, status="open"),
        "priority": await queue(bruna, counter, priority="low"),
        "me": await queue(bruna, counter, assigned="me"),
        "none": await queue(bruna, counter, assigned="none"),
        "caio": await queue(bruna, counter, assigned=caio.id),
        "tag": await queue(bruna, counter, tag_id=tag),
        "text": await queue(bruna, counter, q="arvore QUEB"),
        "both": await queue(bruna, counter, q="arvore", tag_id=tag),
        "note": await queue(bruna, counter, q="zebra"),
        "nothing": await queue(bruna, counter, q="!!"),
    }
    assert found == {
        "all": [fourth, third, second, first],
        "status": [third, second, first],
        "priority": [third],
        "me": [first],
        "none": [fourth, third],
        "caio": [second],
        "tag": [second],
        "text": [fourth, second],
        "both": [second],
        "note": [fourth],
        "nothing": [],
    }
    assert await bruna.do("GET", "/support/tickets", params={"tenant_id": other_tenant.tenant}) == []


async def test_a_long_ticket_is_found_by_the_last_word_of_it(counter: Counter, bruna: Staff) -> None:
    number = await counter.open("Long", " ".join(f"wort{place:04d}" for place in range(500)))
    for start in (500, 1000):
        await counter.say(number, " ".join(f"wort{place:04d}" for place in range(start, start + 500)))
    for word in ("wort0000", "wort0499", "wort0999", "wort1499"):
        assert await queue(bruna, counter, q=word) == [number]


@pytest.mark.parametrize("query", [{}, {"q": "lighthouse"}, {"status": "open"}])
async def test_the_queue_goes_on_page_by_page(counter: Counter, bruna: Staff, query: dict[str, str]) -> None:
    numbers = [await counter.open("Lighthouse", "Light") for _ in range(5)]
    found, cursor = list[int](), None
    while cursor is not None or not found:
        asked = {"limit": 2, "tenant_id": counter.workspace.tenant, **query} | ({"cursor": cursor} if cursor else {})
        answer = await bruna.call("GET", "/support/tickets", params=asked)
        found += [one["id"] for one in answer.json()["data"]]
        cursor = answer.json()["meta"]["next_cursor"]
    assert found == numbers[::-1]


async def test_what_is_counted_is_counted_once(counter: Counter, bruna: Staff) -> None:
    before = await bruna.do("GET", "/support/stats")
    numbers = [await counter.open() for _ in range(3)]
    await bruna.do("POST", f"/support/tickets/{numbers[0]}/assign", json={"admin_id": bruna.id})
    await bruna.do("POST", f"/support/tickets/{numbers[1]}/messages", json={"body": "So", "status": "solved"})
    await counter.do("POST", f"/{numbers[1]}/rating", json={"rating": 5})
    await counter.do("POST", f"/{numbers[2]}/close")
    after = await bruna.do("GET", "/support/stats")
    grown = {status: after["by_status"][status] - before["by_status"][status] for status in after["by_status"]}
    assert grown == {"open": 1, "pending": 0, "solved": 1, "closed": 1}
    assert after["assigned"][str(bruna.id)] == 1
    assert (after["rating"] is not None, after["first_response_seconds"] is not None) == (True, True)


async def test_the_history_tells_everything_that_happened(counter: Counter, bruna: Staff) -> None:
    number = await counter.open("Help", "Please")
    await bruna.do("POST", f"/support/tickets/{number}/messages", json={"body": "Hm", "internal": True})
    await bruna.do("POST", f"/support/tickets/{number}/messages", json={"body": "Yes"})
    told = await bruna.do("GET", f"/support/tickets/{number}/events")
    assert [(one["type"], one["actor"]["name"]) for one in told[::-1]] == [
        ("ticket.opened", "Lucia"),
        ("ticket.noted", "Bruna"),
        ("ticket.staff_replied", "Bruna"),
        ("ticket.status_changed", "Bruna"),
    ]
    assert told[0]["data"]["reason"] == "reply"


async def test_canned_replies_are_kept_for_all_staff(counter: Counter, bruna: Staff, caio: Staff) -> None:
    made = await bruna.do("POST", "/support/canned-replies", json={"title": " Hours ", "body": "We are here from nine to six."})
    assert (made["title"], made["body"]) == ("Hours", "We are here from nine to six.")
    changed = await caio.do("PATCH", f"/support/canned-replies/{made['id']}", json={"title": "Opening hours"})
    assert (changed["title"], changed["body"]) == ("Opening hours", made["body"])
    assert changed in await bruna.do("GET", "/support/canned-replies")
    await caio.do("DELETE", f"/support/canned-replies/{made['id']}")
    assert codes(await bruna.call("PATCH", f"/support/canned-replies/{made['id']}", json={"title": "x"})) == (404, "NOT_FOUND")
    await follow_log(counter.workspace.kernel, PLATFORM)
    told = await bruna.do("GET", "/audit-logs", params={"tenant_id": PLATFORM, "action": "canned_reply.updated", "admin_id": caio.id})
    assert [(one["before"], one["after"]) for one in told] == [({"title": "Hours"}, {"title": "Opening hours"})]


async def test_no_two_tags_have_one_name(bruna: Staff, counter: Counter) -> None:
    name = f"Billing {counter.workspace.tenant}"
    tag = await bruna.do("POST", "/support/tags", json={"name": name})
    assert codes(await bruna.call("POST", "/support/tags", json={"name": name.upper()})) == (422, "VALIDATION_FAILED")
    assert codes(await bruna.call("POST", "/support/tags", json={"name": "x" * 51})) == (422, "VALIDATION_FAILED")
    await bruna.do("DELETE", f"/support/tags/{tag['id']}")
    assert codes(await bruna.call("DELETE", f"/support/tags/{tag['id']}")) == (404, "NOT_FOUND")


async def test_a_deleted_tag_comes_off_every_ticket_of_every_workspace(counter: Counter, bruna: Staff, other_tenant: Workspace) -> None:
    other = Counter(counter.client, other_tenant, counter.settings)
    numbers = [await counter.open(), await other.open()]
    tags = [(await bruna.do("POST", "/support/tags", json={"name": f"{name} {numbers[0]}"}))["id"] for name in ("a", "b")]
    for number in numbers:
        await bruna.do("PUT", f"/support/tickets/{number}/tags", json={"tag_ids": tags})
    await bruna.do("DELETE", f"/support/tags/{tags[0]}")
    assert await counter.work("support.drop_tag", platform=True) >= 1
    for number in numbers:
        assert [one["id"] for one in (await bruna.do("GET", f"/support/tickets/{number}"))["tags"]] == [tags[1]]
        history = await bruna.do("GET", f"/support/tickets/{number}/events")
        assert (history[0]["type"], history[0]["data"]["tags"], history[0]["actor"]["name"]) == ("ticket.tagged", [tags[1]], "Bruna")
