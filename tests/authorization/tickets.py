"""What requests of support name."""

from collections.abc import Awaitable, Callable
from typing import Any

from plixa.kernel.audit import PLATFORM
from plixa.kernel.uow import UnitOfWork, perform, working
from plixa.support.commands.desk import AnswerTicket, answer_ticket, set_status
from plixa.support.commands.files import Upload
from plixa.support.commands.tags import CreateCannedReply, CreateTag, create_canned_reply, create_tag
from plixa.support.commands.tickets import OpenTicket, open_ticket
from plixa.support.domain.ticket import Status
from plixa.support.queries.tickets import get_ticket
from tests.authorization.making import Maker, doing, thing
from tests.authorization.stage import Stage, hire


async def ticket(stage: Stage) -> int:
    """Opened by the owner, with a file."""
    wanted = OpenTicket(stage.canary, stage.canary, None, [Upload(f"{stage.canary}.txt", stage.canary.encode())])
    return await doing(stage, lambda uow: open_ticket(uow, wanted))


async def ticket_id(stage: Stage) -> int:
    """The same, as customers call it."""
    return int(await thing(stage, "ticket"))


async def attachment(stage: Stage) -> int:
    number = await thing(stage, "ticket")
    return (await doing(stage, lambda uow: get_ticket(uow, number))).messages[0].attachments[0].id


async def answered(stage: Stage) -> None:
    number, settings = await thing(stage, "ticket"), stage.scene.entrance.settings
    await doing(stage, lambda uow: answer_ticket(uow, settings, number, AnswerTicket("Have you tried turning it off?")))


async def solved(stage: Stage) -> None:
    number = await thing(stage, "ticket")
    await doing(stage, lambda uow: set_status(uow, number, Status.SOLVED))


async def colleague(stage: Stage) -> int:
    """Another of Plixa's own people."""
    return await hire(stage)


async def tag(stage: Stage) -> int:
    return (await of_platform(stage, lambda uow: create_tag(uow, CreateTag(f"Tag {stage.canary}")))).id  # type: ignore[no-any-return]


async def canned_reply(stage: Stage) -> int:
    wanted = CreateCannedReply("Hours", "From nine to six.")
    return (await of_platform(stage, lambda uow: create_canned_reply(uow, wanted))).id  # type: ignore[no-any-return]


async def of_platform(stage: Stage, act: Callable[[UnitOfWork], Awaitable[Any]]) -> Any:
    """Something that is done in the platform's own tenant."""
    async with working(stage.kernel, PLATFORM) as uow:
        return await perform(uow, lambda: act(uow))


THINGS: dict[str, Maker] = {make.__name__: make for make in (ticket, ticket_id, attachment, answered, solved, colleague, tag, canned_reply)}
