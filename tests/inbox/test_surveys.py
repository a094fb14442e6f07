"""Satisfaction surveys from outside: asked, answered, counted, and seen by whom."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from httpx import AsyncClient

from plixa.identity.commands.sessions import Entrance
from plixa.inbox.domain.care import SurveyEnded, SurveyRated
from plixa.inbox.queries.realtime import render
from plixa.kernel.auth import Principal
from plixa.kernel.rebuild import rebuild
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel
from projections.registry import BY_NAME
from tests.inbox.desk import Desk, stamp
from tests.inbox.test_arrivals import named, two_of_one
from tests.support.effects import do_effects
from tests.support.trail import read_trail
from tests.support.world import Member, add_agent
from tests.whatsapp import webhooks

CONFIG = "/v1/csat-config"
ON = {"enabled": True, "question": "Nota?", "follow_up_enabled": True, "follow_up_question": "Por quê?", "thank_you": "Valeu!"}
COUNTED = "SELECT * FROM counter WHERE tenant_id = $1 AND projection = 'csat_response' AND value <> 0 ORDER BY key"
ROWS = "SELECT * FROM csat_response WHERE tenant_id = $1 ORDER BY id"
YESTERDAY = "UPDATE csat_response SET asked_at = asked_at - interval '24 hours' WHERE tenant_id = $1 RETURNING id"


async def configure(desk: Desk, **changes: Any) -> None:
    """Have surveys made like this."""
    answer = await desk.client.put(CONFIG, json=ON | changes, headers=desk.workspace.owner.headers)
    assert answer.status_code == 200, answer.text


async def serve(desk: Desk, phone: str = "5511987654321", member: Member | None = None, **more: Any) -> int:
    """A customer writes, somebody answers and closes."""
    number: int = (await desk.open(phone, **more))["id"]
    await desk.do("POST", f"/{number}/messages", member, json={"body": "Pronto!"})
    await desk.do("POST", f"/{number}/close")
    return number


async def answer(desk: Desk, body: str, phone: str = "5511987654321", before: timedelta = timedelta()) -> None:
    """The customer writes, now, or wrote so long before."""
    at = int((datetime.now(UTC) - before).timestamp())
    await desk.hear(webhooks.text(desk.chat(phone), stamp(at), body))


async def said(desk: Desk, number: int) -> list[str]:
    """What the bot said."""
    return [message["body"] for message in await desk.thread(number) if message["author"]["type"] == "bot"]


async def read(desk: Desk, path: str, member: Member | None = None, /, **query: Any) -> Any:
    found = await desk.client.get(f"/v1/csat/{path}", params=query, headers=(member or desk.workspace.owner).headers)
    assert found.status_code == 200, found.text
    return found.json()["data"]


async def reasons(desk: Desk, number: int) -> list[str]:
    """What the pipeline said of the survey, message by message."""
    events = await desk.do("GET", f"/{number}/events?limit=200")
    told = [dict(event["data"]["handling"]) for event in events[::-1] if event["type"] == "message.received"]
    return [one["survey"] for one in told]


async def test_a_high_rating_is_thanked_for_and_the_conversation_stays_closed(desk: Desk) -> None:
    await configure(desk)
    number = await serve(desk)
    await answer(desk, "5️⃣")
    assert await said(desk, number) == ["Nota?", "Valeu!"]
    shown = await desk.show(number)
    assert (shown["status"], shown["episode"], shown["csat_rating"]) == ("closed", 1, 5)
    assert await reasons(desk, number) == ["none waits for it", "rated"]
    sent = await desk.workspace.rows("SELECT kind FROM outbox WHERE tenant_id = $1 AND kind = 'inbox.send'")
    assert len(sent) == 3


async def test_a_low_rating_asks_why_and_the_comment_ends_it(desk: Desk) -> None:
    await configure(desk)
    number = await serve(desk)
    await answer(desk, "2")
    await answer(desk, "Demorou")
    assert await said(desk, number) == ["Nota?", "Por quê?", "Valeu!"]
    assert await reasons(desk, number) == ["none waits for it", "rated, and asked for a comment", "commented"]
    (found,) = await read(desk, "responses")
    owner = {"id": desk.workspace.owner.id, "name": desk.workspace.owner.name}
    assert (found["rating"], found["comment"], found["agent"], found["conversation_id"]) == (2, "Demorou", owner, number)
    await answer(desk, "Oi de novo")
    assert (await desk.show(number))["status"] == "open"


async def test_another_word_supersedes_it_and_a_second_rating_counts_for_nothing(desk: Desk) -> None:
    await configure(desk)
    first = await serve(desk)
    await answer(desk, "Faltou um item")
    assert [(await desk.show(first))[name] for name in ("status", "csat_rating")] == ["open", None]
    second = await serve(desk, "5511987650002")
    await answer(desk, "4", "5511987650002")
    await answer(desk, "1", "5511987650002")
    assert [(await desk.show(second))[name] for name in ("status", "episode", "csat_rating")] == ["open", 2, 4]
    assert [row["rating"] for row in await desk.workspace.rows(ROWS)] == [None, 4]


async def test_it_expires_with_its_timer_and_is_cancelled_by_reopening(desk: Desk) -> None:
    await configure(desk)
    expired, cancelled = await serve(desk), await serve(desk, "5511987650002")
    await desk.do("POST", f"/{cancelled}/reopen")
    assert await do_effects(desk.workspace, "inbox.expire_survey") == 2
    for number, reason in ((expired, "expired"), (cancelled, "cancelled")):
        events = await desk.do("GET", f"/{number}/events?limit=200")
        assert [event["data"]["reason"] for event in events if event["type"] == "survey.ended"] == [reason]
    await answer(desk, "5")
    assert (await desk.show(expired))["status"] == "open"
    assert [row["rating"] for row in await desk.workspace.rows(ROWS)] == [None, None]


async def test_whom_it_does_not_ask(desk: Desk, lucia: Member) -> None:
    off = await serve(desk)
    await configure(desk)
    quiet = await serve(desk, "5511987650002")
    await desk.do("POST", f"/{quiet}/reopen")
    await desk.workspace.rows(YESTERDAY)
    asked = await desk.workspace.rows(ROWS)
    await desk.do("POST", f"/{quiet}/close")
    deleted = (await desk.open("5511987650003"))["id"]
    await desk.do("POST", f"/{deleted}/messages", json={"body": "Pronto!"})
    await desk.do("DELETE", f"/{deleted}")
    opted_out = (await desk.open("5511987650004"))["contact"]["id"]
    out = await desk.client.post(f"/v1/contacts/{opted_out}/opt-out", json={"reason": "asked"}, headers=lucia.headers)
    assert out.status_code < 300, out.text
    (stopped,) = await desk.all(q="5511987650004")
    await desk.do("POST", f"/{stopped['id']}/messages", json={"body": "Pronto!"})
    await desk.do("POST", f"/{stopped['id']}/close")
    assert [await said(desk, number) for number in (off, quiet, stopped["id"])] == [[], ["Nota?"], []]
    assert await desk.workspace.rows(ROWS) == asked


async def test_a_member_who_closes_asks_whether_anybody_answered_here_or_not(desk: Desk) -> None:
    await configure(desk)
    number = (await desk.open())["id"]
    await desk.do("POST", f"/{number}/close")
    assert await said(desk, number) == ["Nota?"]
    await answer(desk, "4")
    assert [(row["rating"], row["agent_id"]) for row in await desk.workspace.rows(ROWS)] == [(4, None)]


async def test_what_was_written_before_the_question_is_no_rating_however_late_it_comes(desk: Desk) -> None:
    await configure(desk)
    number = await serve(desk)
    await answer(desk, "2", before=timedelta(minutes=2))
    assert [(await desk.show(number))[name] for name in ("status", "csat_rating")] == ["open", None]
    assert [row["rating"] for row in await desk.workspace.rows(ROWS)] == [None]


@pytest.mark.parametrize("is_merged", [False, True])
async def test_a_contact_who_was_asked_is_left_alone_though_the_conversation_is_deleted(desk: Desk, is_merged: bool) -> None:
    await configure(desk)
    number, headers = await serve(desk), desk.workspace.owner.headers
    contact = (await desk.show(number))["contact"]["id"]
    await desk.do("DELETE", f"/{number}")
    if is_merged:
        made = await desk.client.post("/v1/contacts", json={"contact_phone": "5521912345678"}, headers=headers)
        loser, contact = contact, made.json()["data"]["id"]
        assert (await desk.client.post(f"/v1/contacts/{loser}/merge", json={"into": contact}, headers=headers)).status_code == 200
    again = await serve(desk)
    assert await said(desk, again) == []
    await desk.workspace.rows("UPDATE contact_asked SET at = at - interval '24 hours' WHERE tenant_id = $1 RETURNING at")
    await desk.do("POST", f"/{again}/reopen")
    await desk.do("POST", f"/{again}/messages", json={"body": "Pronto!"})
    await desk.do("POST", f"/{again}/close")
    assert await said(desk, again) == ["Nota?"]
    await desk.do("DELETE", f"/{again}")
    assert (await desk.client.post(f"/v1/contacts/{contact}/erase", headers=headers)).status_code == 200
    assert await desk.workspace.rows("SELECT at FROM contact_asked WHERE tenant_id = $1") == []


async def test_one_survey_a_contact_and_day_and_a_bulk_close_asks_like_any_other(desk: Desk) -> None:
    await configure(desk)
    numbers = []
    for phone in ("5511987650001", "5511987650002"):
        numbers.append((await desk.open(phone))["id"])
        await desk.do("POST", f"/{numbers[-1]}/messages", json={"body": "Pronto!"})
    await desk.do("POST", "/bulk", json={"action": "close", "ids": numbers})
    assert [await said(desk, number) for number in numbers] == [["Nota?"], ["Nota?"]]
    await desk.do("POST", f"/{numbers[0]}/messages", json={"body": "Mais uma coisa"})
    await desk.do("POST", f"/{numbers[0]}/close")
    assert await said(desk, numbers[0]) == ["Nota?"]
    await desk.workspace.rows(YESTERDAY)
    await desk.do("POST", f"/{numbers[0]}/messages", json={"body": "E agora"})
    await desk.do("POST", f"/{numbers[0]}/close")
    assert await said(desk, numbers[0]) == ["Nota?", "Nota?"]


async def test_our_words_in_the_workspaces_language(desk: Desk) -> None:
    await configure(desk, question=None, follow_up_question=None, thank_you="")
    await desk.workspace.rows("UPDATE tenant SET locale = 'pt-BR' WHERE tenant_id = $1 RETURNING locale")
    desk.app.state.kernel.recall.forget()
    number = await serve(desk)
    await answer(desk, "1")
    await answer(desk, "Frio")
    question, why = await said(desk, number)
    assert ("de 1 (ruim) a 5" in question, "melhorar" in why) == (True, True)


async def test_the_score_is_the_assignees_else_the_last_authors_else_nobodys(desk: Desk, ana: Member) -> None:
    await configure(desk)
    assigned = (await desk.open("5511987650001"))["id"]
    await desk.do("POST", f"/{assigned}/messages", json={"body": "Pronto!"})
    await desk.do("PATCH", f"/{assigned}", json={"assigned_user_id": ana.id})
    await desk.do("POST", f"/{assigned}/close")
    await serve(desk, "5511987650002", ana)
    phone = (await desk.open("5511987650003"))["id"]
    await desk.hear(webhooks.text(desk.chat("5511987650003"), stamp(from_me=True), "Pronto!"))
    await desk.do("POST", f"/{phone}/close")
    assert [row["agent_id"] for row in await desk.workspace.rows(ROWS)] == [ana.id, ana.id, None]


async def test_agents_see_their_own_scores_where_the_owner_lets_them(desk: Desk, ana: Member, entrance: Entrance) -> None:
    await configure(desk)
    bia = await add_agent(entrance, desk.workspace, "Bia")
    phones = {ana.id: "5511987650001", bia.id: "5511987650002"}
    numbers = {member.id: await serve(desk, phones[member.id], member) for member in (ana, bia)}
    await answer(desk, "5", phones[ana.id])
    await answer(desk, "4", phones[bia.id])
    for is_visible in (False, True):
        await configure(desk, visible_to_agents=is_visible)
        own = 5 if is_visible else None
        listed = {one["id"]: one["csat_rating"] for one in await desk.all(ana, status="all")}
        assert listed == {numbers[ana.id]: own, numbers[bia.id]: None}
        assert (await desk.do("GET", f"/{numbers[ana.id]}", ana))["csat_rating"] == own
        for member, expected in ((ana, own), (bia, None)):
            events = await desk.do("GET", f"/{numbers[member.id]}/events?limit=50", ana)
            assert [event["data"]["rating"] for event in events if event["type"] == "survey.rated"] == [expected]
    assert [one["rating"] for one in await read(desk, "responses", ana)] == [5]
    assert await read(desk, "responses", ana, agent_id=bia.id) == []
    assert [(await read(desk, "summary", member))["answered"] for member in (ana, desk.workspace.owner)] == [1, 2]
    await configure(desk)
    for path in ("responses", "summary"):
        assert (await desk.client.get(f"/v1/csat/{path}", headers=ana.headers)).status_code == 403


async def test_the_realtime_stream_hides_what_lists_hide(desk: Desk, ana: Member) -> None:
    await configure(desk)
    await serve(desk, member=ana)
    await answer(desk, "5")
    rated = [fact for fact in await desk.log() if isinstance(fact.event, SurveyRated)]
    for member, is_visible, expected in ((desk.workspace.owner, False, 5), (ana, False, None), (ana, True, 5)):
        await configure(desk, visible_to_agents=is_visible)
        principal = Principal(kind="panel", token_id=1, tenant=desk.workspace.tenant, user_id=member.id, name=member.name, role=member.role)
        (change,) = await render(desk.app.state.kernel, principal, rated)
        assert (change.event, msgspec.json.decode(change.data)["csat_rating"]) == ("ConversationUpdated", expected)


@pytest.mark.parametrize("is_visible", [False, True])
async def test_an_agent_reads_nowhere_in_the_events_whether_another_ones_rating_was_low(desk: Desk, ana: Member, is_visible: bool) -> None:
    await configure(desk, visible_to_agents=is_visible)
    seen = []
    for phone, rating in (("5511987650001", "5"), ("5511987650002", "1")):
        number = await serve(desk, phone)
        await answer(desk, rating, phone)
        events = await desk.do("GET", f"/{number}/events?limit=50", ana)
        rated = next(place for place, event in enumerate(events) if event["type"] == "survey.rated")
        told = events[rated]["data"] | {"survey_id": 0, "message_id": 0}
        seen.append((told, [event["data"]["handling"] for event in events if event["type"] == "message.received"]))
        owners = await desk.do("GET", f"/{number}/events?limit=50")
        assert owners[rated]["data"]["rating"] == int(rating)
    assert seen[0] == seen[1]
    assert ["survey", "answered"] in seen[0][1][0]


async def test_an_agent_reads_nowhere_what_tells_a_score_and_everything_else(desk: Desk, ana: Member) -> None:
    """Nor whether it was thanked for or asked about; the owner reads all of it, and so does whose score it is where it is shown."""
    await configure(desk, follow_up_question="Por quê?")
    number = await serve(desk, member=ana)
    await answer(desk, " 2 ")
    await answer(desk, "Demorou demais")
    whole = await shown_to(desk, desk.workspace.owner, number)
    assert all(words in whole for words in ('" 2 "', "Demorou demais", "Por quê?", "Valeu!"))
    await desk.do("POST", f"/{number}/messages", json={"body": "5 minutos", "type": "note"})
    for is_visible in (False, True):
        await configure(desk, follow_up_question="Por quê?", visible_to_agents=is_visible)
        for words in ('" 2 "', "Demorou demais", '"body":"Por quê?"', '"body":"Valeu!"'):
            assert (words in await shown_to(desk, ana, number)) is is_visible, words
        assert len(await desk.do("GET", "/search", ana, params={"q": "demorou"})) == is_visible
        thread = await desk.do("GET", f"/{number}/messages", ana)
        assert [one["body"] is None for one in thread] == [one["withheld"] for one in thread]
        left = {one["body"] for one in thread if not one["withheld"]}
        assert left >= {"5 minutos", "Nota?", "Pronto!"}
        assert len(left) == (8 if is_visible else 4)


async def shown_to(desk: Desk, member: Member, number: int) -> str:
    """Whatever a member reads of a conversation, in lists, in the past and live."""
    now = {"at": datetime.now(UTC).isoformat()}
    reads = [("", {"status": "all"}), (f"/{number}", {}), (f"/{number}/messages", {}), (f"/{number}/events", {"limit": 100})]
    reads += [(f"/{number}/messages", {"as_of": now["at"]})]
    read = [(await desk.call("GET", path, member, params=query)).text for path, query in reads]
    principal = Principal(kind="panel", token_id=1, tenant=desk.workspace.tenant, user_id=member.id, name=member.name, role=member.role)
    told = await render(desk.app.state.kernel, principal, await desk.log())
    return "".join([*read, *(change.data.decode() for change in told)])


async def test_a_survey_ends_with_the_conversation_that_goes_on_in_another(desk: Desk) -> None:
    await configure(desk)
    *numbers, both = await two_of_one(desk)
    for number in numbers:
        await desk.do("POST", f"/{number}/messages", json={"body": "Pronto!"})
        await desk.do("POST", f"/{number}/close")
    await desk.hear(named(both))
    assert [row["conversation_id"] for row in await desk.workspace.rows(ROWS)] == [(await desk.only())["id"]] * 2
    ended = [fact.event.reason for fact in await desk.log() if isinstance(fact.event, SurveyEnded)]
    assert ended == ["cancelled"]
    assert await do_effects(desk.workspace, "inbox.expire_survey") == 2
    assert [fact.event.reason for fact in await desk.log() if isinstance(fact.event, SurveyEnded)] == ["cancelled", "expired"]


async def test_responses_are_filtered_and_paged_and_the_summary_agrees(desk: Desk, ana: Member) -> None:
    await configure(desk, follow_up_enabled=False)
    ratings = [5, 4, 4, 1, None]
    for turn, rating in enumerate(ratings):
        phone = f"551198765{turn:04}"
        await serve(desk, phone, ana if turn % 2 else None)
        if rating is not None:
            await answer(desk, str(rating), phone)
    shown = await desk.client.get("/v1/csat/responses", params={"limit": 3}, headers=desk.workspace.owner.headers)
    rest = await read(desk, "responses", cursor=shown.json()["meta"]["next_cursor"])
    assert [one["rating"] for one in [*shown.json()["data"], *rest]] == [1, 4, 4, 5]
    assert [one["rating"] for one in await read(desk, "responses", agent_id=ana.id)] == [1, 4]
    assert len(await read(desk, "responses", rating=4)) == 2
    day = (await desk.workspace.rows(ROWS))[0]["day"]
    assert len(await read(desk, "responses", None, **{"from": day, "to": day})) == 4
    assert await read(desk, "responses", None, **{"from": "2099-01-01"}) == await read(desk, "responses", to="2020-01-01") == []
    summary = await read(desk, "summary", None, **{"from": day, "to": day})
    distribution = {"1": 1, "2": 0, "3": 0, "4": 2, "5": 1}
    assert {name: summary[name] for name in ("asked", "answered", "rate", "average")} == {
        "asked": 5,
        "answered": 4,
        "rate": 0.8,
        "average": 3.5,
    }
    assert summary["distribution"] == distribution
    by_agent = {one["agent"]["id"]: (one["asked"], one["answered"], one["average"]) for one in summary["by_agent"]}
    assert by_agent == {desk.workspace.owner.id: (3, 2, 4.5), ana.id: (2, 2, 2.5)}
    nothing = await read(desk, "summary", None, **{"from": "2099-01-01"})
    assert (nothing["asked"], nothing["rate"], nothing["average"], nothing["by_agent"]) == (0, None, None, [])


@pytest.mark.parametrize("erase", [False, True])
async def test_scores_outlive_their_conversation_also_in_a_rebuild(desk: Desk, kernel: Kernel, settings: Settings, erase: bool) -> None:
    await configure(desk)
    number = await serve(desk)
    contact = (await desk.show(number))["contact"]["id"]
    await answer(desk, "2")
    await answer(desk, "Demorou")
    before = await desk.workspace.rows(COUNTED), await desk.workspace.rows(ROWS)
    if erase:
        erased = await desk.client.post(f"/v1/contacts/{contact}/erase", headers=desk.workspace.owner.headers)
        assert erased.status_code == 200, erased.text
    else:
        await desk.do("DELETE", f"/{number}")
    assert (await desk.workspace.rows(COUNTED), await desk.workspace.rows(ROWS)) == before
    await rebuild(settings, BY_NAME["surveys"], tenant=desk.workspace.tenant)
    assert (await desk.workspace.rows(COUNTED), await desk.workspace.rows(ROWS)) == before
    (found,) = await read(desk, "responses")
    assert (found["rating"], found["comment"], found["contact"], found["conversation_id"]) == (2, None, None, None)


async def test_the_configuration_is_the_owners_and_leaves_one_entry(client: AsyncClient, desk: Desk, ana: Member) -> None:
    off = {"enabled": False, "question": None, "follow_up_enabled": False, "follow_up_question": None, "thank_you": None}
    assert (await client.get(CONFIG, headers=ana.headers)).json()["data"] == off | {"visible_to_agents": False}
    assert (await client.put(CONFIG, json=ON, headers=ana.headers)).status_code == 403
    for wrong in ({}, {"enabled": "ja"}, {"enabled": True, "question": "x" * 1001}):
        assert (await client.put(CONFIG, json=wrong, headers=desk.workspace.owner.headers)).status_code == 422
    for _ in range(2):
        await configure(desk)
    (entry,) = [one for one in await read_trail(client, desk.workspace) if one["action"] == "csat_config.updated"]
    assert (entry["before"]["enabled"], entry["after"]["question"]) == (False, "Nota?")
