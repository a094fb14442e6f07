"""Public ids: integers from database sequences, taken in small blocks so that a command need not ask for each."""

from collections import defaultdict, deque

from plixa.kernel.database import Database

BLOCK = 32
TAKE = "SELECT nextval($1::text::regclass) AS number FROM generate_series(1, $2::int)"


class Numbers:
    """The next id of each sequence. A process that ends leaves at most one block of gaps."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._blocks: dict[str, deque[int]] = defaultdict(deque)

    async def next(self, sequence: str) -> int:
        """A number nobody else gets."""
        block = self._blocks[sequence]
        if not block:
            async with self._database.connection() as connection:
                block.extend(row["number"] for row in await connection.fetch(TAKE, sequence, BLOCK))
        return block.popleft()
