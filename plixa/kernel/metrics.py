"""What Prometheus reads at ``/metrics``; names, labels and units in one place."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

REQUESTS: Final = Counter("plixa_requests", "Answered requests.", ("method", "route", "status"), registry=REGISTRY)
REQUEST_SECONDS: Final = Histogram(
    "plixa_request_seconds",
    "Seconds from the first byte in to the last byte out.",
    ("method", "route"),
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)
REQUESTS_RUNNING: Final = Gauge("plixa_requests_running", "Requests being answered now.", registry=REGISTRY)
COMMANDS: Final = Counter("plixa_commands", "Commands by outcome.", ("command", "outcome"), registry=REGISTRY)
EVENTS_APPENDED: Final = Counter("plixa_events_appended", "Events appended to the log.", ("topic",), registry=REGISTRY)
PROJECTION_LAG: Final = Gauge("plixa_projection_lag_events", "Events a projection has not seen yet.", ("projection",), registry=REGISTRY)
PROJECTION_STOPPED: Final = Gauge(
    "plixa_projection_stopped", "Tenants for whom a projection met an event it cannot fold.", ("projection",), registry=REGISTRY
)
OUTBOX_AGE: Final = Gauge("plixa_outbox_age_seconds", "Age of the oldest due outbox row.", ("kind",), registry=REGISTRY)
OUTBOX_PARKED: Final = Gauge("plixa_outbox_parked", "Outbox rows given up after five attempts.", ("kind",), registry=REGISTRY)
QUEUE_DEPTH: Final = Gauge("plixa_queue_depth", "Messages waiting in a queue.", ("queue",), registry=REGISTRY)
GATEWAY_SILENCE: Final = Gauge("plixa_gateway_silence_seconds", "Seconds since the gateway last spoke.", ("instance",), registry=REGISTRY)
POOL: Final = Gauge("plixa_pool_connections", "Database connections by state.", ("state",), registry=REGISTRY)
THROTTLE_BLIND: Final = Gauge("plixa_throttle_blind", "1 while throttles count per process because Redis is away.", registry=REGISTRY)


def exposition() -> bytes:
    """All of this process's metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
