"""Everything under ``/v1``."""

from litestar import Router
from litestar.di import Provide

from plixa.identity.controllers import AccountController, AuthenticationController
from plixa.inbox.controllers.conversations import ConversationController
from plixa.inbox.controllers.messages import MessageController
from plixa.inbox.controllers.realtime import realtime
from plixa.kernel.auth import enforce_access
from plixa.kernel.http import provide_caller, provide_kernel, provide_uow, remember_key
from plixa.kernel.paging import provide_paging
from plixa.whatsapp.controllers import GatewayWebhookController, PhoneInstanceController


def create_router() -> Router:
    """The operations, behind the one guard that reads what each declares."""
    return Router(
        "/v1",
        route_handlers=[
            AuthenticationController,
            AccountController,
            PhoneInstanceController,
            GatewayWebhookController,
            ConversationController,
            MessageController,
            realtime,
        ],
        guards=[enforce_access, remember_key],
        dependencies={
            "uow": Provide(provide_uow, sync_to_thread=False),
            "caller": Provide(provide_caller, sync_to_thread=False),
            "kernel": Provide(provide_kernel, sync_to_thread=False),
            "paging": Provide(provide_paging, sync_to_thread=False),
        },
    )
