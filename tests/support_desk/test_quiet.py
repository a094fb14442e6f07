"""What time does to tickets, and that the read model is what the log says."""

from typing import Any

import pytest

from plixa.kernel.rebuild import rebuild
from plixa.kernel.settings import Settings
from projections.registry import BY_NAME
from tests.backoffice.crew import Staff
from tests.identity.people import change
from tests.inbox.test_commands import PNG
from tests.support_desk.counter_side import Counter

TIMERS = """SELECT due_at - created_at AS waits FROM outbox WHERE tenant_id = $1 AND kind = 'support.close_quiet' ORDER BY id"""
TABLES = ("ticket", "ticket_message", "ticket_text")
DAMAGE = ("UPDATE ticket SET status = 'open', unread_by_staff = 9 WHERE tenant_id = $1", "DELETE FROM ticket_message WHERE tenant_id = $1")


async def test_solving_sets_a_timer_of_a_week(counter: Counter, bruna: Staff) -> None:
    number = await counter.open()
    await bruna.do("POST", f"/support/tickets/{number}/status", json={"status": "solved"})
    assert [round(row["waits"].total_seconds() / 86_400) for row in await counter.workspace.rows(TIMERS)] == [7]


@pytest.mark.parametrize(("days", "status"), [(7.01, "closed"), (6.9, "solved")])
async def test_a_solved_ticket_is_closed_when_its_week_is_over(counter: Counter, bruna: Staff, days: float, status: str) -> None:
    number = await counter.old("solved", days)
    await counter.ring(number, days)
    shown = await counter.do("GET", f"/{number}")
    assert (shown["status"], shown["closed_at"] is not None) == (status, status == "closed")
    history = await bruna.do("GET", f"/support/tickets/{number}/events")
    if status == "closed":
        assert (history[0]["data"]["reason"], history[0]["actor"]["type"]) == ("quiet", "system")
    assert len(history) == (3 if status == "closed" else 2)


async def test_a_word_said_meanwhile_keeps_it(counter: Counter, bruna: Staff) -> None:
    number = await counter.old("solved", days=6)
    await bruna.do("POST", f"/support/tickets/{number}/messages", json={"body": "Does it work now?"})
    assert len(await counter.workspace.rows(TIMERS)) == 1
    await counter.ring(number, 1)
    assert (await counter.do("GET", f"/{number}"))["status"] == "solved"
    await counter.say(number, "No")
    await counter.ring(number, 30)
    assert (await counter.do("GET", f"/{number}"))["status"] == "open"


async def test_a_rebuild_yields_what_the_commands_wrote(counter: Counter, bruna: Staff, settings: Settings) -> None:
    first, second = await counter.open("Uma árvore", "Caiu"), await counter.open()
    await bruna.do("POST", f"/support/tickets/{first}/messages", data={"body": "Onde?"}, files={"attachments": ("mapa.png", PNG)})
    await counter.say(first, "Aqui")
    await bruna.do("POST", f"/support/tickets/{first}/messages", json={"body": "Feito", "status": "solved"})
    await counter.do("POST", f"/{first}/rating", json={"rating": 5, "comment": "Rápido"})
    await counter.do("POST", f"/{second}/close")
    await counter.do("POST", f"/{second}/reopen")
    tag = (await bruna.do("POST", "/support/tags", json={"name": f"Rebuilt {first}"}))["id"]
    await bruna.do("PUT", f"/support/tickets/{second}/tags", json={"tag_ids": [tag]})
    await bruna.do("POST", f"/support/tickets/{second}/assign", json={"admin_id": bruna.id})
    before = await kept(counter)
    for statement in DAMAGE:
        await change(counter.workspace.kernel, statement, counter.workspace.tenant)
    assert await kept(counter) != before
    await rebuild(settings, BY_NAME["tickets"], counter.workspace.tenant)
    assert await kept(counter) == before
    await rebuild(settings, BY_NAME["tickets"])
    assert await kept(counter) == before


async def kept(counter: Counter) -> list[Any]:
    """Everything the read models have of the workspace."""
    found: list[Any] = [await counter.workspace.rows(f"SELECT * FROM {table} WHERE tenant_id = $1 ORDER BY id") for table in TABLES]
    counts = "SELECT key, value FROM counter WHERE tenant_id = $1 AND projection = 'ticket' AND value <> 0 ORDER BY key"
    return [*found, await counter.workspace.rows(counts)]
