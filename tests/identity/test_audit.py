"""One entry of whatever a unit of work did, saved with it, whoever else writes."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import httpx
import pytest

from plixa.identity.commands.sessions import InvalidCredentials, open_session
from plixa.kernel.audit import OPEN_LOG, Untold, complete, record
from plixa.kernel.uow import Kernel, UnitOfWork, perform, working
from plixa.kernel.verify import verify_chain
from tests.identity.people import entries, registered, value

Command = Callable[[UnitOfWork], Awaitable[None]]


async def test_an_entry_is_a_stream_of_its_own_under_the_key_of_the_trail(kernel: Kernel) -> None:
    async def rename(uow: UnitOfWork, number: int) -> None:
        await record(uow, "label.renamed", ("label", number), {"name": "a"}, {"name": "b"})

    tenant = await new_log(kernel)
    for number in (1, 2, 1):
        await commit(kernel, tenant, partial(rename, number=number))
    found = await entries(kernel, tenant)
    assert [(entry.action, entry.subject, entry.subject_id, fact.version) for fact, entry in found] == [
        ("label.renamed", "label", 1, 1),
        ("label.renamed", "label", 2, 1),
        ("label.renamed", "label", 1, 1),
    ]
    assert (found[0][1].before, found[0][1].after) == ({"name": "a"}, {"name": "b"})
    assert len({fact.stream_id for fact, _ in found}) == 3
    assert await value(kernel, "SELECT count(*) FROM stream_key WHERE tenant_id = $1", tenant) == 1


async def test_a_unit_of_work_leaves_one_entry_and_no_second(kernel: Kernel) -> None:
    async def command(uow: UnitOfWork) -> None:
        await record(uow, "label.renamed", ("label", 1))
        await record(uow, "label.deleted", ("label", 1))

    tenant = await new_log(kernel)
    with pytest.raises(Untold, match="second entry"):
        await commit(kernel, tenant, command)
    assert await entries(kernel, tenant) == []


async def test_what_was_changed_in_silence_is_refused(kernel: Kernel) -> None:
    async def command(uow: UnitOfWork) -> None:
        await uow.execute("INSERT INTO checkpoint (tenant_id, projection) VALUES ($1, 'anything')")
        await complete(uow)

    tenant = await new_log(kernel)
    with pytest.raises(Untold, match="no entry"):
        await commit(kernel, tenant, command)


async def test_parallel_writers_of_a_new_trail_lose_no_entry(kernel: Kernel) -> None:
    async def command(uow: UnitOfWork) -> None:
        await record(uow, "label.renamed", ("label", 1))

    tenant = await new_log(kernel)
    await asyncio.gather(*(commit(kernel, tenant, command) for _ in range(30)))
    assert len(await entries(kernel, tenant)) == 30
    assert (await verify_chain(kernel.system, tenant)).fault is None


async def test_a_trail_whose_key_was_destroyed_is_silent_and_its_chain_whole(kernel: Kernel) -> None:
    async def command(uow: UnitOfWork) -> None:
        await record(uow, "label.renamed", ("label", 1))

    tenant = await new_log(kernel)
    await commit(kernel, tenant, command)
    async with kernel.system.connection() as connection:
        await connection.execute("DELETE FROM stream_key WHERE tenant_id = $1", tenant)
    assert await entries(kernel, tenant) == []
    verdict = await verify_chain(kernel.system, tenant)
    assert (verdict.fault, verdict.proven) == (None, 1)


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


async def new_log(kernel: Kernel) -> int:
    """A tenant that is nothing but a log."""
    tenant = await kernel.numbers.next("tenant_number")
    async with working(kernel, tenant) as uow:
        await perform(uow, lambda: uow.execute(OPEN_LOG))
    return tenant


async def commit(kernel: Kernel, tenant: int, command: Command) -> None:
    async with working(kernel, tenant) as uow:
        await perform(uow, lambda: command(uow))
