"""Who wants to hear of Plixa's opening."""

from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.paging import Paging
from plixa.kernel.uow import UnitOfWork

LIST: Final = """SELECT id, email, locale, referrer, created_at FROM waitlist_signup
WHERE tenant_id = scope.tenant AND {where} ORDER BY id DESC LIMIT $2::int"""
LAST: Final = 2**63 - 1
HEADER: Final = ["id", "email", "locale", "referrer", "created_at"]
"""The columns of the waitlist as a file."""


class WaitlistSignupView(Struct, frozen=True):
    """Somebody on the waitlist."""

    id: int
    email: str
    locale: str | None
    referrer: str | None
    created_at: datetime


class WaitlistFilters(Struct, frozen=True):
    """Which sign-ups: part of an address, a locale, from a time on and before another."""

    q: str | None = None
    locale: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def list_waitlist(uow: UnitOfWork, filters: WaitlistFilters, paging: Paging) -> tuple[list[WaitlistSignupView], Page]:
    """One page, newest first."""
    q, locale = (text.strip().lower() if text else None for text in (filters.q, filters.locale))
    wishes: dict[str, Any] = {
        "id < ${}::bigint": decode(paging.cursor, (int,))[0] if paging.cursor is not None else LAST,
        "strpos(email, ${}::text) > 0": q or None,
        "lower(locale) = ${}::text": locale or None,
        "created_at >= ${}::timestamptz": filters.since,
        "created_at < ${}::timestamptz": filters.until,
    }
    wanted = {condition: value for condition, value in wishes.items() if value is not None}
    where = " AND ".join(condition.format(place) for place, condition in enumerate(wanted, 3))
    rows = await uow.fetch(LIST.format(where=where), paging.limit + 1, *wanted.values())
    shown = [WaitlistSignupView(*row) for row in rows[: paging.limit]]
    more = len(rows) > paging.limit
    return shown, Page(encode((shown[-1].id,)) if more else None, paging.limit)


def cells(signup: WaitlistSignupView) -> list[Any]:
    """One row of the file."""
    return [signup.id, signup.email, signup.locale, signup.referrer, signup.created_at.isoformat()]
