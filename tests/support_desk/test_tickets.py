"""Tickets as a workspace's members have them, over HTTP."""

import pytest

from tests.backoffice.crew import Staff, bearer, codes
from tests.inbox.test_commands import PNG
from tests.support.trail import read_trail
from tests.support.world import Member, Workspace
from tests.support_desk.counter_side import DESK, TICKETS, Counter


async def test_a_member_opens_a_ticket_and_both_sides_talk(counter: Counter, bruna: Staff, ana: Member) -> None:
    opened = await counter.do("POST", json={"subject": " The app is slow ", "body": "Since Monday.", "category": "app"})
    number = opened["id"]
    assert (opened["subject"], opened["status"], opened["category"], opened["number"]) == ("The app is slow", "open", "app", number)
    assert opened["opener"] == {"id": counter.workspace.owner.id, "name": "Lucia"}
    answered = await bruna.do("POST", f"/support/tickets/{number}/messages", json={"body": "Since which Monday?"})
    assert (answered["status"], answered["unread"], answered["last_message_by"]) == ("pending", 0, "admin")
    seen = await counter.do("GET", f"/{number}", ana)
    assert (seen["status"], seen["unread"], seen["last_message_by"]) == ("pending", 1, "admin")
    assert (await counter.do("POST", f"/{number}/read", ana))["unread"] == 0
    await counter.do("POST", f"/{number}/messages", ana, json={"body": "The last one."})
    seen = await counter.do("GET", f"/{number}")
    assert [(one["author_type"], one["author"]["name"], one["body"]) for one in seen["messages"]] == [
        ("user", "Lucia", "Since Monday."),
        ("admin", "Bruna", "Since which Monday?"),
        ("user", "Ana", "The last one."),
    ]
    assert (seen["status"], seen["messages"][1]["author"]["id"]) == ("open", None)
    assert (await bruna.do("GET", f"/support/tickets/{number}"))["unread"] == 1


async def test_the_list_is_paged_by_the_newest_message_and_narrowed_by_status(counter: Counter) -> None:
    numbers = [await counter.open(f"Ticket {n}") for n in range(5)]
    await counter.do("POST", f"/{numbers[3]}/close")
    await counter.say(numbers[0], "Still there?")
    found, cursor = list[int](), None
    while cursor is not None or not found:
        answer = await counter.call("GET", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        found += [one["id"] for one in answer.json()["data"]]
        cursor = answer.json()["meta"]["next_cursor"]
    assert found == [numbers[0], numbers[4], numbers[3], numbers[2], numbers[1]]
    assert [one["id"] for one in await counter.do("GET", params={"status": "closed"})] == [numbers[3]]
    messages = await counter.do("GET", f"/{numbers[0]}/messages", params={"limit": 1})
    assert [one["body"] for one in messages] == ["Still there?"]


async def test_a_customer_closes_reopens_and_rates(counter: Counter) -> None:
    number = await counter.open()
    assert codes(await counter.call("POST", f"/{number}/rating", json={"rating": 5})) == (409, "TICKET_NOT_RATABLE")
    closed = await counter.do("POST", f"/{number}/close")
    assert (closed["status"], closed["can_rate"], closed["closed_at"] is not None) == ("closed", True, True)
    assert (await counter.do("POST", f"/{number}/close"))["closed_at"] == closed["closed_at"]
    rated = await counter.do("POST", f"/{number}/rating", json={"rating": 2, "comment": "Slow"})
    assert (rated["rating"], rated["rating_comment"]) == (2, "Slow")
    assert (await counter.do("POST", f"/{number}/rating", json={"rating": 4}))["rating_comment"] is None
    reopened = await counter.do("POST", f"/{number}/reopen")
    assert (reopened["status"], reopened["rating"], reopened["can_rate"]) == ("open", None, False)


async def test_every_rating_there_was_is_kept_for_staff(counter: Counter, bruna: Staff) -> None:
    number = await counter.open()
    await counter.do("POST", f"/{number}/close")
    for rating in (1, 5):
        await counter.do("POST", f"/{number}/rating", json={"rating": rating, "comment": f"{rating} stars"})
    await counter.do("POST", f"/{number}/reopen")
    shown = await bruna.do("GET", f"/support/tickets/{number}")
    assert [(one["rating"], one["comment"]) for one in shown["ratings"]] == [(1, "1 stars"), (5, "5 stars")]
    assert shown["rating"] is None


async def test_whoever_rates_again_and_again_leaves_staff_the_newest(counter: Counter, bruna: Staff) -> None:
    number = await counter.open()
    await counter.do("POST", f"/{number}/close")
    for said in range(55):
        await counter.do("POST", f"/{number}/rating", json={"rating": 1 + said % 5, "comment": str(said)})
    shown = await bruna.do("GET", f"/support/tickets/{number}")
    assert [one["comment"] for one in shown["ratings"]] == [str(said) for said in range(5, 55)]


async def test_staff_do_not_rate_themselves_in_a_customers_name(counter: Counter, bruna: Staff) -> None:
    number = await counter.open()
    await counter.do("POST", f"/{number}/close")
    acting = bearer((await bruna.impersonate(counter.workspace))["token"])
    answer = await counter.client.post(f"{TICKETS}/{number}/rating", json={"rating": 5}, headers=acting)
    assert (answer.status_code, (await counter.do("GET", f"/{number}"))["rating"]) == (403, None)


async def test_a_rating_that_is_final_is_not_offered_to_be_changed(counter: Counter) -> None:
    number = await counter.old("closed", days=20)
    await counter.rated(number, days=15)
    assert (await counter.do("GET", f"/{number}"))["can_rate"] is False
    assert codes(await counter.call("POST", f"/{number}/rating", json={"rating": 1})) == (409, "RATING_FINAL")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", {"subject": "x" * 151, "body": "Help"}),
        ("", {"subject": "Help", "body": "x" * 5001}),
        ("", {"subject": " ", "body": "Help"}),
        ("", {"subject": "Help"}),
        ("", {"subject": "Help", "body": "a\x00b"}),
        ("", {"subject": "Help", "body": "Help", "category": "x" * 61}),
        ("", {"subject": "Help", "body": "Help", "attachments": ["a.png"]}),
        ("/{}/messages", {"body": ""}),
        ("/{}/rating", {"rating": 6}),
        ("/{}/rating", {"rating": 0}),
        ("/{}/rating", {"rating": 5, "comment": "x" * 1001}),
    ],
)
async def test_what_is_malformed_is_refused(counter: Counter, path: str, body: dict[str, object]) -> None:
    number = await counter.open()
    assert codes(await counter.call("POST", path.format(number), json=body)) == (422, "VALIDATION_FAILED")


