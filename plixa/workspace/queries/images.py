"""Pictures that anybody may fetch."""

from typing import Final

from plixa.kernel.database import Database
from plixa.kernel.errors import NotFound

IMAGE: Final = "SELECT content, mime FROM public_image WHERE key = $1"


async def get_public_image(system: Database, key: str) -> tuple[bytes, str]:
    """Content and type; raises NotFound. The random name is all it takes."""
    async with system.connection() as connection:
        row = await connection.fetchrow(IMAGE, key)
    if row is None:
        raise NotFound
    return row["content"], row["mime"]
