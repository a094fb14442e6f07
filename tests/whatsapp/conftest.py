"""A workspace whose numbers live in a sandbox gateway."""

from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

import pytest
from msgspec.structs import replace

from plixa.automation.commands.pipeline import take_in
from plixa.identity.commands.sessions import Entrance
from plixa.inbox.commands.ingest import accept
from plixa.kernel.uow import UnitOfWork
from plixa.whatsapp.actors import Actors, Reconciler
from plixa.whatsapp.client import EvolutionGateway
from plixa.whatsapp.commands.lines import Line
from plixa.whatsapp.controllers import GatewayWebhookController, PhoneInstanceController
from tests.support.apps import calling, make_app, started
from tests.support.world import Workspace
from tests.whatsapp.loopback import BY_HAND, KEY, sandbox
from tests.whatsapp.shop import Shop

CHATS = """SELECT DISTINCT reply_to FROM inbox_conversation WHERE tenant_id = scope.tenant AND phone_instance_id = $2
AND last_message_at >= $3 AND reply_to IS NOT NULL ORDER BY reply_to"""

ACCEPT = partial(accept, handle=take_in)


@pytest.fixture
async def lojinha(entrance: Entrance, lucia_studios: Workspace, tmp_path: Path) -> AsyncIterator[Shop]:
    """Lúcia's workspace, without a number; QRs are scanned by ``gateway.control("pair")``."""
    app = make_app(entrance, PhoneInstanceController, GatewayWebhookController)
    with sandbox(tmp_path, BY_HAND) as gateway:
        settings = replace(entrance.settings, public_url=gateway.receiver_url)
        async with EvolutionGateway(gateway.url, KEY) as evolution, started(app), calling(app) as client:
            app.state.update({"settings": settings, "gateway": evolution, "accept": ACCEPT, "lines": WeakValueDictionary[int, Line]()})
            handlers = Actors(evolution, settings).handlers() | Reconciler(evolution, ACCEPT, live_chats).handlers()
            shop = Shop(lucia_studios, settings, app, client, gateway, handlers)
            shop.forget()
            yield shop


async def live_chats(uow: UnitOfWork, number: int, since: datetime) -> list[str]:
    """The addresses of a number's chats."""
    rows = await uow.fetch(CHATS, number, since)
    return [row["reply_to"] for row in rows]
