"""The welcome message of a workspace, and whether it routes what arrives, remembered for half a second."""

from typing import Final

from msgspec import Struct

from plixa.automation.queries.routing import is_routing
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork
from plixa.workspace.queries.settings import SETTINGS

CONFIG: Final = "SELECT message, enabled, delay_seconds FROM welcome_config WHERE tenant_id = scope.tenant"
HEARD: Final = """WITH RECURSIVE one AS (
    SELECT id FROM contact WHERE tenant_id = scope.tenant AND id = $2
    UNION ALL
    SELECT c.id FROM contact c JOIN one ON c.merged_into = one.id WHERE c.tenant_id = scope.tenant
)
SELECT EXISTS (SELECT FROM contact_heard h JOIN one ON h.contact_id = one.id WHERE h.tenant_id = scope.tenant) AS is_so"""


class WelcomeConfigView(Struct, frozen=True):
    """The greeting of a contact's first message; null says it in our words, in the workspace's language."""

    message: str | None = None
    enabled: bool = False
    delay_seconds: int = 0


class Beginning(Struct, frozen=True):
    """What is done where an episode begins."""

    welcome: WelcomeConfigView
    routes: bool


async def get_welcome_config(uow: UnitOfWork) -> WelcomeConfigView:
    """The greeting; switched off before anybody said otherwise."""
    row = await uow.fetchrow(CONFIG)
    return WelcomeConfigView(*row) if row else WelcomeConfigView()


async def find_beginning(uow: UnitOfWork, settings: Settings) -> Beginning:
    """What is done where an episode begins, as it was at most half a second ago."""
    key = (uow.tenant, SETTINGS, 1)
    known: Beginning | None = uow.kernel.recall.get(key)
    return known or uow.kernel.recall.put(key, Beginning(await get_welcome_config(uow), await is_routing(uow, settings)))


async def is_heard(uow: UnitOfWork, contact: int) -> bool:
    """Had a contact ever written before this transaction, on whatever number?"""
    row = await uow.fetchrow(HEARD, contact)
    return row is not None and bool(row["is_so"])
