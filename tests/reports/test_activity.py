"""What is counted of an inbox is the same whether it is followed event by event or made anew, also after conversations were erased."""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from plixa.kernel.assembly import assemble, running
from plixa.kernel.projector import catch_up
from plixa.kernel.rebuild import Pace, rebuild
from plixa.kernel.settings import Settings
from projections.activity import activity, waits
from projections.registry import BY_NAME, INLINE
from tests.support.histories import History, fingerprints

TENANTS = (41, 42)
DAMAGE = ("DELETE FROM inbox_activity WHERE id % 3 = 0", "UPDATE inbox_wait SET answers = '[]', is_over = NOT is_over")


async def test_a_rebuild_counts_what_was_counted_as_it_happened(settings: Settings, fresh_databases: Callable[[], Awaitable[str]]) -> None:
    own = replace(settings, database_url=await fresh_databases())
    machinery = assemble(own, INLINE)
    async with running(machinery):
        histories = [await History(machinery.kernel, tenant, 7 + tenant).begin() for tenant in TENANTS]
        for pace in (1, 3, 5, 200, 2, 40) * 3:
            for history in histories:
                await history.go_on(pace if pace < 50 else 20)
                for projection in (activity, waits):
                    await catch_up(machinery.kernel, projection, history.tenant, batch=pace)
        before = await fingerprints(str(own.database_url))
        async with machinery.kernel.system.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM inbox_activity WHERE received > 0") > 10
            assert await connection.fetchval("SELECT count(*) FROM counter WHERE projection = 'inbox_wait' AND value <> 0") > 0
            for statement in DAMAGE:
                await connection.execute(statement)
        assert await fingerprints(str(own.database_url)) != before
        await rebuild(own, BY_NAME["activity"], pace=Pace(20, 10))
        assert await fingerprints(str(own.database_url)) == before