async def test_a_form_does_as_well_as_json(counter: Counter) -> None:
    made = await counter.do("POST", data={"subject": "Olá", "body": "Não funciona"}, files={"attachments": ("tela.png", PNG)})
    assert (made["subject"], made["messages"][0]["body"]) == ("Olá", "Não funciona")
    broken = await counter.call("POST", content=b"{nonsense", headers={"Content-Type": "application/json"})
    assert codes(broken) == (400, "MALFORMED_BODY")
    assert codes(await counter.call("POST", files={"attachments": ("a.png", PNG)})) == (422, "VALIDATION_FAILED")
    nul = await counter.call("POST", data={"subject": "Olá", "body": "a\x00b"}, files={"attachments": ("tela.png", PNG)})
    assert codes(nul) == (422, "VALIDATION_FAILED")


async def test_what_was_closed_too_long_ago_asks_for_a_new_ticket(counter: Counter, bruna: Staff) -> None:
    number = await counter.old("closed", days=15)
    for path, body in ((f"/{number}/messages", {"body": "Again"}), (f"/{number}/reopen", None)):
        answer = await counter.call("POST", path, json=body)
        assert codes(answer) == (409, "TICKET_CLOSED_FOR_GOOD")
        assert "open a new ticket" in answer.json()["errors"][0]["message"]
    assert len((await counter.do("GET", f"/{number}"))["messages"]) == 1
    assert (await bruna.do("POST", f"/support/tickets/{number}/reopen"))["status"] == "open"
    assert (await counter.say(number, "Thank you"))["status"] == "open"


async def test_another_workspace_knows_nothing_of_it(counter: Counter, other_tenant: Workspace) -> None:
    number = await counter.open()
    stranger = other_tenant.owner
    paths = [("GET", ""), ("GET", "/messages"), ("POST", "/close"), ("POST", "/reopen"), ("POST", "/read")]
    assert [(await counter.call(method, f"/{number}{path}", stranger)).status_code for method, path in paths] == [404] * 5
    assert (await counter.call("POST", f"/{number}/messages", stranger, json={"body": "Hello"})).status_code == 404
    assert (await counter.call("POST", f"/{number}/rating", stranger, json={"rating": 5})).status_code == 404
    assert await counter.do("GET", "", stranger) == []


async def test_a_suspended_workspace_may_still_ask_why(counter: Counter, bruna: Staff) -> None:
    await bruna.do("POST", f"/tenants/{counter.workspace.tenant}/suspend", json={"reason": "Unpaid"})
    number = await counter.open("Why?", "Why was I shut out?")
    await bruna.do("POST", f"/support/tickets/{number}/messages", json={"body": "The card."})
    assert (await counter.do("GET", f"/{number}"))["status"] == "pending"


async def test_the_trail_names_the_deeds_and_never_what_was_said(counter: Counter, bruna: Staff) -> None:
    number = await counter.open("Secretsubject", "Secretbody")
    await counter.say(number, "Secretreply")
    await bruna.do("POST", f"/support/tickets/{number}/messages", json={"body": "Secretanswer", "status": "solved"})
    await counter.do("POST", f"/{number}/rating", json={"rating": 3, "comment": "Secretcomment"})
    await counter.do("POST", f"/{number}/close")
    trail = await read_trail(counter.client, counter.workspace, subject="ticket", subject_id=number)
    assert [(one["action"], one["actor"]["type"], one["before"], one["after"]) for one in trail[::-1]] == [
        ("ticket.opened", "member", None, None),
        ("ticket.customer_replied", "member", None, None),
        ("ticket.staff_replied", "staff", {"status": "open"}, {"status": "solved"}),
        ("ticket.rated", "member", {"rating": None}, {"rating": 3}),
        ("ticket.status_changed", "member", {"status": "solved"}, {"status": "closed"}),
    ]
    assert "Secret" not in str(trail)


async def test_nobody_gets_at_it_without_a_token_or_with_one_of_an_integration(counter: Counter) -> None:
    assert (await counter.client.get(TICKETS)).status_code == 401
    assert (await counter.client.get(f"{DESK}/tickets", headers=counter.workspace.owner.headers)).status_code == 403
