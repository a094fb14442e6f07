"""What is among staff stays among staff: a canary in every note, tag, name and file is looked for in all a customer can get at."""

import secrets
from typing import Any

import msgspec
import pytest
from litestar import Litestar

from plixa.kernel.auth import Principal
from plixa.kernel.log import read_log
from plixa.kernel.mail import open_mail
from plixa.kernel.realtime import Change
from plixa.support.queries.realtime import render
from tests.backoffice.crew import Staff
from tests.inbox.test_commands import PNG
from tests.support.operations import operations
from tests.support.trail import follow_log
from tests.support_desk.counter_side import Counter

MAILS = "SELECT key, payload FROM outbox WHERE tenant_id = $1 AND kind = 'mail.send'"
PRIORITY = "urgent"


class Secret(msgspec.Struct, frozen=True):
    """A ticket of which staff know more than its customer."""

    number: int
    canary: str
    file: int
    tag: int


@pytest.fixture
async def secret(counter: Counter, bruna: Staff, caio: Staff) -> Secret:
    canary = f"canary{secrets.token_hex(6)}"
    number = await counter.open("Help", "Please")
    path = f"/support/tickets/{number}"
    form: dict[str, Any] = {"data": {"body": canary, "internal": "true"}, "files": {"attachments": (f"{canary}.png", PNG)}}
    noted = await bruna.do("POST", f"{path}/messages", **form)
    tag = (await bruna.do("POST", "/support/tags", json={"name": canary}))["id"]
    await bruna.do("PUT", f"{path}/tags", json={"tag_ids": [tag]})
    await bruna.do("POST", f"{path}/priority", json={"priority": PRIORITY})
    await bruna.do("POST", f"{path}/assign", json={"admin_id": caio.id})
    await bruna.do("POST", f"{path}/viewing", json={"replying": True})
    await bruna.do("POST", "/support/canned-replies", json={"title": canary, "body": canary})
    await bruna.do("POST", f"{path}/messages", json={"body": "An answer for everybody", "status": "solved"})
    await counter.do("POST", f"/{number}/rating", json={"rating": 4})
    return Secret(number, canary, noted["messages"][1]["attachments"][0]["id"], tag)


def telling(secret: Secret, staff: Staff, text: str) -> list[str]:
    """What a text gives away."""
    signs = (secret.canary, PRIORITY, "Caio", "assigned_to", "assigned_admin", '"tags"', "viewers", "internal", "replying", staff.email)
    return [sign for sign in signs if sign in text]


async def test_no_answer_to_a_customer_tells_of_it(app: Litestar, counter: Counter, secret: Secret, caio: Staff) -> None:
    await follow_log(counter.workspace.kernel, counter.workspace.tenant)
    asked = 0
    for one in operations(app):
        if one.method == "GET" and "admin" not in one.path and (set(one.path.split("/")) & {"support", "audit-logs", "notifications"}):
            path = one.path.replace("{ticket_id}", str(secret.number)).replace("{attachment}", str(secret.file))
            answer = await counter.client.get(path, headers=counter.workspace.owner.headers)
            assert answer.status_code == (404 if "attachments" in path else 200), path
            assert telling(secret, caio, answer.text) == [], path
            asked += 1
    assert asked >= 5
    for path, body in (("messages", {"body": "Thanks"}), ("read", None), ("close", None), ("reopen", None)):
        answer = await counter.call("POST", f"/{secret.number}/{path}", json=body)
        assert (answer.status_code < 300, telling(secret, caio, answer.text)) == (True, []), path


async def test_the_workspaces_trail_keeps_it_and_does_not_show_it(counter: Counter, secret: Secret, bruna: Staff) -> None:
    kernel, tenant = counter.workspace.kernel, counter.workspace.tenant
    await follow_log(kernel, tenant)
    shown = await counter.client.get("/v1/audit-logs", params={"subject": "ticket"}, headers=counter.workspace.owner.headers)
    assert [one["action"] for one in shown.json()["data"]] == ["ticket.rated", "ticket.staff_replied", "ticket.opened"]
    for action in ("ticket.noted", "ticket.tagged", "ticket.prioritized", "ticket.assigned"):
        asked = await counter.client.get("/v1/audit-logs", params={"action": action}, headers=counter.workspace.owner.headers)
        assert asked.json()["data"] == []
        (entry,) = await bruna.do("GET", "/audit-logs", params={"tenant_id": tenant, "action": action})
        assert entry["subject"] == {"type": "ticket", "id": secret.number}
    exported = await counter.client.get("/v1/audit-logs/export", headers=counter.workspace.owner.headers)
    assert exported.status_code == 200
    assert "ticket.opened" in exported.text
    assert not {"ticket.noted", "ticket.tagged", "ticket.prioritized", "ticket.assigned"} & set(exported.text.replace('"', ",").split(","))


async def test_nothing_of_it_is_heard_live(counter: Counter, secret: Secret, caio: Staff) -> None:
    heard = await live(counter)
    assert {one.event for one in heard} == {"TicketUpdated", "TicketMessageCreated"}
    assert telling(secret, caio, b" ".join(one.data for one in heard).decode()) == []
    created = [msgspec.json.decode(one.data)["body"] for one in heard if one.event == "TicketMessageCreated"]
    assert created == ["Please", "An answer for everybody"]
    assert await live(counter, kind="api") == []


async def live(counter: Counter, kind: str = "panel") -> list[Change]:
    """What the whole log would have meant to a member who listened."""
    workspace, owner = counter.workspace, counter.workspace.owner
    member = Principal(kind=kind, token_id=1, tenant=workspace.tenant, user_id=owner.id, name=owner.name, role="owner")
    return await render(workspace.kernel, member, await read_log(workspace.kernel, workspace.tenant, 0))


async def test_no_mail_to_the_workspace_tells_of_it(counter: Counter, secret: Secret, caio: Staff) -> None:
    rows = await counter.workspace.rows(MAILS)
    kernel, tenant = counter.workspace.kernel, counter.workspace.tenant
    mails = [open_mail(kernel.vault, tenant, row["key"], msgspec.json.decode(row["payload"])) for row in rows]
    about = [mail for mail in mails if mail.template.startswith("ticket_")]
    assert [mail.values["excerpt"] for mail in about] == ["An answer for everybody"]
    assert telling(secret, caio, msgspec.json.encode(mails).decode()) == []


async def test_it_is_all_there_for_staff(secret: Secret, bruna: Staff) -> None:
    """The canary would be seen."""
    shown = str(await bruna.do("GET", f"/support/tickets/{secret.number}"))
    assert all(sign in shown for sign in (secret.canary, PRIORITY, "Caio", "viewers"))
