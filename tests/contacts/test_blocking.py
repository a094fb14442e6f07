"""Who is blocked is kept and not heard; who wants no broadcasts is remembered, and provably so."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from plixa.contacts.actors import handlers
from plixa.contacts.commands.opt_out import KEYWORD, opt_in, opt_out
from plixa.contacts.domain.people import wish_of
from plixa.contacts.queries.people import is_opted_out
from plixa.kernel.rebuild import rebuild
from plixa.kernel.settings import Settings
from plixa.kernel.uow import perform, working
from plixa.whatsapp.client import FoundMessage, SendText, Sent
from projections.registry import INLINE
from tests.contacts.directory import add, ask, do, found, get, refused
from tests.identity.tokens import set_plan
from tests.inbox.desk import Desk, stamp
from tests.inbox.test_arrivals import named, two_of_one
from tests.inbox.test_erasing import read_models
from tests.support.effects import do_effects
from tests.support.numbers import connect_number
from tests.support.trail import read_trail
from tests.support.world import Member
from tests.whatsapp import webhooks

PHONE = "5511987654321"


async def test_what_a_blocked_contact_writes_is_kept_and_changes_nothing_else(desk: Desk, settings: Settings) -> None:
    beside = Desk(desk.workspace, await connect_number(settings, desk.workspace), desk.client, desk.app)
    number = (await desk.open())["id"]
    contact = (await desk.show(number))["contact"]["id"]
    await desk.do("POST", f"/{number}/snooze", json={"until": "2027-01-05T10:00:00Z"})
    shown = await do(desk, "POST", f"/{contact}/block")
    assert (shown["blocked"], await do(desk, "POST", f"/{contact}/block")) == (True, shown)
    await desk.hear(webhooks.text(desk.chat(), stamp(), "spam"))
    await beside.hear(webhooks.text(beside.chat(), stamp(), "spam"))
    conversation = await desk.show(number)
    assert (conversation["status"], conversation["unread_count"], conversation["snoozed_until"]) == ("closed", 0, None)
    assert (conversation["contact"]["blocked"], conversation["last_message"]["body"]) == (True, "spam")
    assert (await desk.all(), len(await desk.all(status="closed"))) == ([], 2)
    counts = await desk.do("GET", "/counts")
    assert (counts["all"], counts["unread"], counts["closed"]) == (0, 0, 2)
    incremental = await read_models(desk)
    await rebuild(settings, INLINE, desk.workspace.tenant)
    assert await read_models(desk) == incremental
    assert await do(desk, "DELETE", f"/{contact}/block") is None
    assert (await desk.show(number))["status"] == "closed"
    await desk.hear(webhooks.text(desk.chat(), stamp(), "desculpe"))
    conversation = await desk.show(number)
    assert (conversation["status"], conversation["unread_count"], conversation["contact"]["blocked"]) == ("open", 1, False)
    trail = await read_trail(desk.client, desk.workspace, subject="contact")
    assert [(one["action"], one["before"], one["after"]) for one in trail] == [
        ("contact.unblocked", None, None),
        ("contact.blocked", None, None),
    ]
    assert await desk.is_sound()


async def test_nothing_is_sent_to_who_is_blocked(desk: Desk) -> None:
    await set_plan(desk.workspace.kernel, desk.workspace.tenant, "professional")
    desk.forget()
    opened, nobody = await desk.open(), await add(desk, "5521912345678")
    for contact in (opened["contact"]["id"], nobody["id"]):
        await do(desk, "POST", f"/{contact}/block")
    place = f"/{opened['id']}"
    refusals = [await desk.call("POST", f"{place}/messages", json={"body": "Oi"})]
    refusals += [await desk.call("POST", f"{place}/media-messages", files={"file": ("a.txt", b"Oi")})]
    for phone in (PHONE, "5521912345678"):
        body = {"phone": phone, "body": "Oi"}
        refusals.append(await desk.client.post("/v1/messages/send", json=body, headers=desk.workspace.owner.headers))
    assert [refused(answer) for answer in refusals] == [(409, "CONTACT_BLOCKED")] * 4
    assert await desk.workspace.rows("SELECT id FROM outbox WHERE tenant_id = $1 AND kind = 'inbox.send'") == []
    assert (await desk.call("POST", f"{place}/messages", json={"body": "spam", "type": "note"})).status_code == 201
    assert len(await desk.all(status="all")) == 1


class Phone:
    """A gateway that keeps what it was to send; ``meanwhile`` happens while it looks a message up."""

    def __init__(self, meanwhile: Callable[[], Awaitable[Any]] | None = None) -> None:
        self.sent: list[str] = []
        self.meanwhile = meanwhile

    async def send_text(self, _name: str, message: SendText) -> Sent:
        self.sent.append(message.text)
        return Sent(f"WA{len(self.sent)}", "5511987654321@s.whatsapp.net", "PENDING", 0)

    async def find_messages(self, _name: str, _jid: str, _since: datetime) -> list[FoundMessage]:
        if self.meanwhile is not None:
            await self.meanwhile()
        return []


async def test_what_waits_to_be_sent_to_who_is_blocked_is_not_sent_and_says_so(desk: Desk) -> None:
    number = (await desk.open())["id"]
    contact = (await desk.show(number))["contact"]["id"]
    for body in ("um", "dois"):
        await desk.do("POST", f"/{number}/messages", json={"body": body})
    await do(desk, "POST", f"/{contact}/block")
    await do(desk, "DELETE", f"/{contact}/block")
    phone = Phone()
    await do_effects(desk.workspace, "inbox.send", phone)
    _, *unsent = await desk.thread(number)
    reason = "The contact was blocked before this message was sent."
    assert (phone.sent, [(one["status"], one["error"]) for one in unsent]) == ([], [("failed", reason)] * 2)


async def test_what_may_have_gone_out_before_the_block_is_looked_for_and_not_sent_again(desk: Desk) -> None:
    number = (await desk.open())["id"]
    contact = (await desk.show(number))["contact"]["id"]
    await desk.do("POST", f"/{number}/messages", json={"body": "um"})
    await desk.workspace.rows("UPDATE inbox_message SET in_doubt = true WHERE tenant_id = $1 AND direction = 'out' RETURNING id")
    phone = Phone(meanwhile=partial(do, desk, "POST", f"/{contact}/block"))
    assert await do_effects(desk.workspace, "inbox.send", phone) == 1
    assert (phone.sent, (await desk.thread(number))[-1]["status"]) == ([], "failed")


async def test_who_turns_out_to_be_somebody_blocked_is_blocked(desk: Desk) -> None:
    hidden, _, both = await two_of_one(desk)
    await do(desk, "POST", f"/{(await desk.show(hidden))['contact']['id']}/block")
    await desk.hear(named(both))
    conversation = await desk.only()
    assert (conversation["status"], conversation["contact"]["blocked"], conversation["unread_count"]) == ("closed", True, 0)
    assert (await get(desk, f"/{conversation['contact']['id']}"))["blocked"]


@pytest.mark.parametrize("word", ["STOP", "sair", "Parar", " cancelar\n", "BAJA", "unsubscribe", "SAÍR", "ＳＴＯＰ", "parár"])
def test_a_word_alone_asks_for_no_more(word: str) -> None:
    assert wish_of(word) == "out"


@pytest.mark.parametrize("word", ["START", "voltar", " Voltar "])
def test_a_word_alone_asks_for_broadcasts_again(word: str) -> None:
    assert wish_of(word) == "in"


@pytest.mark.parametrize("word", ["", "pare", "sair?", "quero sair", "stop it", "não parar", "s a i r", "STOP" * 20, "ssair"])
def test_anything_else_asks_for_nothing(word: str) -> None:
    assert wish_of(word) is None


async def test_members_opt_somebody_out_and_the_owner_in_again(desk: Desk, ana: Member) -> None:
    contact = (await add(desk))["id"]
    answer = await ask(desk, "POST", f"/{contact}/opt-out", ana, json={"reason": "complaint"})
    shown = answer.json()["data"]
    assert (answer.status_code, shown["opted_out"], shown["opt_out_reason"]) == (200, True, "complaint")
    again = await do(desk, "POST", f"/{contact}/opt-out", {"reason": "other"})
    assert again == shown
    for reason in ("", "because", None):
        assert (await ask(desk, "POST", f"/{contact}/opt-out", json={"reason": reason})).status_code == 422
        assert (await ask(desk, "DELETE", f"/{contact}/opt-out", params={"reason": reason or "x"})).status_code == 422
    assert (await ask(desk, "DELETE", f"/{contact}/opt-out", params={"reason": "consent"})).status_code == 204
    assert (await ask(desk, "DELETE", f"/{contact}/opt-out", params={"reason": "consent"})).status_code == 204
    assert (await get(desk, f"/{contact}"))["opted_out"] is False
    trail = await read_trail(desk.client, desk.workspace, subject="contact", subject_id=contact)
    assert [(one["action"], one["actor"]["id"], one["after"]) for one in trail[:2]] == [
        ("contact.opted_in", desk.workspace.owner.id, {"reason": "consent"}),
        ("contact.opted_out", ana.id, {"reason": "complaint"}),
    ]
    assert len(trail) == 3


async def test_a_word_of_their_own_is_remembered_once(desk: Desk) -> None:
    contact = (await desk.open())["contact"]["id"]
    async with working(desk.workspace.kernel, desk.workspace.tenant) as uow:
        assert [await perform(uow, lambda: opt_out(uow, contact, KEYWORD)) for _ in range(2)] == [True, False]
        assert await is_opted_out(uow, contact)
        assert await found(desk, opted_out=True) == [contact]
        assert [await perform(uow, lambda: opt_in(uow, contact)) for _ in range(2)] == [True, False]
        assert not await is_opted_out(uow, contact)


@pytest.mark.parametrize("end", ["DELETE", "POST"], ids=["deleted", "erased"])
async def test_who_wanted_no_broadcasts_wants_none_after_they_were_forgotten(desk: Desk, end: str) -> None:
    phones = (PHONE, "5521912345678", "5531900001111", "5541900002222")
    lid = "84000000000012"
    for phone in phones:
        contact = (await add(desk, phone))["id"]
        await do(desk, "POST", f"/{contact}/opt-out", {"reason": "legal"})
        await do(desk, end, f"/{contact}/erase" if end == "POST" else f"/{contact}")
    kept = await desk.workspace.rows("SELECT * FROM opt_out_kept WHERE tenant_id = $1")
    assert (len(kept), [phone for phone in phones for row in kept if phone[-8:] in str(row)]) == (4, [])
    assert (await add(desk, "551187654321"))["opted_out"]
    await desk.hear(webhooks.text(desk.chat("5521912345678"), stamp()))
    file = {"file": ("lista.csv", b"phone\n31900001111\n31900003333", "text/csv")}
    assert (await ask(desk, "POST", "/imports", files=file)).status_code == 201
    assert await do_effects(desk.workspace, "contacts.import", handlers=handlers()) == 1
    await desk.hear(webhooks.text(desk.chat(None, lid=lid), stamp()), named(desk.chat("5541900002222", lid=lid, version="2.3.6")))
    shown = {one["contact_phone"]: one["opted_out"] for one in await get(desk)}
    assert shown == {"551187654321": True, **dict.fromkeys(phones[1:], True), "5531900003333": False}
    back = (await get(desk, "/lookup", phone=PHONE))["id"]
    assert (await get(desk, f"/{back}"))["opt_out_reason"] == "legal"
    await ask(desk, "DELETE", f"/{back}/opt-out", params={"reason": "consent"})
    await do(desk, "DELETE", f"/{back}")
    assert not (await add(desk))["opted_out"]


async def test_whatever_is_done_while_they_write_is_done_once_and_whole(desk: Desk, settings: Settings) -> None:
    opened = await desk.open(name="")
    contact, doomed = opened["contact"]["id"], (await desk.open("5521912345678"))["contact"]["id"]
    told = [webhooks.text(desk.chat(phone), stamp(), f"#{turn}") for turn in range(12) for phone in (PHONE, "5521912345678")]
    doings = [
        ask(desk, "PATCH", f"/{contact}", json={"contact_name": "Caio Lima"}),
        ask(desk, "POST", f"/{contact}/opt-out", json={"reason": "asked"}),
        ask(desk, "POST", f"/{contact}/block"),
        ask(desk, "DELETE", f"/{doomed}"),
    ]
    answers, _, _ = await asyncio.gather(asyncio.gather(*doings), desk.hear_at_once(told[:12]), desk.hear_at_once(told[12:]))
    assert [answer.status_code for answer in answers] == [200, 200, 200, 204]
    shown = await get(desk, f"/{contact}")
    assert (shown["contact_name"], shown["opted_out"], shown["blocked"]) == ("Caio Lima", True, True)
    conversation, other = await desk.show(opened["id"]), (await desk.all())[0]
    assert (conversation["status"], conversation["unread_count"], conversation["contact_name"]) == ("closed", 0, "Caio Lima")
    assert (other["contact"]["id"] != doomed, len(await desk.all(status="all"))) == (True, 2)
    for number in (opened["id"], other["id"]):
        assert len(await desk.thread(number)) == 13
    incremental = await read_models(desk)
    await rebuild(settings, INLINE, desk.workspace.tenant)
    assert await read_models(desk) == incremental
    assert await desk.is_sound()
