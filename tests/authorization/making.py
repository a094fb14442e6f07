"""How what requests name is made: by makers, each known by the name that stands for what it makes."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from plixa.kernel.uow import UnitOfWork, perform, working
from tests.authorization.stage import Stage

T = TypeVar("T")
Maker = Callable[[Stage], Awaitable[Any]]

MAKERS: dict[str, Maker] = {}
"""Filled by ``things``."""


async def thing(stage: Stage, name: str) -> Any:
    """What a name stands for in this workspace; made once, but what has to be new each time."""
    if name in stage.made:
        return stage.made[name]
    made = await MAKERS[name](stage)
    if not name.startswith("new_"):
        stage.made[name] = made
    return made


async def doing(stage: Stage, act: Callable[[UnitOfWork], Awaitable[T]]) -> T:
    """Something the owner does."""
    async with working(stage.kernel, stage.tenant, stage.workspace.owner.actor) as uow:
        return await perform(uow, lambda: act(uow))


def fixed(known: Any) -> Maker:
    """Something that is the same everywhere."""

    async def make(_stage: Stage) -> Any:
        return known

    return make


def of_stage(tell: Callable[[Stage], Any]) -> Maker:
    """Something that every stage has."""

    async def make(stage: Stage) -> Any:
        return tell(stage)

    return make
