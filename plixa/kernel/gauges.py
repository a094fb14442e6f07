"""Figures that are only known by asking: looked up when somebody reads ``/metrics``."""

from plixa.kernel import metrics
from plixa.kernel.assembly import Machinery

OVERDUE = """SELECT kind, extract(epoch FROM now() - min(due_at))::float8 AS age FROM outbox
WHERE state IN ('waiting', 'running') AND due_at <= now() GROUP BY kind"""
PARKED = "SELECT kind, count(*) AS rows FROM outbox WHERE state = 'parked' GROUP BY kind"
SILENCE = """SELECT id, extract(epoch FROM now() - coalesce(last_webhook_at, connected_at))::float8 AS age FROM phone_instance
WHERE status = 'connected' AND removed_at IS NULL"""
QUEUES = ("send", "effects", "mail", "bulk")


async def measure(machinery: Machinery) -> None:
    """Ages of the outbox and of the gateway's silence, depth of the queues, use of the pool."""
    async with machinery.kernel.system.connection() as connection:
        overdue, parked = await connection.fetch(OVERDUE), await connection.fetch(PARKED)
        silent = await connection.fetch(SILENCE)
    for gauge in (metrics.OUTBOX_AGE, metrics.OUTBOX_PARKED, metrics.GATEWAY_SILENCE):
        gauge.clear()
    for row in overdue:
        metrics.OUTBOX_AGE.labels(row["kind"]).set(row["age"])
    for row in parked:
        metrics.OUTBOX_PARKED.labels(row["kind"]).set(row["rows"])
    for row in silent:
        metrics.GATEWAY_SILENCE.labels(str(row["id"])).set(row["age"])
    for queue in QUEUES:
        metrics.QUEUE_DEPTH.labels(queue).set(await machinery.redis.hlen(f"dramatiq:{queue}.msgs"))
    used, size = machinery.kernel.database.usage()
    metrics.POOL.labels("used").set(used)
    metrics.POOL.labels("free").set(size - used)
