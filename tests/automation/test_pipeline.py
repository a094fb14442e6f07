"""What happens to a customer's message, step by step, from outside: who answers by itself, how often, and why not."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from httpx import AsyncClient
from msgspec.structs import replace

from plixa.automation.actors import Actors
from plixa.automation.commands.pipeline import ALWAYS, TAKE_IN, UNLESS_LATE, Pipeline, take_in, tell_hours
from plixa.inbox.commands.arrivals import Arrival
from plixa.inbox.commands.ingest import accept
from plixa.inbox.commands.messages import write
from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.domain.events import Author, Content, Received
from plixa.inbox.queries.care import find_settings
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork, perform, working
from plixa.whatsapp import domain as gateway
from plixa.whatsapp.commands.webhook import Delivered
from tests.identity.tokens import set_plan
from tests.inbox.desk import Desk, stamp
from tests.inbox.test_arrivals import named, two_of_one
from tests.support.effects import do_effects
from tests.support.numbers import connect_number
from tests.support.trail import read_trail
from tests.support.world import Member
from tests.whatsapp import webhooks

HOURS, WELCOME = "/v1/business-hours-config", "/v1/welcome-config"
NEVER: list[dict[str, Any]] = [{"weekday": day, "open": "09:00", "close": "17:00", "enabled": False} for day in range(7)]
ALWAYS_OPEN = [{"weekday": day, "open": "00:00", "close": "24:00", "enabled": True} for day in range(7)]
OFFICE = [day | {"enabled": 1 <= day["weekday"] <= 5} for day in NEVER]
LONG_AGO = "UPDATE business_hours SET since = '2025-01-01' WHERE tenant_id = $1 RETURNING since"
OPTED = "SELECT opted_out_at IS NOT NULL AS is_out, opt_out_reason FROM contact WHERE tenant_id = $1"
SAO_PAULO = ZoneInfo("America/Sao_Paulo")


async def configure(desk: Desk, path: str, **body: Any) -> None:
    answer = await desk.client.put(path, json=body, headers=desk.workspace.owner.headers)
    assert answer.status_code == 200, answer.text


async def said(desk: Desk, number: int) -> list[str]:
    """What the bot said."""
    return [message["body"] for message in await desk.thread(number) if message["author"]["type"] == "bot"]


async def handling(desk: Desk, number: int) -> list[dict[str, str]]:
    """What each step said of each message."""
    events = await desk.do("GET", f"/{number}/events?limit=200")
    return [dict(event["data"]["handling"]) for event in events[::-1] if event["type"] == "message.received"]


async def announce(desk: Desk, number: int) -> None:
    """A broadcast."""

    async def tell(uow: UnitOfWork) -> None:
        async with uow.edit(Conversation, number) as editor:
            await write(uow, editor, Content("text", "Promoção!"), Author("broadcast"))

    async with working(desk.workspace.kernel, desk.workspace.tenant) as uow:
        await perform(uow, partial(tell, uow))


async def write_first(desk: Desk, phone: str) -> int:
    """A program of the workspace writes to somebody nobody knows."""
    headers = desk.workspace.owner.headers
    made = await desk.client.post("/v1/api-tokens", json={"name": f"CRM {phone}", "abilities": ["write"]}, headers=headers)
    token = {"Authorization": f"Bearer {made.json()['data']['plain_text_token']}"}
    sent = await desk.client.post("/v1/messages/send", json={"phone": phone, "body": "Seu pedido saiu"}, headers=token)
    assert sent.status_code == 201, sent.text
    return int(sent.json()["data"]["conversation_id"])


async def step_at(desk: Desk, settings: Settings, number: int, now: datetime, step: Callable[..., Awaitable[tuple[str, bool]]]) -> str:
    """One step for one more message, at a time of our choice."""

    async def take(uow: UnitOfWork) -> str:
        async with uow.edit(Conversation, number) as editor:
            uow.now = now
            message = Received(1, desk.number.id, "WA1", Content("text", "Oi"), now, None, [])
            return (await step(Arrival(uow, editor, message, is_first=False, began=False), settings))[0]

    async with working(desk.workspace.kernel, desk.workspace.tenant) as uow:
        return await perform(uow, partial(take, uow))


async def test_every_step_says_why_and_a_workspace_that_wants_nothing_gets_nothing(desk: Desk) -> None:
    number = (await desk.open())["id"]
    await desk.hear(webhooks.text(desk.chat(), stamp()), webhooks.text(desk.chat(), stamp(from_me=True)))
    first, second = await handling(desk, number)
    quiet = {"survey": "none waits for it", "opt_out": "no such word", "answer": "nothing was asked", "closed_hours": "off"}
    begun = {"delivery": "new", "contact": "new", "conversation": "new", "message": "begins episode 1", "targets": "no targets"}
    assert first == begun | quiet | {"welcome": "off", "assignment": "no rules"}
    goes_on = {"delivery": "new", "contact": "known", "conversation": "goes on", "message": "in episode 1", "targets": "no new clock"}
    assert second == goes_on | quiet | {"welcome": "not their first message", "assignment": "no new episode"}
    assert list(second) == [name for name, _ in (*TAKE_IN, *ALWAYS, *UNLESS_LATE)]
    assert await said(desk, number) == []
    assert "handling" not in (await desk.do("GET", f"/{number}/events?limit=1"))[0]["data"]


async def test_who_comes_back_and_who_turns_out_to_be_one_are_told_by_the_first_steps(desk: Desk) -> None:
    shown = await desk.open()
    place, headers = f"/v1/contacts/{shown['contact']['id']}", desk.workspace.owner.headers
    assert (await desk.client.delete(place, headers=headers)).status_code == 204
    again = stamp()
    await desk.hear(webhooks.text(desk.chat(), again), webhooks.text(desk.chat(), again))
    *_, back = await handling(desk, shown["id"])
    assert [back[name] for name in ("contact", "conversation", "message")] == ["new", "taken up again", "in episode 1"]
    await desk.do("POST", f"/{shown['id']}/close")
    await desk.open(phone=None, lid="84000000000001")  # type: ignore[arg-type]
    await desk.hear(webhooks.text(desk.chat(lid="84000000000001", version="2.3.6"), stamp()))
    one = (await desk.only())["id"]
    *_, joined = await handling(desk, one)
    assert (joined["contact"], joined["conversation"]) == ("several who are one", "goes on")


async def test_that_it_is_closed_is_told_once_in_a_burst_and_not_while_open(desk: Desk) -> None:
    await configure(desk, HOURS, enabled=True, hours=NEVER, message="Fechado!")
    await desk.hear_at_once(webhooks.text(desk.chat(), stamp(), f"#{turn}") for turn in range(8))
    number = (await desk.only())["id"]
    assert await said(desk, number) == ["Fechado!"]
    assert sorted({one["closed_hours"] for one in await handling(desk, number)}) == ["told", "told already"]
    other = (await desk.open("5511987650002"))["id"]
    assert await said(desk, other) == ["Fechado!"]
    await configure(desk, HOURS, enabled=True, hours=ALWAYS_OPEN, message="Fechado!")
    third = (await desk.open("5511987650003"))["id"]
    assert ((await handling(desk, third))[0]["closed_hours"], await said(desk, third)) == ("open", [])
    await configure(desk, HOURS, enabled=False, hours=NEVER, message="Fechado!")
    assert await said(desk, (await desk.open("5511987650004"))["id"]) == []


async def test_each_closed_period_is_told_once(desk: Desk, settings: Settings) -> None:
    number = (await desk.open())["id"]
    await configure(desk, HOURS, enabled=True, hours=OFFICE)
    await desk.workspace.rows(LONG_AGO)
    monday = datetime(2027, 1, 4, tzinfo=SAO_PAULO)
    expected = {
        8: "told",
        8.5: "told already",
        9: "open",
        16.99: "open",
        17: "told",
        23: "told already",
        24 + 8: "told already",
        24 + 9: "open",
    }
    expected |= {24 * 4 + 18: "told", 24 * 5 + 12: "told already", 24 * 7 + 8: "told already", 24 * 7 + 18: "told"}
    found = {}
    for hours in expected:
        desk.workspace.kernel.recall.forget()
        found[hours] = await step_at(desk, settings, number, (monday + timedelta(hours=hours)).astimezone(UTC), tell_hours)
    assert found == expected
    assert len(await said(desk, number)) == 4


async def test_hours_that_are_saved_anew_begin_no_new_closed_period(desk: Desk) -> None:
    await configure(desk, HOURS, enabled=True, hours=NEVER, message="Fechado!")
    number = (await desk.open())["id"]
    reasons = ["told"]
    for week, message, reason in (
        (NEVER, "Ainda fechado!", "told already"),
        ([NEVER[0] | {"open": "10:00"}, *NEVER[1:]], "Fechado!", "told already"),
        (ALWAYS_OPEN, "Fechado!", "open"),
        (NEVER, "Fechado!", "told"),
    ):
        await configure(desk, HOURS, enabled=True, hours=week, message=message)
        await desk.hear(webhooks.text(desk.chat(), stamp()))
        reasons.append(reason)
    assert [one["closed_hours"] for one in await handling(desk, number)] == reasons
    assert await said(desk, number) == ["Fechado!", "Fechado!"]


async def test_a_contact_is_greeted_once_ever_whatever_becomes_of_the_conversation(desk: Desk, settings: Settings) -> None:
    known = (await desk.open("5511987650001"))["id"]
    await configure(desk, WELCOME, enabled=True, message="Bem-vindo!")
    await desk.hear(webhooks.text(desk.chat("5511987650001"), stamp()))
    assert await said(desk, known) == []
    await desk.hear_at_once(webhooks.text(desk.chat("5511987650002"), stamp(), f"#{turn}") for turn in range(10))
    (fresh,) = await desk.all(q="5511987650002")
    assert await said(desk, fresh["id"]) == ["Bem-vindo!"]
    assert (fresh["handler"], fresh["first_responded_at"]) == ("none", None)
    await desk.do("DELETE", f"/{fresh['id']}")
    again = (await desk.open("5511987650002"))["id"]
    assert (await said(desk, again), (await handling(desk, again))[0]["welcome"]) == ([], "not their first message")
    second = replace(desk, number=await connect_number(settings, desk.workspace))
    elsewhere = (await second.open("5511987650002"))["id"]
    assert await said(desk, elsewhere) == []


async def test_a_greeting_waits_and_a_human_who_answers_first_spares_it(desk: Desk, settings: Settings) -> None:
    await configure(desk, WELCOME, enabled=True, delay_seconds=300)
    greeted, answered, closed, back = [(await desk.open(f"551198765000{turn}"))["id"] for turn in range(4)]
    assert (await handling(desk, greeted))[0]["welcome"] == "in 300 s, unless a human answers first"
    await desk.do("POST", f"/{answered}/messages", json={"body": "Olá!"})
    await desk.do("POST", f"/{closed}/close")
    await desk.do("POST", f"/{back}/messages", json={"body": "Olá!"})
    await desk.do("POST", f"/{back}/close")
    await desk.hear(webhooks.text(desk.chat("5511987650003"), stamp(), "Obrigado"))
    for _ in range(2):
        await do_effects(desk.workspace, "automation.welcome", handlers=Actors(settings).handlers())
    assert [len(await said(desk, number)) for number in (greeted, answered, closed, back)] == [1, 0, 0, 0]
    assert "Hello" in (await said(desk, greeted))[0]


async def test_who_turns_out_to_be_one_is_greeted_once(desk: Desk, settings: Settings) -> None:
    await configure(desk, WELCOME, enabled=True, delay_seconds=300)
    _, _, both = await two_of_one(desk)
    await desk.hear(named(both))
    assert await do_effects(desk.workspace, "automation.welcome", handlers=Actors(settings).handlers()) == 2
    assert len(await said(desk, (await desk.only())["id"])) == 1


async def test_who_wrote_before_two_merges_is_no_stranger_on_another_number(desk: Desk, settings: Settings) -> None:
    chain = [(await desk.open("5511987650001"))["contact"]["id"]]
    for phone in ("5511987650002", "5511987650003"):
        made = await desk.client.post("/v1/contacts", json={"contact_phone": phone}, headers=desk.workspace.owner.headers)
        chain.append(made.json()["data"]["id"])
        path = f"/v1/contacts/{chain[-2]}/merge"
        merged = await desk.client.post(path, json={"into": chain[-1]}, headers=desk.workspace.owner.headers)
        assert merged.status_code == 200, merged.text
    await configure(desk, WELCOME, enabled=True)
    second = replace(desk, number=await connect_number(settings, desk.workspace))
    elsewhere = (await second.open("5511987650003"))["id"]
    assert ((await handling(desk, elsewhere))[0]["welcome"], await said(desk, elsewhere)) == ("not their first message", [])


async def test_who_is_blocked_is_answered_by_nobody(desk: Desk) -> None:
    shown = await desk.open()
    blocked = await desk.client.post(f"/v1/contacts/{shown['contact']['id']}/block", headers=desk.workspace.owner.headers)
    assert blocked.status_code < 300, blocked.text
    await configure(desk, HOURS, enabled=True, hours=NEVER)
    await desk.hear(webhooks.text(desk.chat(), stamp()))
    assert list((await handling(desk, shown["id"]))[-1].items())[-2:] == [
        ("targets", "no new clock"),
        ("blocked", "the contact is blocked"),
    ]
    assert await said(desk, shown["id"]) == []


async def test_a_workspace_that_may_send_nothing_answers_nobody(desk: Desk) -> None:
    await configure(desk, HOURS, enabled=True, hours=NEVER)
    await configure(desk, WELCOME, enabled=True)
    for turn, change in enumerate(("status = 'suspended'", "status = 'active', purge_at = now() + interval '30 days'")):
        await desk.workspace.rows(f"UPDATE tenant SET {change} WHERE tenant_id = $1 RETURNING status")
        desk.app.state.kernel.recall.forget()
        await desk.hear(webhooks.text(desk.chat(f"551198765000{turn}"), stamp()))
    conversations = await desk.workspace.rows("SELECT id FROM inbox_conversation WHERE tenant_id = $1")
    queued = await desk.workspace.rows("SELECT id FROM inbox_message WHERE tenant_id = $1 AND direction = 'out'")
    assert (len(conversations), queued) == (2, [])


async def test_a_workspace_that_wants_nothing_pays_no_round_trip(desk: Desk, settings: Settings) -> None:
    counts = []
    for turn, handle in enumerate((take_in, Pipeline(settings).handle, take_in, Pipeline(settings).handle)):
        peer = gateway.Peer(jid="5511987650000@s.whatsapp.net", phone="5511987650000")
        fact = gateway.MessageArrived(gateway_id=f"COUNT{turn}", peer=peer, from_me=False, kind="text", body="Oi")
        delivered = Delivered(desk.number.id, fact, f"message:COUNT{turn}", b"{}", datetime.now(UTC))
        async with working(desk.workspace.kernel, desk.workspace.tenant) as uow:
            await find_settings(uow)
            asked: list[Any] = []
            with (await uow.connection()).query_logger(asked.append):
                await perform(uow, partial(accept, uow, delivered, handle=handle))
        counts.append(len(asked))
    assert counts[2] == counts[3] > 0


async def test_a_word_against_announcements_counts_after_one_and_is_confirmed_once(desk: Desk) -> None:
    number = (await desk.open())["id"]
    await desk.hear(webhooks.text(desk.chat(), stamp(), "SAIR"))
    assert await desk.workspace.rows(OPTED) == [{"is_out": False, "opt_out_reason": None}]
    await announce(desk, number)
    for body in ("quero sair", " Saír ", "STOP", "voltar", "voltar"):
        await desk.hear(webhooks.text(desk.chat(), stamp(), body))
    told = [one["opt_out"] for one in await handling(desk, number)][2:]
    assert told == ["no such word", "opted out", "opted out already", "opted in", "no such word"]
    assert len(await said(desk, number)) == 1
    assert await desk.workspace.rows(OPTED) == [{"is_out": False, "opt_out_reason": None}]
    events = await desk.events(number)
    assert (events.count("contact.opted_out"), events.count("contact.opted_in")) == (1, 1)


async def test_a_word_of_ones_own_outlives_a_merge_with_somebody_who_had_said_it_before(desk: Desk) -> None:
    shown, headers = await desk.open(), desk.workspace.owner.headers
    call = partial(desk.client.post, headers=headers)
    other = (await call("/v1/contacts", json={"contact_phone": "5511987650002"})).json()["data"]["id"]
    assert (await call(f"/v1/contacts/{other}/opt-out", json={"reason": "asked"})).status_code < 300
    assert (await call(f"/v1/contacts/{other}/merge", json={"into": shown["contact"]["id"]})).status_code == 200
    await announce(desk, shown["id"])
    await desk.hear(webhooks.text(desk.chat(), stamp(), "STOP"))
    assert (await handling(desk, shown["id"]))[-1]["opt_out"] == "opted out already"
    assert (await call(f"/v1/contacts/{other}/unmerge")).status_code == 200
    told = [{"is_out": True, "opt_out_reason": reason} for reason in ("asked", "keyword")]
    assert sorted(await desk.workspace.rows(OPTED), key=str) == sorted(told, key=str)


async def test_what_the_reconciler_brings_late_is_kept_and_not_answered(desk: Desk, settings: Settings) -> None:
    await configure(desk, HOURS, enabled=True, hours=NEVER)
    await configure(desk, WELCOME, enabled=True)
    now = datetime.now(UTC)
    for turn, age in enumerate((timedelta(hours=2), timedelta(minutes=1))):
        phone = f"551198765000{turn}"
        peer = gateway.Peer(jid=f"{phone}@s.whatsapp.net", phone=phone)
        fact = gateway.MessageArrived(gateway_id=f"LATE{turn}", peer=peer, from_me=False, kind="text", body="Oi", sent_at=now - age)
        delivered = Delivered(desk.number.id, fact, f"message:LATE{turn}", b"{}", now)
        async with working(desk.workspace.kernel, desk.workspace.tenant) as uow:
            await perform(uow, partial(accept, uow, delivered, handle=Pipeline(settings).handle_reconciled))
    late, prompt = sorted(await desk.all(), key=lambda one: one["id"])
    assert [len(await said(desk, one["id"])) for one in (late, prompt)] == [0, 2]
    assert list((await handling(desk, late["id"]))[0]) == [*(name for name, _ in (*TAKE_IN, *ALWAYS)), "reconciled"]


async def test_a_new_episode_is_given_away_in_the_messages_own_transaction(desk: Desk, ana: Member) -> None:
    await set_plan(desk.workspace.kernel, desk.workspace.tenant, "business")
    await desk.client.put("/v1/me/availability", json={"is_available": True}, headers=ana.headers)
    rule = {"priority": 1, "condition_type": "always", "action_type": "assign_user", "action_user_id": ana.id}
    made = await desk.client.post("/v1/auto-assignment-rules", json=rule, headers=desk.workspace.owner.headers)
    assert made.status_code == 201, made.text
    shown = await desk.open()
    assert shown["assigned_user"] == {"id": ana.id, "name": "Ana"}
    (told,) = await handling(desk, shown["id"])
    assert "Ana" in told["assignment"]
    for phone, said_before, whose in (("5511987650002", None, ana.id), ("5511987650003", "Posso ajudar?", None)):
        number = await write_first(desk, phone)
        if said_before is not None:
            await desk.do("POST", f"/{number}/messages", json={"body": said_before})
        await desk.hear(webhooks.text(desk.chat(phone), stamp()), webhooks.text(desk.chat(phone), stamp()))
        user = (await desk.show(number))["assigned_user"]
        assert (user and user["id"], (await handling(desk, number))[-1]["assignment"]) == (whose, "no new episode"), phone


async def test_where_no_rule_is_in_force_whoever_had_it_keeps_it_unless_they_are_away(desk: Desk, ana: Member) -> None:
    number = (await desk.open())["id"]
    await desk.do("PATCH", f"/{number}", json={"assigned_user_id": ana.id})
    for is_available, why, whose in (
        (True, "no rules", ana.id),
        (False, "no rules, and whoever had it is away", None),
    ):
        await desk.client.put("/v1/me/availability", json={"is_available": is_available}, headers=ana.headers)
        await desk.do("POST", f"/{number}/close")
        await desk.hear(webhooks.text(desk.chat(), stamp()))
        user = (await desk.show(number))["assigned_user"]
        assert ((await handling(desk, number))[-1]["assignment"], user and user["id"]) == (why, whose)


async def test_the_greetings_configuration(client: AsyncClient, desk: Desk, ana: Member) -> None:
    put_it = partial(client.put, WELCOME)
    assert (await client.get(WELCOME, headers=ana.headers)).json()["data"] == {"message": None, "enabled": False, "delay_seconds": 0}
    assert (await put_it(json={"enabled": True}, headers=ana.headers)).status_code == 403
    for wrong in ({"delay_seconds": 301}, {"delay_seconds": -1}, {"message": "x" * 1001}, {"enabled": None}):
        assert (await put_it(json=wrong, headers=desk.workspace.owner.headers)).status_code == 422
    await configure(desk, WELCOME, message="Oi!", delay_seconds=5)
    await configure(desk, WELCOME, enabled=True)
    await configure(desk, WELCOME, enabled=True)
    shown = (await client.get(WELCOME, headers=ana.headers)).json()["data"]
    assert shown == {"message": "Oi!", "enabled": True, "delay_seconds": 5}
    trail = [entry for entry in await read_trail(client, desk.workspace) if entry["action"] == "welcome_config.updated"]
    assert [entry["before"] for entry in trail] == [{"enabled": False}, {"message": None, "delay_seconds": 0}]
