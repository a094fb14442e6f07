"""Ids that a request names, and whether they are this workspace's."""

from collections.abc import Collection
from typing import Annotated, Final

from litestar.params import Parameter
from msgspec import Meta

from plixa.kernel.errors import Invalid
from plixa.kernel.uow import UnitOfWork

Ids = Annotated[list[Annotated[int, Meta(ge=1), Parameter(ge=1)]], Meta(max_length=200)]
KNOWN: Final = {
    "provider_ids": (
        "SELECT id FROM member WHERE tenant_id = scope.tenant AND id = ANY($2::bigint[])",
        "Choose members of this workspace.",
    ),
    "service_ids": ("SELECT id FROM service WHERE tenant_id = scope.tenant AND id = ANY($2::bigint[])", "Choose services that exist."),
    "resource_ids": ("SELECT id FROM resource WHERE tenant_id = scope.tenant AND id = ANY($2::bigint[])", "Choose resources that exist."),
}
"""By the field that names them."""


async def refuse_unknown(uow: UnitOfWork, field: str, ids: Collection[int]) -> None:
    """Raises Invalid unless all of them are there."""
    query, message = KNOWN[field]
    wanted = sorted(set(ids))
    if wanted and len(await uow.fetch(query, wanted)) < len(wanted):
        raise Invalid.field(field, message)
