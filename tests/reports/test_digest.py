"""The digest: what it counts, when it goes out, to whom, and that it does so once."""

import asyncio
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient
from PIL import Image

from plixa.kernel.delivery import Delivery, deliver
from plixa.kernel.mail import Mail
from plixa.kernel.uow import Kernel
from plixa.notifications.domain import render
from plixa.reports.actors import handlers
from plixa.reports.commands.digest import DIGEST, run_digest
from plixa.reports.domain.chart import draw_chart
from plixa.reports.domain.digest import Bar, Frequency, covered, first_run, last_run, next_run
from plixa.reports.queries.digest import get_stats
from tests.identity.people import change, mails
from tests.reports.busy import NAMES, BusyInbox, utc
from tests.support.effects import do_effects
from tests.support.trail import follow_log, read_trail
from tests.support.world import Member, Workspace

CONFIG = "/v1/digest-config"
ZONE = "America/New_York"
RUN = utc(2026, 11, 2, 9)
"""A Monday, the day after clocks were set back there."""
ROWS = "SELECT id, key, state, due_at, payload::text FROM outbox WHERE tenant_id = $1 AND kind = 'digest.send' ORDER BY id"
OVERDUE = """WITH config AS (UPDATE digest_config SET next_run_at = $2 WHERE tenant_id = $1)
UPDATE outbox SET due_at = $2, key = frequency || '/2026-11-02', payload = jsonb_build_object('frequency', frequency, 'run_at', $3::text)
FROM digest_config c WHERE c.tenant_id = $1 AND outbox.tenant_id = $1 AND kind = 'digest.send' AND state = 'waiting'"""
AGAIN = "UPDATE outbox SET state = 'waiting', lease_until = NULL WHERE tenant_id = $1 AND kind = 'digest.send' AND key = $2"


async def digests(kernel: Kernel, tenant: int) -> list[Mail]:
    return [one for one in await mails(kernel, tenant) if one.template == "digest"]


async def enrol(client: AsyncClient, workspace: Workspace, frequency: Frequency, zone: str = ZONE) -> None:
    """A workspace whose run of ``RUN`` did not come yet: the scheduler was down since."""
    await change(workspace.kernel, "UPDATE tenant SET timezone = $2 WHERE tenant_id = $1", workspace.tenant, zone)
    form = {"enabled": True, "frequency": frequency}
    answer = await client.put(CONFIG, json=form, headers=workspace.owner.headers)
    assert answer.status_code == 200, answer.text
    await change(workspace.kernel, OVERDUE, workspace.tenant, RUN, RUN.isoformat())


async def run(workspace: Workspace) -> int:
    return await do_effects(workspace, DIGEST, handlers=handlers())


