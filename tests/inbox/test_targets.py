"""By when customers are to be answered, from outside: clocks, hits, misses, timers that are late, and hours that change."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plixa.inbox.commands.targets import check_targets
from plixa.inbox.domain.care import SurveyEnded, Target, TargetMissed, TargetsSet
from plixa.inbox.domain.conversation import Conversation
from plixa.inbox.domain.events import Author, Closed, Content, Echoed, Opened, Queued, Received, Woken
from plixa.inbox.queries.realtime import render
from plixa.kernel.auth import Principal
from plixa.kernel.event_store import Event, replay
from plixa.kernel.uow import perform, working
from tests.inbox.desk import Desk, stamp
from tests.inbox.test_arrivals import named, two_of_one
from tests.support.effects import do_effects
from tests.support.trail import read_trail
from tests.support.world import Member
from tests.whatsapp import webhooks

CONFIG, HOURS = "/v1/sla-config", "/v1/business-hours-config"
WEEK = [{"weekday": day, "open": "09:00", "close": "17:00", "enabled": True} for day in range(7)]
NEVER = [day | {"enabled": False} for day in WEEK]
PAST = "UPDATE inbox_conversation SET first_response_due_at = now() - interval '1 second' WHERE tenant_id = $1 AND id = $2 RETURNING id"
START = datetime(2026, 5, 4, 12, tzinfo=UTC)
DUE = START + timedelta(minutes=15)
TEXT = Content("text", "Oi")


async def configure(desk: Desk, first: int | None = 900, resolution: int | None = 86_400) -> None:
    body = {"first_response_seconds": first, "resolution_seconds": resolution}
    answer = await desk.client.put(CONFIG, json=body, headers=desk.workspace.owner.headers)
    assert answer.status_code == 200, answer.text


async def set_hours(desk: Desk, week: list[dict[str, Any]], *, pauses: bool = True) -> None:
    body = {"enabled": pauses, "hours": week, "pause_sla": pauses}
    answer = await desk.client.put(HOURS, json=body, headers=desk.workspace.owner.headers)
    assert answer.status_code == 200, answer.text


async def told(desk: Desk, number: int, kind: str) -> list[dict[str, Any]]:
    """What events of a kind say, oldest first."""
    events = await desk.do("GET", f"/{number}/events?limit=200")
    return [event["data"] for event in events[::-1] if event["type"] == kind]


async def at(desk: Desk, number: int, moment: datetime) -> None:
    """The timer of targets, run at a time of our choice."""
    async with working(desk.workspace.kernel, desk.workspace.tenant) as uow:
        await perform(uow, partial(check_targets, uow, number, moment))


def seconds_between(start: str, end: str | None) -> float:
    assert end is not None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


async def test_a_customers_first_message_starts_both_clocks_and_a_later_one_none(desk: Desk) -> None:
    await configure(desk)
    shown = await desk.open()
    sla, opened = shown["sla"], shown["opened_at"]
    due = [round(seconds_between(opened, sla[name])) for name in ("first_response_due_at", "resolution_due_at")]
    assert (due, sla["breached"]) == ([900, 86_400], False)
    await desk.hear(webhooks.text(desk.chat(), stamp()))
    assert (await desk.show(shown["id"]))["sla"] == sla
    assert len(await told(desk, shown["id"], "conversation.targets_set")) == 1
    (first, second) = await told(desk, shown["id"], "message.received")
    assert dict(first["handling"])["targets"].startswith("answer by ")
    assert dict(second["handling"])["targets"] == "no new clock"


async def test_without_targets_nothing_is_decorated(desk: Desk) -> None:
    shown = await desk.open()
    assert shown["sla"] == {"first_response_due_at": None, "resolution_due_at": None, "breached": False}
    await configure(desk, None, 3600)
    assert (await desk.show(shown["id"]))["sla"] == shown["sla"]
    other = (await desk.open("5511987650002"))["sla"]
    assert (other["first_response_due_at"], other["resolution_due_at"] is None) == (None, False)


async def test_a_breach_comes_with_its_timer_once_and_shows_however_late_that_is(desk: Desk) -> None:
    await configure(desk)
    number = (await desk.open())["id"]
    await desk.workspace.rows(PAST, number)
    assert (await desk.show(number))["sla"]["breached"] is True
    assert await do_effects(desk.workspace, "inbox.check_targets") == 2
    for _ in range(2):
        await at(desk, number, datetime.now(UTC) + timedelta(days=2))
    missed = await told(desk, number, "conversation.target_missed")
    (targets,) = await told(desk, number, "conversation.targets_set")
    assert missed == [{"target": name, "due_at": targets[name]["due_at"]} for name in ("first_response", "resolution")]
    assert (await desk.show(number))["sla"]["breached"] is True


@pytest.mark.parametrize("from_phone", [False, True])
async def test_a_humans_answer_is_a_hit_by_panel_or_phone(desk: Desk, from_phone: bool) -> None:
    await configure(desk)
    number = (await desk.open())["id"]
    if from_phone:
        await desk.hear(webhooks.text(desk.chat(), stamp(from_me=True)))
    else:
        await desk.do("POST", f"/{number}/messages", json={"body": "Olá"})
    await at(desk, number, datetime.now(UTC) + timedelta(hours=1))
    assert await told(desk, number, "conversation.target_missed") == []
    shown = await desk.show(number)
    assert (shown["first_responded_at"] is not None, shown["sla"]["breached"]) == (True, False)


async def test_notes_and_bots_answer_nobody(desk: Desk) -> None:
    await configure(desk)
    on = {"enabled": True, "hours": NEVER, "pause_sla": False}
    assert (await desk.client.put(HOURS, json=on, headers=desk.workspace.owner.headers)).status_code == 200
    number = (await desk.open())["id"]
    await desk.do("POST", f"/{number}/messages", json={"body": "só para nós", "type": "note"})
    assert [message["author"]["type"] for message in await desk.thread(number)] == ["customer", "bot", "user"]
    await at(desk, number, datetime.now(UTC) + timedelta(hours=1))
    assert [one["target"] for one in await told(desk, number, "conversation.target_missed")] == ["first_response"]


async def test_a_target_of_the_past_is_missed_by_the_reply_itself_and_by_closing(desk: Desk) -> None:
    await configure(desk, 1, 1)
    replied, closed = (await desk.open())["id"], (await desk.open("5511987650002"))["id"]
    while (await desk.show(closed))["sla"]["breached"] is False:
        """Its second is not over."""
    await desk.do("POST", f"/{replied}/messages", json={"body": "Desculpe!"})
    await desk.do("POST", f"/{closed}/close")
    assert [one["target"] for one in await told(desk, replied, "conversation.target_missed")] == ["first_response", "resolution"]
    assert [one["target"] for one in await told(desk, closed, "conversation.target_missed")] == ["first_response", "resolution"]
    assert await do_effects(desk.workspace, "inbox.check_targets") == 4
    assert [len(await told(desk, number, "conversation.target_missed")) for number in (replied, closed)] == [2, 2]
    kinds = [event.removeprefix("conversation.") for event in await desk.events(closed)][-3:]
    assert kinds == ["closed", "target_missed", "target_missed"]
    trail = [entry["action"] for entry in await read_trail(desk.client, desk.workspace, subject="conversation")]
    assert trail[:2] == ["conversation.closed", "message.queued"]


async def test_a_target_of_the_past_is_missed_by_blocking_too(desk: Desk) -> None:
    await configure(desk, 1, None)
    shown = await desk.open()
    while (await desk.show(shown["id"]))["sla"]["breached"] is False:
        """Its second is not over."""
    await desk.client.post(f"/v1/contacts/{shown['contact']['id']}/block", headers=desk.workspace.owner.headers)
    kinds = [event.removeprefix("conversation.") for event in await desk.events(shown["id"])][-4:]
    assert kinds == ["blocked", "closed", "read", "target_missed"]
    assert await do_effects(desk.workspace, "inbox.check_targets") == 1
    assert len(await told(desk, shown["id"], "conversation.target_missed")) == 1


async def test_a_new_episode_has_clocks_of_its_own_and_keeps_its_targets(desk: Desk) -> None:
    await configure(desk)
    number = (await desk.open())["id"]
    await desk.do("POST", f"/{number}/close")
    await configure(desk, 60, None)
    reopened = (await desk.do("POST", f"/{number}/reopen"))["sla"]
    assert reopened == {"first_response_due_at": None, "resolution_due_at": None, "breached": False}
    await configure(desk, 600, 600)
    await desk.hear(webhooks.text(desk.chat(), stamp()))
    *_, begun, heard = await told(desk, number, "conversation.targets_set")
    assert (begun, heard["first_response"]["seconds"], "resolution" in heard) == ({"first_response": {"seconds": 60}}, 60, False)
    assert (await desk.show(number))["sla"]["first_response_due_at"] is not None


async def test_clocks_follow_the_hours_when_these_change(desk: Desk) -> None:
    await configure(desk)
    await set_hours(desk, NEVER)
    number = (await desk.open())["id"]
    assert (await desk.show(number))["sla"]["first_response_due_at"] is None
    await set_hours(desk, WEEK, pauses=False)
    assert await do_effects(desk.workspace, "inbox.retime") == 2
    due = (await desk.show(number))["sla"]["first_response_due_at"]
    assert 0 < (datetime.fromisoformat(due) - datetime.now(UTC)).total_seconds() <= 902
    assert await do_effects(desk.workspace, "inbox.check_targets") == 2
    assert [one["target"] for one in await told(desk, number, "conversation.target_missed")] == ["first_response", "resolution"]


async def test_snoozing_stops_no_clock(desk: Desk) -> None:
    await configure(desk)
    number = (await desk.open())["id"]
    await desk.do("POST", f"/{number}/snooze", json={"until": (datetime.now(UTC) + timedelta(days=3)).isoformat()})
    await at(desk, number, datetime.now(UTC) + timedelta(hours=1))
    assert [one["target"] for one in await told(desk, number, "conversation.target_missed")] == ["first_response"]


@pytest.mark.parametrize("closed", [0, 1])
async def test_what_goes_on_in_another_conversation_takes_its_clocks_along(desk: Desk, closed: int) -> None:
    await configure(desk)
    *numbers, both = await two_of_one(desk)
    await desk.do("POST", f"/{numbers[closed]}/close")
    (before,) = await desk.all()
    await desk.hear(named(both))
    shown = await desk.only()
    assert (shown["status"], shown["sla"]) == ("open", before["sla"])
    assert await do_effects(desk.workspace, "inbox.check_targets") == 4
    missed = await told(desk, shown["id"], "conversation.target_missed")
    assert [one["target"] for one in missed] == ["first_response", "resolution"]


async def test_a_snooze_ends_on_time_by_whichever_clock_and_says_since_when(desk: Desk) -> None:
    number = (await desk.open())["id"]
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    await desk.do("POST", f"/{number}/snooze", json={"until": (until - timedelta(days=1)).isoformat()})
    await desk.do("POST", f"/{number}/snooze", json={"until": until.isoformat()})
    assert await do_effects(desk.workspace, "inbox.wake") == 2
    (woken,) = await told(desk, number, "conversation.woken")
    assert (woken["reason"], datetime.fromisoformat(woken["previous_until"])) == ("time", until)
    owner = desk.workspace.owner
    principal = Principal(kind="panel", token_id=1, tenant=desk.workspace.tenant, user_id=owner.id, name=owner.name, role="owner")
    (change,) = await render(desk.app.state.kernel, principal, [fact for fact in await desk.log() if isinstance(fact.event, Woken)])
    shown = msgspec.json.decode(change.data)
    assert (change.event, shown["reason"], shown["snoozed_until"]) == ("ConversationUpdated", "time", None)
    assert datetime.fromisoformat(shown["previous_snooze_until"]) == until


async def test_the_configuration_is_the_owners_and_bounded(desk: Desk, ana: Member) -> None:
    put = partial(desk.client.put, CONFIG)
    assert (await put(json={}, headers=ana.headers)).status_code == 403
    for wrong in ({"first_response_seconds": 0}, {"resolution_seconds": 604_801}, {"resolution_seconds": "1h"}):
        assert (await put(json=wrong, headers=desk.workspace.owner.headers)).status_code == 422
    await configure(desk, 604_800, 60)
    assert (await put(json={"resolution_seconds": None}, headers=desk.workspace.owner.headers)).status_code == 200
    shown = (await desk.client.get(CONFIG, headers=ana.headers)).json()["data"]
    assert shown == {"first_response_seconds": 604_800, "resolution_seconds": None}
    trail = [entry for entry in await read_trail(desk.client, desk.workspace) if entry["action"] == "sla_config.updated"]
    assert [entry["after"] for entry in trail][::-1] == [
        {"first_response_seconds": 604_800, "resolution_seconds": 60},
        {"resolution_seconds": None},
    ]


SET = TargetsSet(Target(900, START, DUE), Target(3600, START, START + timedelta(hours=1)))
HAPPENED: list[Event] = [Opened(1, 1), Received(1, 1, "WA1", TEXT, START), SET]


def test_an_answer_at_the_very_instant_is_in_time() -> None:
    care = replay(Conversation(number=1), HAPPENED).care
    assert care.miss(DUE) == []
    assert care.miss(DUE + timedelta(microseconds=1)) == [TargetMissed("first_response", DUE)]


@given(
    st.lists(st.sampled_from(["reply", "phone", "bot", "message", "timer", "close"]), max_size=8),
    st.lists(st.integers(1, 40), min_size=8, max_size=8),
)
def test_each_target_is_missed_at_most_once_and_only_if_nobody_was_in_time(steps: list[str], minutes: list[int]) -> None:
    state, now, answered, closed = replay(Conversation(number=1), HAPPENED), START, None, None
    told: list[Event] = []
    for step, pause in zip(steps, minutes, strict=False):
        now += timedelta(minutes=pause)
        missed = state.care.miss(now) if step in ("reply", "phone", "timer", "close") else []
        happened: dict[str, Event] = {
            "reply": Queued(2, 1, TEXT, Author("user", 7, "Ana"), "c"),
            "phone": Echoed(2, 1, "WA2", TEXT, now),
            "bot": Queued(2, 1, TEXT, Author("bot"), "c"),
            "message": Received(2, 1, "WA3", TEXT, now),
            "timer": SurveyEnded(0, "nothing"),
            "close": Closed(),
        }
        if step in ("reply", "phone"):
            answered = answered or now
        told += missed
        state = replay(state, [happened[step], *missed])
        if step == "close":
            closed = now
            break
    looked = closed or now
    told += state.care.miss(looked)
    ends = {"first_response": (answered, DUE), "resolution": (None, START + timedelta(hours=1))}
    expected = {name for name, (hit, due) in ends.items() if looked > due and (hit is None or hit > due)}
    assert {event.target for event in told if isinstance(event, TargetMissed)} == expected
    assert len(told) == len(expected)
