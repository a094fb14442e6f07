"""Entries are added to their subject's stream whatever it holds and whoever else writes."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from plixa.identity.commands import InvalidCredentials, open_session
from plixa.kernel.audit import OPEN_LOG, record, trail
from plixa.kernel.event_store import stream_id
from plixa.kernel.log import read_stream
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.kernel.verify import verify_chain
from tests.identity.people import entries, registered, value

Command = Callable[[UnitOfWork], Awaitable[None]]


async def test_entries_of_one_commit_keep_their_order_and_their_streams(kernel: Kernel) -> None:
    async def command(uow: UnitOfWork) -> None:
        for step, subject in enumerate((("label", 1), ("label", 2), ("sector", 1), ("label", 1))):
            await record(uow, f"step.{step}", subject, {"name": "before"}, {"name": "after"})

    tenant = await new_log(kernel)
    await commit(kernel, tenant, command)
    found = await entries(kernel, tenant)
    assert [(entry.action, entry.subject, entry.subject_id, fact.version) for fact, entry in found] == [
        ("step.0", "label", 1, 1),
        ("step.1", "label", 2, 1),
        ("step.2", "sector", 1, 1),
        ("step.3", "label", 1, 2),
    ]
    assert (found[0][1].before, found[0][1].after) == ({"name": "before"}, {"name": "after"})
    assert len(await read_stream(kernel, tenant, stream_id("audit/label", 1))) == 2


async def test_parallel_writers_of_one_new_subject_lose_no_entry(kernel: Kernel) -> None:
    async def command(uow: UnitOfWork) -> None:
        await record(uow, "label.renamed", ("label", 1))

    tenant = await new_log(kernel)
    await asyncio.gather(*(commit(kernel, tenant, command) for _ in range(30)))
    assert [fact.version for fact, _ in await entries(kernel, tenant)] == list(range(1, 31))
    assert (await verify_chain(kernel.system, tenant)).fault is None


async def test_a_long_trail_goes_on(kernel: Kernel) -> None:
    async def command(uow: UnitOfWork) -> None:
        for _ in range(101):
            await record(uow, "label.renamed", ("label", 1))

    tenant = await new_log(kernel)
    await commit(kernel, tenant, command)
    await commit(kernel, tenant, command)
    assert len(await entries(kernel, tenant)) == 202


async def test_a_trail_whose_key_was_destroyed_goes_on_with_a_new_one(kernel: Kernel) -> None:
    async def command(uow: UnitOfWork) -> None:
        await record(uow, "label.renamed", ("label", 1))

    tenant = await new_log(kernel)
    await commit(kernel, tenant, command)
    async with kernel.system.connection() as connection:
        await connection.execute("DELETE FROM stream_key WHERE tenant_id = $1", tenant)
    await commit(kernel, tenant, command)
    assert await value(kernel, "SELECT max(version) FROM event WHERE tenant_id = $1", tenant) == 2
    verdict = await verify_chain(kernel.system, tenant)
    assert (verdict.fault, verdict.proven) == (None, 2)


async def test_nothing_is_kept_of_what_was_undone(client: httpx.AsyncClient, kernel: Kernel) -> None:
    """As when the password changes between its check and the new session."""
    data = await registered(client)

    async def command(uow: UnitOfWork) -> None:
        await record(uow, "member.signed_in", ("member", data["user"]["id"]))
        await open_session(uow, data["user"]["id"], "a hash that is no longer the member's")

    with pytest.raises(InvalidCredentials):
        await commit(kernel, data["tenant"]["id"], command)
    assert len(await entries(kernel, data["tenant"]["id"])) == 1
    tokens = "SELECT count(*) FROM access_token WHERE tenant_id = $1"
    assert await value(kernel, tokens, data["tenant"]["id"]) == 1


async def test_what_follows_a_commit_does_so_once_and_never_without_it(kernel: Kernel) -> None:
    done: list[str] = []

    async def command(uow: UnitOfWork) -> None:
        uow.after_commit(lambda: done.append("saved"))
        await record(uow, "label.renamed", ("label", 1))
        assert done == []

    async def refused(uow: UnitOfWork) -> None:
        await command(uow)
        raise InvalidCredentials

    tenant = await new_log(kernel)
    with pytest.raises(InvalidCredentials):
        await commit(kernel, tenant, refused)
    assert done == []
    await commit(kernel, tenant, command)
    assert done == ["saved"]


async def test_every_kind_of_subject_has_streams_of_its_own() -> None:
    assert trail("label") is trail("label")
    assert trail("label").KIND != trail("sector").KIND


async def new_log(kernel: Kernel) -> int:
    """A tenant that is nothing but a log."""
    tenant = await kernel.numbers.next("tenant_number")
    async with working(kernel, tenant) as uow:
        await perform(uow, lambda: uow.execute(OPEN_LOG))
    return tenant


async def commit(kernel: Kernel, tenant: int, command: Command) -> None:
    async with working(kernel, tenant) as uow:
        await perform(uow, lambda: command(uow))
