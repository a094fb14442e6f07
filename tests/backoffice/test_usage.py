"""What a workspace uses is what there is, whatever happened in which order, and whenever the log was followed."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from plixa.identity.commands.sessions import Entrance
from plixa.inbox.domain.events import Deleted, Echoed, Erased, Queued, Received
from plixa.kernel.assembly import assemble, running
from plixa.kernel.audit import AuditEntry
from plixa.kernel.media import NONCE, TAG
from plixa.kernel.migrations import migrate
from plixa.kernel.projector import catch_up
from plixa.kernel.rebuild import Pace, rebuild
from plixa.kernel.settings import Settings
from projections.registry import BY_NAME, INLINE
from projections.usage import files, last
from tests.backoffice.crew import Staff
from tests.inbox.desk import Desk, stamp
from tests.inbox.test_commands import PNG
from tests.inbox.test_files import work
from tests.support.effects import do_effects
from tests.support.histories import History, fingerprints
from tests.support.numbers import Number, connect_number
from tests.support.servers import on_database
from tests.support.trail import follow_log
from tests.support.world import Member, Workspace, add_agent
from tests.whatsapp import webhooks
from tests.whatsapp.webhooks import Chat, Stamp
from tests.workspace.test_deletion import COME, MADE, rows_of, schedule

COUNTED = ("members_count", "whatsapp_numbers_count", "messages_30d", "storage_bytes", "last_activity_at")
TALK = [kind.TOPIC for kind in (Received, Echoed, Queued, Deleted, Erased)]
NEWEST = """SELECT max(recorded_at) AS at FROM event WHERE tenant_id = $1 AND (topic = ANY($2::text[])
OR (topic = $3 AND actor->>'type' IN ('member', 'token') AND actor->'impersonated_by' IS NULL))"""
MEMBERS = "SELECT id FROM member WHERE tenant_id = $1"
CONTACTS = "SELECT DISTINCT contact_id AS id FROM inbox_conversation WHERE tenant_id = $1 AND contact_id IS NOT NULL ORDER BY 1"
FILES = ("inbox.fetch_media", "inbox.delete_media")
DAY = """INSERT INTO counter (tenant_id, projection, key, value)
VALUES ($1, 'inbox_activity', (now() AT TIME ZONE 'UTC')::date - $2::int, $3) RETURNING key"""
BEFORE = """
INSERT INTO tenant (tenant_id, name, slug, country_code, timezone, locale, created_at) VALUES (7, 'L', 'l', 'BR', 'UTC', 'pt', now());
INSERT INTO member (tenant_id, name, email, password_hash, role, created_at)
VALUES (7, 'L', 'l@b.co', '', 'owner', now()), (7, 'A', 'a@b.co', '', 'agent', now());
INSERT INTO phone_instance (tenant_id, id, gateway_name, webhook_secret, status, created_at, removed_at)
VALUES (7, 1, 'a', '', 'connected', now(), NULL), (7, 2, 'b', '', 'disconnected', now(), now());
INSERT INTO inbox_activity (tenant_id, id, conversation_id, quarter, opened, reopened, closed, received, sent)
SELECT 7, n, 1, extract(epoch FROM timestamptz '2026-05-03 23:45Z' + n * interval '15 minutes') / 900, 1, 1, 1, n, 5 - n
FROM generate_series(0, 1) AS n UNION ALL SELECT 7, 9, 2, extract(epoch FROM timestamptz '2026-05-04 23:45Z') / 900, 0, 0, 0, 4, 0"""
DAMAGE = (
    "DELETE FROM stored_file WHERE id % 3 = 0",
    "UPDATE last_activity SET at = now()",
    "UPDATE counter SET value = value + 5 WHERE projection IN ('stored_file', 'inbox_activity')",
)


class Life:
    """What a workspace goes through, at random but the same for the same seed; it counts what was said itself."""

    def __init__(self, desk: Desk, entrance: Entrance, seed: int) -> None:
        self.desk, self.entrance, self.dice = desk, entrance, Random(seed)
        self.workspace, self.client = desk.workspace, desk.client
        self.pictures: list[tuple[Chat, Stamp]] = []
        self.agents: list[Member] = []
        self.numbers: list[Number] = []
        self.said = 0

    async def go_on(self, steps: int) -> None:
        """So many deeds; now and then the log is followed by a few events, or files are fetched and deleted."""
        deeds: dict[Callable[[], Awaitable[None]], int] = {
            self.customer_writes: 5,
            self.customer_sends_a_picture: 4,
            self.customer_takes_a_picture_back: 2,
            self.member_replies: 4,
            self.member_sends_a_file: 4,
            self.member_asks_for_help: 1,
            self.conversation_is_deleted: 2,
            self.contacts_are_merged: 3,
            self.contact_is_erased: 1,
            self.agent_joins: 2,
            self.agent_is_removed: 1,
            self.number_comes: 2,
            self.number_goes: 1,
            self.log_is_followed: 4,
            self.files_are_seen_to: 2,
        }
        for deed in self.dice.choices(list(deeds), list(deeds.values()), k=steps):
            await deed()

    def customer(self) -> Chat:
        """One of a few."""
        return self.desk.chat(f"551198765{self.dice.randrange(6):04}")

    async def customer_writes(self) -> None:
        await self.desk.hear(webhooks.text(self.customer(), stamp()))
        self.said += 1

    async def customer_sends_a_picture(self) -> None:
        self.pictures.append((self.customer(), stamp()))
        await self.desk.hear(webhooks.image(*self.pictures[-1]))
        self.said += 1

    async def customer_takes_a_picture_back(self) -> None:
        if self.pictures:
            await self.files_are_seen_to()
            await self.desk.hear(webhooks.revoke(*self.pictures.pop(self.dice.randrange(len(self.pictures)))))

    async def member_replies(self) -> None:
        for one in await self.some_conversation():
            await self.desk.do("POST", f"/{one}/messages", json={"body": "Oi"})
            self.said += 1

    async def member_sends_a_file(self) -> None:
        for one in await self.some_conversation():
            content = self.dice.randbytes(self.dice.randrange(1, 5000))
            await self.desk.do("POST", f"/{one}/media-messages", files={"file": ("a.bin", content)})
            self.said += 1

    async def member_asks_for_help(self) -> None:
        file = ("a.png", PNG + self.dice.randbytes(self.dice.randrange(1, 5000)))
        form: dict[str, Any] = {"data": {"subject": "Help", "body": "Look"}, "files": {"attachments": file}}
        answer = await self.client.post("/v1/support/tickets", headers=self.workspace.owner.headers, **form)
        assert answer.status_code == 201, answer.text

    async def conversation_is_deleted(self) -> None:
        for one in await self.some_conversation():
            await self.files_are_seen_to()
            await self.desk.do("DELETE", f"/{one}")

    async def contacts_are_merged(self) -> None:
        contacts = await self.contacts()
        if len(contacts) > 1:
            loser, winner = self.dice.sample(contacts, 2)
            await self.contact_deed(loser, "merge", {"into": winner})

    async def contact_is_erased(self) -> None:
        contacts = await self.contacts()
        if contacts:
            await self.files_are_seen_to()
            await self.contact_deed(self.dice.choice(contacts), "erase", None)

    async def agent_joins(self) -> None:
        self.agents.append(await add_agent(self.entrance, self.workspace, f"Ana{len(self.agents)}"))

    async def agent_is_removed(self) -> None:
        if self.agents:
            path = f"/v1/team/members/{self.agents.pop().id}"
            assert (await self.client.delete(path, headers=self.workspace.owner.headers)).status_code == 204

    async def number_comes(self) -> None:
        if len(self.numbers) < 3:
            self.numbers.append(await connect_number(self.entrance.settings, self.workspace))

    async def number_goes(self) -> None:
        if self.numbers:
            path = f"/v1/phone-instances/{self.numbers.pop().id}"
            assert (await self.client.delete(path, headers=self.workspace.owner.headers)).status_code == 204

    async def log_is_followed(self) -> None:
        for projection in BY_NAME["usage"]:
            await catch_up(self.workspace.kernel, projection, self.workspace.tenant, batch=self.dice.choice((1, 2, 7, 500)))

    async def files_are_seen_to(self) -> None:
        await work(self.desk, *FILES)

    async def some_conversation(self) -> list[int]:
        """One, or none where there is none."""
        listed = [one["id"] for one in await self.desk.all(status="all")]
        return self.dice.sample(listed, min(1, len(listed)))

    async def contacts(self) -> list[int]:
        """Those somebody talks to."""
        return [row["id"] for row in await self.workspace.rows(CONTACTS)]

    async def contact_deed(self, contact: int, deed: str, body: Any) -> None:
        """Something done to a contact."""
        answer = await self.client.post(f"/v1/contacts/{contact}/{deed}", json=body, headers=self.workspace.owner.headers)
        assert answer.status_code == 200, answer.text

    async def counted(self) -> dict[str, Any]:
        """By hand: what was said, every row, and every file in the store."""
        store = self.workspace.kernel.media
        stored = [len(await store.read(name)) - NONCE - TAG for name in await store.names(str(self.workspace.tenant))]
        (newest,) = await self.workspace.rows(NEWEST, TALK, AuditEntry.TOPIC)
        members, numbers = await self.workspace.rows(MEMBERS), 1 + len(self.numbers)
        return dict(zip(COUNTED, (len(members), numbers, self.said, sum(stored), newest["at"]), strict=True))


async def shown(staff: Staff, workspace: Workspace) -> dict[str, Any]:
    """What staff are shown of it, in the list and in full."""
    await follow_log(workspace.kernel, workspace.tenant)
    (row,) = await staff.do("GET", "/tenants", params={"q": workspace.owner.email})
    full = await staff.do("GET", f"/tenants/{workspace.tenant}")
    assert {name: full[name] for name in row} == row
    return {name: row[name] for name in COUNTED} | {"last_activity_at": datetime.fromisoformat(row["last_activity_at"])}


@pytest.mark.parametrize("seed", range(4))
async def test_usage_is_what_there_is(bruna: Staff, desk: Desk, entrance: Entrance, settings: Settings, seed: int) -> None:
    life, stored = Life(desk, entrance, seed), 0
    for _ in range(3):
        await life.go_on(40)
        await life.files_are_seen_to()
        counted = await life.counted()
        assert await shown(bruna, desk.workspace) == counted
        stored += counted["storage_bytes"]
    assert (life.said > 30, stored > 0) == (True, True)
    await rebuild(settings, BY_NAME["usage"], desk.workspace.tenant)
    assert await shown(bruna, desk.workspace) == await life.counted()


@pytest.mark.parametrize("way", ["into the later", "into the earlier"])
async def test_messages_of_merged_conversations_are_counted_when_both_are_erased(bruna: Staff, desk: Desk, way: str) -> None:
    begun = [await desk.open("5511911110001"), await desk.open("5511911110002")]
    loser, winner = (one["contact"]["id"] for one in (begun if way == "into the later" else begun[::-1]))
    for path, said in ((f"{loser}/merge", {"into": winner}), (f"{winner}/erase", None)):
        assert (await shown(bruna, desk.workspace))["messages_30d"] == 2
        answer = await desk.client.post(f"/v1/contacts/{path}", json=said, headers=desk.workspace.owner.headers)
        assert answer.status_code == 200, answer.text
    assert (await shown(bruna, desk.workspace))["messages_30d"] == 2


async def test_members_who_come_and_go_at_once_are_counted(bruna: Staff, lucia_studios: Workspace, entrance: Entrance) -> None:
    headers = lucia_studios.owner.headers

    async def go(member: Member) -> int:
        return (await bruna.client.delete(f"/v1/team/members/{member.id}", headers=headers)).status_code

    going = await asyncio.gather(*(add_agent(entrance, lucia_studios, f"Ana{place}") for place in range(6)))
    staying, gone = [add_agent(entrance, lucia_studios, f"Rui{place}") for place in range(6)], [go(one) for one in going]
    assert (await asyncio.gather(*staying, *gone))[6:] == [204] * 6
    assert (await shown(bruna, lucia_studios))["members_count"] == 7


async def test_what_there_was_before_it_was_counted_is_counted(fresh_database: str) -> None:
    server = await asyncpg.connect(fresh_database)
    name = f"{await server.fetchval('SELECT current_database()')}_before"
    await server.execute(f"CREATE DATABASE {name}")
    await server.close()
    url = on_database(fresh_database, name)
    await asyncio.to_thread(migrate, url, "0017")
    connection = await asyncpg.connect(url)
    await connection.execute(BEFORE)
    await asyncio.to_thread(migrate, url, "0018")
    rows = await connection.fetch("SELECT projection, key, value FROM counter WHERE tenant_id = 7 ORDER BY projection, key")
    await connection.close()
    assert [tuple(row) for row in rows] == [
        ("inbox_activity", "2026-05-03", 5),
        ("inbox_activity", "2026-05-04", 9),
        ("member", "rows", 2),
        ("phone_instance", "rows", 1),
    ]


async def test_thirty_days_count_and_no_day_more(bruna: Staff, desk: Desk) -> None:
    await desk.open()
    for days, messages in ((1, 10), (29, 100), (30, 1000), (31, 10_000)):
        assert await desk.workspace.rows(DAY, days, messages)
    today = datetime.now(UTC).date()
    found = (await shown(bruna, desk.workspace))["messages_30d"]
    assert found == 111 or datetime.now(UTC).date() != today


async def test_what_staff_do_is_no_activity_of_the_workspace(bruna: Staff, lucia_studios: Workspace) -> None:
    before = await shown(bruna, lucia_studios)
    token = (await bruna.impersonate(lucia_studios))["token"]
    await bruna.do("POST", f"/tenants/{lucia_studios.tenant}/license", json={"plan_key": "business"})
    changed = await bruna.client.patch("/v1/me", json={"name": "Lu"}, headers={"Authorization": f"Bearer {token}"})
    assert changed.status_code == 200
    assert await shown(bruna, lucia_studios) == before
    changed = await bruna.client.patch("/v1/me", json={"name": "Lucia"}, headers=lucia_studios.owner.headers)
    assert changed.status_code == 200
    after = await shown(bruna, lucia_studios)
    assert timedelta() < after["last_activity_at"] - before["last_activity_at"] < timedelta(minutes=1)


async def test_nothing_is_counted_of_a_workspace_that_is_gone(desk: Desk) -> None:
    begun = [(await desk.open(phone))["id"] for phone in ("5511911110001", "5511911110002")]
    for number in begun:
        await desk.do("POST", f"/{number}/media-messages", files={"file": ("a.bin", b"12345")})
    await desk.do("DELETE", f"/{begun[0]}")
    await follow_log(desk.workspace.kernel, desk.workspace.tenant)
    assert {"counter", files.name, last.name} <= set(await rows_of(desk.workspace))
    await schedule(desk)
    for statement in (COME, MADE):
        await desk.workspace.rows(statement)
    assert await do_effects(desk.workspace, "workspace.purge") == 1
    assert await do_effects(desk.workspace, "workspace.destroy") == 1
    await follow_log(desk.workspace.kernel, desk.workspace.tenant)
    assert set(await rows_of(desk.workspace)) == {"event", "log_head", "checkpoint"}


async def test_a_rebuild_counts_what_was_counted_as_it_happened(settings: Settings, fresh_databases: Callable[[], Awaitable[str]]) -> None:
    own = replace(settings, database_url=await fresh_databases())
    machinery = assemble(own, INLINE)
    async with running(machinery):
        histories = [await History(machinery.kernel, tenant, 3 + tenant).begin() for tenant in (51, 52)]
        for pace in (1, 3, 5, 200, 2, 40) * 3:
            for history in histories:
                await history.go_on(min(pace, 20))
                for projection in BY_NAME["usage"]:
                    await catch_up(machinery.kernel, projection, history.tenant, batch=pace)
        before = await fingerprints(str(own.database_url))
        async with machinery.kernel.system.connection() as connection:
            assert await connection.fetchval(f"SELECT count(*) FROM {files.name}") > 3
            assert await connection.fetchval(f"SELECT count(*) FROM {last.name}") == 2
            for statement in DAMAGE:
                await connection.execute(statement)
        assert await fingerprints(str(own.database_url)) != before
        await rebuild(own, BY_NAME["usage"], pace=Pace(20, 10))
        assert await fingerprints(str(own.database_url)) == before
