"""Greeting a contact who writes for the first time."""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from plixa.automation.queries.welcome import WelcomeConfigView, get_welcome_config
from plixa.inbox.commands.messages import say
from plixa.inbox.domain.conversation import Conversation, Status
from plixa.inbox.queries.care import find_settings
from plixa.kernel.uow import UnitOfWork
from plixa.workspace.commands.settings import alone, forget_settings, tell

KEEP: Final = """INSERT INTO welcome_config (tenant_id, message, enabled, delay_seconds) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id) DO UPDATE SET message = $2, enabled = $3, delay_seconds = $4"""


class UpdateWelcome(Struct, frozen=True):
    """Absent = unchanged; ``message`` null says it in our words; ``delay_seconds`` to wait, in which a human may answer first."""

    message: Annotated[str, Meta(max_length=1000)] | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    delay_seconds: Annotated[int, Meta(gt=-1, le=300)] | UnsetType = UNSET


async def update_welcome_config(uow: UnitOfWork, data: UpdateWelcome) -> None:
    """Another greeting, for whoever writes from now on."""
    await alone(uow)
    before = msgspec.structs.asdict(await get_welcome_config(uow))
    after = before | {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    if after == before:
        return
    await uow.execute(KEEP, *msgspec.structs.astuple(WelcomeConfigView(**after)))
    forget_settings(uow)
    await tell(uow, "welcome_config.updated", before, after)


async def send_welcome(uow: UnitOfWork, conversation: int, episode: int) -> None:
    """A greeting's time has come: unless a human has answered, the episode is over, it went on in another, or greeting is switched off."""
    welcome = await get_welcome_config(uow)
    async with uow.edit(Conversation, conversation) as editor:
        state = editor.state
        if welcome.enabled and state.status is Status.OPEN and state.episode == episode and not state.care.answered:
            await say(uow, editor, welcome.message or (await find_settings(uow)).text("welcome"))
