"""How every list is paged: ``?cursor=&limit=``."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct

LARGEST = 200
Limit = Annotated[int, QueryParameter(ge=1, le=LARGEST, description="Rows a page.")]


class Paging(Struct, frozen=True):
    """Where to go on, and how many rows at most."""

    cursor: str | None = None
    limit: int = 50


PageWanted = NamedDependency[Paging]


def provide_paging(cursor: FromQuery[str | None] = None, limit: Limit = 50) -> Paging:
    """The page a caller wants."""
    return Paging(cursor, limit)
