"""API tokens: made once, shown once, revoked for good."""

from datetime import timedelta
from typing import Annotated, Final, Literal

from litestar.params import Parameter
from msgspec import Meta, Struct

from plixa.identity.queries.api_tokens import NAMED, NewApiTokenView
from plixa.identity.queries.members import get_session
from plixa.kernel.audit import record
from plixa.kernel.auth import Principal, hashed, mint
from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import Person
from plixa.kernel.mail import Mail, send_mail
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork

SHOWN: Final = 8
"""Characters of a secret that lists show."""
NEW_TOKEN: Final = """
INSERT INTO access_token (tenant_id, member_id, created_by, kind, name, abilities, hash, prefix, created_at, expires_at)
VALUES ($1, $2, $2, 'api', $3, $4, $5, $6, $7, $8) RETURNING id
"""
REVOKE: Final = "DELETE FROM access_token WHERE tenant_id = $1 AND id = $2 AND kind = 'api' RETURNING name"


class NewApiToken(Struct, frozen=True):
    """What an integration may do, and for how many days; without them for ever."""

    name: Annotated[str, Meta(min_length=1, max_length=60, pattern=r"\S")]
    abilities: Annotated[frozenset[Literal["read", "write"]], Meta(min_length=1), Parameter(min_items=1)]
    expires_in_days: Annotated[int, Meta(ge=1, le=365)] | None = None


async def create_api_token(uow: UnitOfWork, settings: Settings, caller: Principal, data: NewApiToken) -> NewApiTokenView:
    """A new token with its plain text, which is nowhere kept; the owner is told by mail."""
    await uow.begin()
    secret = mint("api")
    abilities: list[str] = sorted(data.abilities)
    expires = uow.now + timedelta(days=data.expires_in_days) if data.expires_in_days else None
    stored = (NAMED + data.name, abilities, hashed(secret), secret[:SHOWN], uow.now, expires)
    number: int = await uow.insert(NEW_TOKEN, caller.user_id, *stored)
    after = {"name": data.name, "abilities": abilities, "expires_at": expires.isoformat() if expires else None}
    await record(uow, "api_token.created", ("token", number), after=after)
    session = await get_session(uow, caller.user_id, settings)
    told = {"name": session.user.name, "workspace": session.tenant.name, "token_name": data.name}
    mail = Mail("api_token_created", session.user.email, session.tenant.locale, told, session.tenant.timezone)
    send_mail(uow, f"api_token_created/{number}", mail)
    about = (number, data.name, abilities, secret[:SHOWN], None, expires, uow.now, Person(caller.user_id, session.user.name))
    return NewApiTokenView(*about, f"{number}|{secret}")


async def revoke_api_token(uow: UnitOfWork, number: int) -> None:
    """The token opens nothing any more; raises NotFound for what is no API token of this workspace."""
    name = await uow.insert(REVOKE, number)
    if name is None:
        raise NotFound
    await record(uow, "api_token.revoked", ("token", number), before={"name": name.removeprefix(NAMED)})
