"""Workers that are killed in the middle of a campaign: everybody gets it, and nobody twice."""

import re
from collections import Counter

import pytest

from plixa.backoffice.commands.campaigns import CreateCampaign, create_campaign
from plixa.backoffice.queries.campaigns import CampaignDetailView, get_campaign
from plixa.kernel.audit import PLATFORM
from plixa.kernel.event_store import Actor
from plixa.kernel.settings import FILE
from plixa.kernel.uow import Kernel, perform, working
from tests.chaos.world import Place, Process, stopping, until
from tests.notifications.servers import KEY, SENDER, Resend

pytestmark = pytest.mark.chaos

KILLS = 5
BETWEEN = 12
"""Mails from one kill to the next."""
SAM = Actor("staff", 1, "Sam")
SECONDS = 90.0
HASTEN = """UPDATE outbox SET due_at = now() WHERE tenant_id = 0 AND kind LIKE 'campaign.%' AND state IN ('waiting', 'running')
AND lease_until IS NULL"""


def hurried(place: Place) -> None:
    """A provider that takes fifty mails a second."""
    file = place.home / FILE
    file.write_text(re.sub(r"per_second = \d+", "per_second = 50", file.read_text()))


async def ask(kernel: Kernel, place: Place, emails: list[str]) -> int:
    """A campaign to these addresses."""
    wanted = CreateCampaign(subject="News", body="Hello", audience="emails", audience_value=emails)
    async with working(kernel, PLATFORM, SAM) as uow:
        return (await perform(uow, lambda: create_campaign(uow, place.settings, wanted))).id


async def view(kernel: Kernel, number: int) -> CampaignDetailView:
    """How far it is."""
    async with working(kernel, PLATFORM) as uow:
        return await get_campaign(uow, number)


async def test_everybody_gets_one_mail_however_often_workers_die(chaos_place: Place, chaos_kernel: Kernel) -> None:
    hurried(chaos_place)
    resend, emails = Resend(), [f"reader-{place}@example.com" for place in range((KILLS + 2) * BETWEEN)]
    number = await ask(chaos_kernel, chaos_place, emails)
    with resend.listening() as url:
        environ = {"PLIXA_RESEND_API_KEY": KEY, "PLIXA_RESEND_API_BASE": url, "PLIXA_MAIL_FROM": SENDER}
        worker = Process(chaos_place, "-m", "plixa.cli", "worker", environ=environ)
        with stopping(worker):
            for kill in range(1, KILLS + 1):

                async def so_many(wanted: int = kill * BETWEEN) -> bool:
                    return len(resend.mails) >= wanted

                await until(so_many, SECONDS, f"{kill * BETWEEN} mails", pause=0.01)
                worker.kill()
                worker.start()

            async def is_over() -> bool:
                async with chaos_kernel.system.connection() as connection:
                    await connection.execute(HASTEN)
                return (await view(chaos_kernel, number)).status == "sent"

            await until(is_over, SECONDS, "the campaign is over", pause=0.5)
    assert Counter(mail["to"][0] for mail in resend.mails.values()) == Counter(emails)
    found = await view(chaos_kernel, number)
    assert (found.counts["sent"], found.sent_count, found.counts["queued"]) == (len(emails), len(emails), 0)
