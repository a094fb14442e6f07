"""Who of the staff looks at a ticket, who is answering it, and that the others hear of it at once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from litestar import Litestar

from plixa.kernel.realtime import Feed, Pace
from plixa.kernel.wake import Listener
from plixa.support.queries.realtime import Watch
from tests.backoffice.crew import Staff
from tests.identity.people import change
from tests.support_desk.counter_side import Counter

LATER = "UPDATE ticket_viewer SET seen_at = seen_at - interval '30 seconds' WHERE tenant_id = $1 AND staff_id = $2"
ENTRIES = "SELECT count(*) AS found FROM event WHERE tenant_id = $1"
PATIENCE = 20


async def test_each_hears_who_else_is_there_and_answering(counter: Counter, bruna: Staff, caio: Staff) -> None:
    number = await counter.open()
    path = f"/support/tickets/{number}/viewing"
    before = await counter.workspace.rows(ENTRIES)
    assert await bruna.do("POST", path) == []
    (seen,) = await caio.do("POST", path, json={"replying": True})
    assert (seen["admin_id"], seen["name"], seen["replying"]) == (bruna.id, "Bruna", False)
    (answering,) = await bruna.do("POST", path)
    assert (answering["admin_id"], answering["replying"]) == (caio.id, True)
    again = await caio.do("POST", path)
    assert again[0]["since"] == seen["since"]
    assert [one["name"] for one in (await bruna.do("GET", f"/support/tickets/{number}"))["viewers"]] == ["Bruna", "Caio"]
    assert await counter.workspace.rows(ENTRIES) == before


async def test_whoever_gives_no_sign_for_thirty_seconds_is_gone(counter: Counter, bruna: Staff, caio: Staff) -> None:
    number = await counter.open()
    path = f"/support/tickets/{number}/viewing"
    await caio.do("POST", path)
    since = (await bruna.do("POST", path))[0]["since"]
    await change(counter.workspace.kernel, LATER, counter.workspace.tenant, caio.id)
    assert await bruna.do("POST", path) == []
    await caio.do("POST", path)
    assert (await bruna.do("POST", path))[0]["since"] > since


async def test_tickets_are_looked_at_one_by_one(counter: Counter, bruna: Staff, caio: Staff) -> None:
    numbers = [await counter.open(), await counter.open()]
    await caio.do("POST", f"/support/tickets/{numbers[0]}/viewing")
    assert await bruna.do("POST", f"/support/tickets/{numbers[1]}/viewing") == []
    assert (await bruna.call("POST", f"/support/tickets/{2**40}/viewing")).status_code == 404


async def always() -> bool:
    return True


async def until(chunks: AsyncGenerator[bytes, None], *wanted: bytes) -> bytes:
    """What a stream said until it had said all that is wanted."""
    heard = b""
    async with asyncio.timeout(PATIENCE):
        async for chunk in chunks:
            heard += chunk
            if all(one in heard for one in wanted):
                return heard
    raise AssertionError(heard)


async def test_a_ticket_is_followed_live_with_whoever_comes_and_goes(app: Litestar, counter: Counter, bruna: Staff, caio: Staff) -> None:
    number, other = await counter.open(), await counter.open("Another")
    workspace = counter.workspace
    feed = Feed(workspace.kernel, Listener(None), Pace(poll=0.05, check=0.05, heartbeat=60))
    watch = Watch(workspace.kernel, app.state.settings, workspace.tenant, number)
    async with aclosing(feed.follow(workspace.tenant, None, watch.render, always, watch.beside)) as chunks:
        await until(chunks, b"retry:")
        await caio.do("POST", f"/support/tickets/{number}/viewing", json={"replying": True})
        heard = await until(chunks, b"TicketViewersChanged", b"\n\n")
        told = msgspec.json.decode(heard.partition(b"data: ")[2].partition(b"\n")[0])
        assert [(one["name"], one["replying"]) for one in told["viewers"]] == [("Caio", True)]
        await counter.say(other, "Elsewhere")
        await bruna.do("POST", f"/support/tickets/{number}/messages", json={"body": "Among us", "internal": True})
        await bruna.do("POST", f"/support/tickets/{number}/priority", json={"priority": "high"})
        heard = await until(chunks, b"Among us", b'"priority":"high"')
        assert b"Elsewhere" not in heard
        await change(workspace.kernel, LATER, workspace.tenant, caio.id)
        assert b'"viewers":[]' in await until(chunks, b"TicketViewersChanged")
