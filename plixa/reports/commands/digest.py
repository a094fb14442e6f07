"""Digests: the owner turns them on, and each run asks for the mail and for the next run."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from plixa.identity.queries.sending import find_sending_bar
from plixa.kernel.audit import record, record_change
from plixa.kernel.auth import Principal
from plixa.kernel.delivery import ATTEMPTS, Delivery, Retry
from plixa.kernel.mail import Mail, send_mail
from plixa.kernel.outbox import Effect
from plixa.kernel.uow import UnitOfWork
from plixa.reports.domain.chart import draw_chart
from plixa.reports.domain.digest import Frequency, Stats, covered, days_told, first_run, last_run, next_run
from plixa.reports.queries.digest import Reader, find_reader, get_digest_config, get_stats, is_behind
from plixa.workspace.commands.settings import alone

DIGEST: Final = "digest.send"
CATCHING_UP: Final = 30.0
"""Seconds until a run that came before its numbers is tried again."""
SET: Final = """INSERT INTO digest_config (tenant_id, enabled, frequency, next_run_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id) DO UPDATE SET enabled = excluded.enabled, frequency = excluded.frequency, next_run_at = excluded.next_run_at"""
RAN: Final = "UPDATE digest_config SET next_run_at = $2, last_sent_at = coalesce($3, last_sent_at) WHERE tenant_id = $1"


class UpdateDigestConfig(Struct, frozen=True):
    """``frequency``: daily, weekly (on Mondays) or monthly (on the 1st), at 09:00 UTC."""

    enabled: bool
    frequency: Frequency = "daily"


async def update_digest_config(uow: UnitOfWork, data: UpdateDigestConfig) -> None:
    """Turn it on, from tomorrow's run on, or off."""
    await alone(uow)
    config = await get_digest_config(uow)
    before = {"enabled": config.enabled, "frequency": config.frequency}
    after = {"enabled": data.enabled, "frequency": data.frequency}
    if before == after:
        return
    run_at = first_run(data.frequency, uow.now) if data.enabled else None
    await uow.execute(SET, data.enabled, data.frequency, run_at)
    if run_at is not None:
        enrol(uow, data.frequency, run_at)
    await record_change(uow, "digest_config.updated", ("tenant", uow.tenant), before, after)


async def try_digest(uow: UnitOfWork, caller: Principal) -> None:
    """The digest of the last run there would have been, to whoever asks, even where nothing happened."""
    await uow.begin()
    config, reader = await get_digest_config(uow), await find_reader(uow, caller.user_id)
    if reader is not None:
        run_at = last_run(config.frequency, uow.now)
        stats = await get_stats(uow, covered(config.frequency, run_at, reader.zone))
        write(uow, f"test/{caller.user_id}/{uow.now.isoformat()}", reader, (config.frequency, run_at), stats)
        await record(uow, "digest.tested", ("tenant", uow.tenant))


async def run_digest(uow: UnitOfWork, delivery: Delivery) -> None:
    """One run: the mail, unless nothing happened or nothing may be sent, and the next run. Not one that was turned off meanwhile.

    Raises Retry while what it counts is still being counted, but for the last attempt.
    """
    await alone(uow)
    frequency, run_at = delivery.payload["frequency"], datetime.fromisoformat(delivery.payload["run_at"])
    config, reader = await get_digest_config(uow), await find_reader(uow)
    await delivery.done(uow)
    if reader is None or (config.frequency, config.next_run_at) != (frequency, run_at):
        return
    period = covered(frequency, run_at, reader.zone)
    if delivery.attempt < ATTEMPTS and await is_behind(uow, period.end):
        raise Retry(CATCHING_UP, "What this tells of is still being counted.")
    stats = await get_stats(uow, period)
    is_sent = not stats.is_silent and await find_sending_bar(uow) is None
    if is_sent:
        write(uow, f"{frequency}/{run_at:%Y-%m-%d}", reader, (frequency, run_at), stats)
    upcoming = next_run(frequency, max(uow.now, run_at))
    await uow.execute(RAN, upcoming, uow.now if is_sent else None)
    enrol(uow, frequency, upcoming)


def enrol(uow: UnitOfWork, frequency: Frequency, run_at: datetime) -> None:
    """Have a run happen, once."""
    payload = {"frequency": frequency, "run_at": run_at.isoformat()}
    uow.enqueue(Effect(DIGEST, f"{frequency}/{run_at:%Y-%m-%d}", payload, due_at=run_at))


def write(uow: UnitOfWork, key: str, reader: Reader, run: tuple[Frequency, datetime], stats: Stats) -> None:
    """The mail of one run."""
    days = days_told(covered(*run, reader.zone), reader.locale)
    values = {"name": reader.name, "workspace": reader.workspace, "period": days, **stats.told(reader.locale)}
    mail = Mail("digest", reader.email, reader.locale, values, reader.zone, {"chart": draw_chart(stats.bars)})
    send_mail(uow, f"digest/{key}", mail)
