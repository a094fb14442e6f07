"""Mails about tickets, read back from a real SMTP server: to whoever asked, and to whoever of the staff should answer."""

from collections import defaultdict
from email import message_from_bytes, policy
from typing import Any

import pytest

from plixa.kernel.delivery import deliver
from plixa.notifications.actors.mail import Actors
from plixa.notifications.client import SmtpMailer
from tests.backoffice.crew import Staff
from tests.identity.people import change
from tests.notifications.servers import MAILING, SENDER, Sink, smtp
from tests.support.world import Member
from tests.support_desk.counter_side import Counter

LOCALE = "UPDATE member SET locale = $3 WHERE tenant_id = $1 AND id = $2"
AGAIN = "UPDATE outbox SET state = 'waiting', attempts = 0 WHERE tenant_id = $1 AND kind = 'support.tell_staff'"
HASTEN = """UPDATE outbox SET due_at = now() WHERE tenant_id = ANY($1::bigint[]) AND kind = 'mail.send' AND state = 'waiting'
RETURNING tenant_id, id"""


async def posted(counter: Counter) -> dict[str, list[tuple[str, str]]]:
    """Send whatever waits, of the workspace and of the platform; subject and text of what came to each address."""
    kernel, sink = counter.workspace.kernel, Sink()
    with smtp(sink) as port:
        handlers = Actors(SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER, MAILING, secure=True)).handlers()
        async with kernel.system.connection() as connection:
            rows = await connection.fetch(HASTEN, [0, counter.workspace.tenant])
        for row in sorted(rows, key=lambda one: one["id"]):
            assert await deliver(kernel, handlers, row["tenant_id"], row["id"])
    found = defaultdict[str, list[tuple[str, str]]](list)
    for envelope in sink.envelopes:
        found[envelope.rcpt_tos[0]].append(read(envelope.content))
    return found


def read(content: Any) -> tuple[str, str]:
    """Subject and plain text of a mail."""
    mail = message_from_bytes(content, policy=policy.default)
    text = mail.get_body(("plain",))
    assert text is not None
    return str(mail["Subject"]), " ".join(str(text.get_content()).split())


@pytest.mark.parametrize(("locale", "word"), [("pt-BR", "respondeu"), ("es", "respondido"), ("en", "answered")])
async def test_whoever_asked_is_mailed_in_their_language(counter: Counter, bruna: Staff, ana: Member, locale: str, word: str) -> None:
    await change(counter.workspace.kernel, LOCALE, counter.workspace.tenant, ana.id, locale)
    made = await counter.do("POST", member=ana, json={"subject": "Slow app", "body": "Help"})
    number = made["id"]
    await bruna.do("POST", f"/support/tickets/{number}/messages", json={"body": "A note of ours", "internal": True})
    await bruna.do("POST", f"/support/tickets/{number}/messages", json={"body": "Which <b>app</b>?"})
    ((subject, text),) = (await posted(counter))[ana.email]
    assert "Slow app" in subject
    assert all(part in text for part in (word, "Bruna", "Which <b>app</b>?", f"/support/tickets/{number}"))
    assert "A note of ours" not in text
    assert ana.email not in await posted(counter)


async def test_staff_are_mailed_of_what_customers_write_and_once_it_is_somebodys_only_they(
    counter: Counter, bruna: Staff, caio: Staff
) -> None:
    number = await counter.open("Slow app", "Since " + "x" * 600)
    assert await counter.work("support.tell_staff") == 1
    told = await posted(counter)
    for staff in (bruna, caio):
        ((subject, text),) = told[staff.email]
        assert subject == "Ticket of Lúcia Studios: Slow app"
        assert all(part in text for part in (f"Hello {staff.name}", "Lucia of Lúcia Studios", "xxx…", f"/admin/support/tickets/{number}"))
    await bruna.do("POST", f"/support/tickets/{number}/assign", json={"admin_id": caio.id})
    await counter.say(number, "Still slow")
    assert await counter.work("support.tell_staff") == 1
    told = await posted(counter)
    assert (bruna.email in told, len(told[caio.email])) == (False, 1)


async def test_what_is_told_twice_is_mailed_once(counter: Counter, bruna: Staff) -> None:
    """A worker that dies behind its mails does it all again."""
    await counter.open()
    await counter.work("support.tell_staff")
    await change(counter.workspace.kernel, AGAIN, counter.workspace.tenant)
    assert await counter.work("support.tell_staff") == 1
    assert len((await posted(counter))[bruna.email]) == 1


async def test_nobody_is_mailed_who_has_left(counter: Counter, bruna: Staff, ana: Member) -> None:
    made = await counter.do("POST", member=ana, json={"subject": "Slow app", "body": "Help"})
    left = await counter.client.delete(f"/v1/team/members/{ana.id}", headers=counter.workspace.owner.headers)
    assert left.status_code == 204
    before = await posted(counter)
    await bruna.do("POST", f"/support/tickets/{made['id']}/messages", json={"body": "Which?"})
    assert ana.email not in await posted(counter), before
    assert (await bruna.do("GET", f"/support/tickets/{made['id']}"))["opener"] == {"id": ana.id, "name": "Ana", "email": None}
