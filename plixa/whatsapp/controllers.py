"""Routes: the workspace's WhatsApp numbers, and the gateway's webhooks."""

from typing import Any, Final

from litestar import Controller, Request
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody, SkipValidation

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, delete, get, post
from plixa.kernel.settings import Settings
from plixa.whatsapp.client import TOKEN_HEADER, Gateway
from plixa.whatsapp.commands.instances import (
    NewInstance,
    add_instance,
    disconnect_instance,
    remove_instance,
    restart_instance,
)
from plixa.whatsapp.commands.webhook import Intake
from plixa.whatsapp.queries import InstanceView, QrView, get_instance, get_qr, list_instances

Line = NamedDependency[SkipValidation[Gateway]]
"""Any gateway will do: a protocol cannot be looked for in an object's ancestry."""

LARGEST_WEBHOOK: Final = 32 * 1024 * 1024
"""Bytes."""


def provide_gateway(request: Request[Any, Any, Any]) -> Gateway:
    """The WhatsApp gateway."""
    gateway: Gateway = request.app.state.gateway
    return gateway


def provide_intake(request: Request[Any, Any, Any]) -> Intake:
    """What takes webhooks."""
    state = request.app.state
    return Intake(state.kernel, state.instances, state.accept, state.lines)


class PhoneInstanceController(Controller):
    path = "/phone-instances"
    tags = ("Phone instances",)
    dependencies = {  # noqa: RUF012 - as Litestar has it
        "gateway": Provide(provide_gateway, sync_to_thread=False),
    }

    @get("/", access=Access.MEMBER)
    async def list(self, uow: Uow, settings: NamedDependency[Settings]) -> Data[list[InstanceView]]:
        """List the workspace's WhatsApp numbers; meta says how many the plan allows."""
        return Data(*await list_instances(uow, settings))

    @post("/", access=Access.OWNER)
    async def add(self, uow: Uow, settings: NamedDependency[Settings], data: JSONBody[NewInstance | None] = None) -> Data[InstanceView]:
        """Add a WhatsApp number: it begins as `pending_qr`; poll its QR to pair it."""
        return Data(await add_instance(uow, settings, data or NewInstance()))

    @get("/{phone_instance:int}", access=Access.MEMBER)
    async def show(self, uow: Uow, phone_instance: FromPath[int]) -> Data[InstanceView]:
        """Show one WhatsApp number."""
        return Data(await get_instance(uow, phone_instance))

    @get("/{phone_instance:int}/qr", access=Access.OWNER)
    async def qr(self, uow: Uow, gateway: Line, phone_instance: FromPath[int]) -> Data[QrView]:
        """The QR to scan now; poll it until the status is `connected`."""
        return Data(await get_qr(uow, gateway, phone_instance))

    @post("/{phone_instance:int}/disconnect", access=Access.OWNER, status_code=200)
    async def disconnect(self, uow: Uow, gateway: Line, phone_instance: FromPath[int]) -> Data[InstanceView]:
        """Disconnect a WhatsApp number: the next pairing needs a fresh scan."""
        return Data(await disconnect_instance(uow, gateway, phone_instance))

    @post("/{phone_instance:int}/restart", access=Access.MEMBER, status_code=200)
    async def restart(self, uow: Uow, gateway: Line, phone_instance: FromPath[int]) -> Data[InstanceView]:
        """Restart a WhatsApp number's connection without unpairing it."""
        return Data(await restart_instance(uow, gateway, phone_instance))

    @delete("/{phone_instance:int}", access=Access.OWNER)
    async def remove(self, uow: Uow, phone_instance: FromPath[int]) -> None:
        """Remove a WhatsApp number from the workspace; its conversations stay."""
        await remove_instance(uow, phone_instance)


class GatewayWebhookController(Controller):
    path = "/webhooks/evolution"
    tags = ("Webhooks (inbound)",)
    dependencies = {"intake": Provide(provide_intake, sync_to_thread=False)}  # noqa: RUF012 - as Litestar has it

    @post(
        "/{instance:str}",
        access=Access.GATEWAY,
        status_code=200,
        security=[],
        request_max_body_size=LARGEST_WEBHOOK,
    )
    async def receive(self, request: Request[Any, Any, Any], intake: NamedDependency[Intake], instance: FromPath[str]) -> Data[None]:
        """Evolution API delivers an event; the header `X-Plixa-Token` carries the number's secret."""
        known = await intake.admit(instance, request.headers.get(TOKEN_HEADER, ""))
        await intake.take(known, await request.body())
        return Data(None)