async def config(client: AsyncClient, member: Member) -> dict[str, Any]:
    answer = await client.get(CONFIG, headers=member.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


@pytest.fixture
async def busy(lucia_studios: Workspace) -> BusyInbox:
    """Nine days around the night in which New York's clocks are set back."""
    inbox = await BusyInbox(lucia_studios).live(utc(2026, 10, 25), utc(2026, 11, 3), 260)
    await follow_log(lucia_studios.kernel, lucia_studios.tenant)
    return inbox


async def test_its_numbers_are_those_counted_by_hand_on_the_days_of_the_place(busy: BusyInbox) -> None:
    uow = busy.workspace.unit()
    runs: list[tuple[Frequency, datetime]] = [
        ("daily", RUN),
        ("daily", RUN - timedelta(days=1)),
        ("weekly", RUN),
        ("monthly", utc(2026, 11, 1, 9)),
    ]
    try:
        for zone in (ZONE, "Asia/Kolkata", "Pacific/Honolulu", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Kiritimati"):
            for frequency, run_at in runs:
                period = covered(frequency, run_at, zone)
                stats = await get_stats(uow, period)
                shown = {name: getattr(stats, name) for name in (*NAMES, "answers", "seconds")}
                assert shown == busy.count(period.first, period.last, zone), (zone, frequency)
                assert shown["received"] > 0
                if frequency == "daily":
                    assert [(bar.received, bar.sent) for bar in stats.bars] == busy.bars(period.first, zone)
    finally:
        uow.close()


async def test_the_owner_gets_it_in_the_workspaces_language_with_a_picture(busy: BusyInbox, client: AsyncClient, lucia: Member) -> None:
    workspace = busy.workspace
    await change(workspace.kernel, "UPDATE tenant SET locale = 'pt-BR' WHERE tenant_id = $1", workspace.tenant)
    await change(workspace.kernel, "UPDATE member SET locale = 'en' WHERE tenant_id = $1", workspace.tenant)
    await enrol(client, workspace, "weekly")
    assert await run(workspace) == 1
    (mail,) = await digests(workspace.kernel, workspace.tenant)
    period = covered("weekly", RUN, ZONE)
    counted = busy.count(period.first, period.last, ZONE)
    assert (mail.to, mail.locale) == (lucia.email, "pt-BR")
    letter = render(mail)
    assert "26 de out. – 1 de nov. de 2026" in letter.subject
    assert f"Mensagens recebidas: {counted['received']}. Mensagens enviadas: {counted['sent']}." in letter.text
    assert f"Conversas novas: {counted['opened']}. Reabertas: {counted['reopened']}. Encerradas: {counted['closed']}." in letter.text
    assert f"equipe: {counted['answers']}." in letter.text
    assert 'src="cid:chart"' in letter.html
    with Image.open(io.BytesIO(mail.pictures["chart"])) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", (992, 320))
        assert len(picture.convert("RGB").getcolors() or []) > 3
    assert len(mail.pictures["chart"]) < 20_000
    shown = await config(client, lucia)
    assert datetime.fromisoformat(shown["next_run_at"]) == next_run("weekly", datetime.now(UTC))
    assert shown["last_sent_at"] is not None


async def test_a_late_run_happens_once_however_many_try_and_whoever_dies(busy: BusyInbox, client: AsyncClient) -> None:
    workspace, kernel = busy.workspace, busy.workspace.kernel
    await enrol(client, workspace, "daily")
    (row,) = await workspace.rows(ROWS)

    class Killed(BaseException):
        """The process is gone."""

    async def die(delivery: Delivery) -> None:
        async with delivery.unit() as uow:
            await run_digest(uow, delivery)
            raise Killed

    with pytest.raises(Killed):
        await deliver(kernel, {DIGEST: die}, workspace.tenant, row["id"])
    assert await digests(kernel, workspace.tenant) == []
    await change(kernel, AGAIN, workspace.tenant, row["key"])
    taken = await asyncio.gather(*(deliver(kernel, handlers(), workspace.tenant, row["id"]) for _ in range(4)))
    assert sorted(taken) == [False, False, False, True]
    for _ in range(2):
        await change(kernel, AGAIN, workspace.tenant, row["key"])
        assert await deliver(kernel, handlers(), workspace.tenant, row["id"])
    assert len(await digests(kernel, workspace.tenant)) == 1
    first, upcoming = await workspace.rows(ROWS)
    assert (first["state"], upcoming["state"]) == ("done", "waiting")
    assert upcoming["due_at"] == next_run("daily", datetime.now(UTC))


async def test_it_waits_until_everything_is_counted(lucia_studios: Workspace, client: AsyncClient) -> None:
    await BusyInbox(lucia_studios, seed=3).live(utc(2026, 11, 1, 12), utc(2026, 11, 1, 20), 6)
    await enrol(client, lucia_studios, "daily")
    await run(lucia_studios)
    assert await digests(lucia_studios.kernel, lucia_studios.tenant) == []
    assert [row["state"] for row in await lucia_studios.rows(ROWS)] == ["waiting"]
    await follow_log(lucia_studios.kernel, lucia_studios.tenant)
    await run(lucia_studios)
    assert len(await digests(lucia_studios.kernel, lucia_studios.tenant)) == 1


@pytest.mark.parametrize("is_suspended", [True, False])
async def test_where_nothing_happened_or_may_be_sent_the_next_run_is_all(
    lucia_studios: Workspace, other_tenant: Workspace, client: AsyncClient, is_suspended: bool
) -> None:
    busier = lucia_studios if is_suspended else other_tenant
    await BusyInbox(busier, seed=3).live(utc(2026, 11, 1, 12), utc(2026, 11, 1, 20), 6)
    await enrol(client, lucia_studios, "daily")
    await follow_log(lucia_studios.kernel, lucia_studios.tenant)
    await follow_log(other_tenant.kernel, other_tenant.tenant)
    if is_suspended:
        await change(lucia_studios.kernel, "UPDATE tenant SET status = 'suspended' WHERE tenant_id = $1", lucia_studios.tenant)
    await run(lucia_studios)
    assert await digests(lucia_studios.kernel, lucia_studios.tenant) == []
    assert [row["state"] for row in await lucia_studios.rows(ROWS)] == ["done", "waiting"]
    (kept,) = await lucia_studios.rows("SELECT last_sent_at FROM digest_config WHERE tenant_id = $1")
    assert kept["last_sent_at"] is None


async def test_it_is_off_at_first_and_turned_on_for_tomorrow(
    client: AsyncClient, lucia_studios: Workspace, lucia: Member, ana: Member
) -> None:
    assert await config(client, lucia) == {"enabled": False, "frequency": "daily", "last_sent_at": None, "next_run_at": None}
    for frequency in ("daily", "weekly", "monthly", "daily"):
        answer = await client.put(CONFIG, json={"enabled": True, "frequency": frequency}, headers=lucia.headers)
        assert answer.status_code == 200, answer.text
        due = datetime.fromisoformat(answer.json()["data"]["next_run_at"])
        assert due.date() > datetime.now(UTC).date()
        assert due == first_run(frequency, datetime.now(UTC))
    await client.put(CONFIG, json={"enabled": True}, headers=lucia.headers)
    answer = await client.put(CONFIG, json={"enabled": False}, headers=lucia.headers)
    assert answer.json()["data"] == {"enabled": False, "frequency": "daily", "last_sent_at": None, "next_run_at": None}
    await run(lucia_studios)
    assert await digests(lucia_studios.kernel, lucia_studios.tenant) == []
    assert {row["state"] for row in await lucia_studios.rows(ROWS)} == {"done"}
    assert len(await read_trail(client, lucia_studios, action="digest_config.updated")) == 5
    for form in ({}, {"enabled": True, "frequency": "hourly"}, {"enabled": None}):
        assert (await client.put(CONFIG, json=form, headers=lucia.headers)).status_code == 422
    for call in (client.get(CONFIG, headers=ana.headers), client.post(f"{CONFIG}/test", headers=ana.headers)):
        assert (await call).status_code == 403


async def test_a_test_goes_to_whoever_asks_also_where_nothing_happened(
    client: AsyncClient, lucia_studios: Workspace, lucia: Member
) -> None:
    assert (await client.post(f"{CONFIG}/test", headers=lucia.headers)).status_code == 204
    (mail,) = await digests(lucia_studios.kernel, lucia_studios.tenant)
    assert mail.to == lucia.email
    assert "0" in render(mail).text
    with Image.open(io.BytesIO(mail.pictures["chart"])) as picture:
        picture.verify()
    assert await config(client, lucia) == {"enabled": False, "frequency": "daily", "last_sent_at": None, "next_run_at": None}


async def test_every_language_has_words_for_it(lucia_studios: Workspace, client: AsyncClient, lucia: Member) -> None:
    for locale in ("en", "es", "pt-BR", "pt", "xx"):
        await change(lucia_studios.kernel, "UPDATE tenant SET locale = $2 WHERE tenant_id = $1", lucia_studios.tenant, locale)
        assert (await client.post(f"{CONFIG}/test", headers=lucia.headers)).status_code == 204
    letters = [render(mail) for mail in await digests(lucia_studios.kernel, lucia_studios.tenant)]
    assert ["New conversations: 0" in one.text for one in letters] == [True, False, False, False, True]
    assert ["Conversas novas: 0" in one.text for one in letters] == [False, False, True, True, False]


@pytest.mark.parametrize("numbers", [[], [0], [1] * 31, [1, 10**6] * 15, [0, 1, 2, 10**9], [10**12] * 24])
def test_whatever_happened_can_be_drawn(numbers: list[int]) -> None:
    content = draw_chart([Bar(str(place), number, number // 3) for place, number in enumerate(numbers, 1)])
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        colours = {colour for _, colour in picture.convert("RGB").getcolors() or []}
    assert ((15, 118, 110) in colours) == any(numbers)
    assert len(content) < 20_000


def test_runs_follow_each_other_and_cover_every_day_once() -> None:
    for zone in ("America/Sao_Paulo", "Pacific/Honolulu", "Asia/Tokyo", "America/New_York", "Pacific/Kiritimati", "America/Adak"):
        for frequency in ("daily", "weekly", "monthly"):
            run_at = next_run(frequency, utc(2026, 1, 15))
            before = covered(frequency, run_at, zone)
            for _ in range(60):
                assert last_run(frequency, run_at + timedelta(hours=1)) == run_at
                run_at = next_run(frequency, run_at)
                period = covered(frequency, run_at, zone)
                assert period.first == before.last + timedelta(days=1)
                assert period.end <= run_at
                assert (run_at.hour, period.start) == (9, before.end)
                before = period
