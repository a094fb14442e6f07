"""A workspace whose numbers live in a sandbox gateway."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from plixa.identity.commands import Entrance
from plixa.inbox.commands.ingest import accept
from plixa.whatsapp.actors import Actors
from plixa.whatsapp.client import EvolutionGateway
from plixa.whatsapp.controllers import GatewayWebhookController, PhoneInstanceController
from plixa.whatsapp.queries import Instances
from tests.support.apps import calling, make_app, started
from tests.support.world import Workspace
from tests.whatsapp.loopback import BY_HAND, KEY, sandbox
from tests.whatsapp.shop import Shop


@pytest.fixture
async def lojinha(entrance: Entrance, lucia_studios: Workspace, tmp_path: Path) -> AsyncIterator[Shop]:
    """Lúcia's workspace, without a number; QRs are scanned by ``gateway.control("pair")``."""
    app = make_app(entrance, PhoneInstanceController, GatewayWebhookController)
    with sandbox(tmp_path, BY_HAND) as gateway:
        settings = replace(entrance.settings, public_url=gateway.receiver_url)
        async with EvolutionGateway(gateway.url, KEY) as evolution, started(app), calling(app) as client:
            app.state.update({"settings": settings, "gateway": evolution, "accept": accept})
            app.state.instances = Instances(entrance.kernel.system)
            yield Shop(lucia_studios, settings, client, gateway, Actors(evolution, settings))
