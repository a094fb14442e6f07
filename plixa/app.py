"""The web process: everything a request needs, put together."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any
from weakref import WeakValueDictionary

from litestar import Litestar
from litestar.config.cors import CORSConfig

from plixa.api import create_images, create_router
from plixa.automation.commands.pipeline import Pipeline
from plixa.identity.queries.tokens import find_principal
from plixa.inbox.commands.ingest import accept
from plixa.inbox.queries import realtime as inbox
from plixa.kernel import logs
from plixa.kernel.assembly import Machinery, assemble, running
from plixa.kernel.auth import Gatekeeper
from plixa.kernel.bodies import JsonRequest
from plixa.kernel.envelope import answer_error
from plixa.kernel.gauges import measure
from plixa.kernel.guard import note_denial
from plixa.kernel.health import ready_checks
from plixa.kernel.http import provide_in_turn, refuse_undeclared
from plixa.kernel.passwords import PasswordChecker
from plixa.kernel.probes import create_probes
from plixa.kernel.realtime import Feed
from plixa.kernel.reference import create_reference
from plixa.kernel.requests import watch_requests
from plixa.kernel.settings import Settings, load_settings
from plixa.kernel.throttle import Throttler
from plixa.scheduling.client import create_google
from plixa.scheduling.queries import realtime as scheduling
from plixa.support.queries import realtime as support
from plixa.whatsapp.client import Deadlines, EvolutionGateway
from plixa.whatsapp.commands.lines import Line
from plixa.whatsapp.queries import Instances
from projections.registry import INLINE

RENDERERS = (inbox.render, scheduling.render, support.render)
"""What members see of the log as it grows, module by module."""


def create_app(settings: Settings | None = None) -> Litestar:
    """The ASGI application; it connects to nothing before its first request."""
    settings = settings or load_settings()
    machinery = assemble(settings, INLINE)
    gateway = create_gateway(settings)
    passwords, throttler = PasswordChecker(settings.argon2), Throttler(str(settings.redis_url))

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        async with running(machinery):
            gc.freeze()
            gc.set_threshold(50_000, 20, 20)
            yield
        await asyncio.gather(gateway.aclose(), throttler.close())
        passwords.close()

    app = Litestar(
        [create_router(), create_images(), create_probes(ready_checks(machinery), [partial(measure, machinery)])],
        lifespan=[lifespan],
        request_class=JsonRequest,
        exception_handlers={Exception: answer_error},
        after_exception=[note_denial],
        cors_config=site_may_post(settings),
        openapi_config=create_reference(version("plixa")),
        logging_config=None,
    )
    app.state.update(state_of(machinery, settings), passwords=passwords, throttler=throttler, gateway=gateway)
    refuse_undeclared(app)
    provide_in_turn(app)
    return watch_requests(app, settings.trusted_proxies)


def state_of(machinery: Machinery, settings: Settings) -> dict[str, Any]:
    """What operations find beside what is closed at the end."""
    kernel = machinery.kernel
    return {
        "kernel": kernel,
        "settings": settings,
        "gatekeeper": Gatekeeper(find_principal(kernel.system, settings)),
        "google": create_google(settings),
        "feed": Feed(kernel, machinery.listener),
        "renderers": RENDERERS,
        "instances": Instances(kernel.system),
        "accept": partial(accept, handle=Pipeline(settings).handle),
        "lines": WeakValueDictionary[int, Line](),
    }


def create_gateway(settings: Settings) -> EvolutionGateway:
    """The WhatsApp gateway, asked with the patience that the settings have."""
    deadlines = Deadlines(connect=settings.gateway.connect_seconds, call=settings.gateway.timeout_seconds)
    return EvolutionGateway(settings.gateway_url, settings.gateway_api_key, deadlines)


def site_may_post(settings: Settings) -> CORSConfig | None:
    """The landing page may post forms, and see nothing that takes a token: the panel is served from our own origin."""
    if settings.site_origin is None:
        return None
    return CORSConfig(allow_origins=[settings.site_origin], allow_methods=["POST"], allow_headers=["Content-Type"])


def __getattr__(name: str) -> Litestar:
    """``plixa.app:app``, made when a server asks for it."""
    if name != "app":
        raise AttributeError(name)
    logs.configure()
    return create_app()
