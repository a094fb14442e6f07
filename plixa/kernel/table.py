"""Read-model tables: a row struct, its columns, and the few statements that load and save many rows in one round trip."""

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

R = TypeVar("R", bound=Struct)
encode = msgspec.json.Encoder().encode

SQL_TYPES: dict[type, str] = {
    int: "bigint",
    str: "text",
    bool: "boolean",
    float: "double precision",
    datetime: "timestamptz",
}


class Column(Struct, frozen=True):
    """One column: its name, SQL type and Python type; everything that is no scalar is jsonb."""

    name: str
    sql: str
    python: Any

    @property
    def wire(self) -> str:
        """How a parameter is cast into this column."""
        return "text::jsonb" if self.sql == "jsonb" else self.sql

    def out(self, value: Any) -> Any:
        """The value as a parameter."""
        return value if self.sql != "jsonb" or value is None else encode(value).decode()


def column(name: str, annotation: Any) -> Column:
    """The column of one field of a row struct."""
    options = [annotation]
    if get_origin(annotation) in (Union, UnionType):
        options = [option for option in get_args(annotation) if option is not NoneType]
    plain = SQL_TYPES.get(options[0]) if len(options) == 1 else None
    return Column(name, plain or "jsonb", annotation)


class Table(Generic[R]):
    """A table of ``row`` structs, keyed by (tenant_id, ``key``); ``group`` names the column by which whole sets are dropped or moved."""

    def __init__(self, name: str, row: type[R], *, key: str = "id", group: str | None = None) -> None:
        self.name, self.row, self.key, self.group = name, row, key, group
        self.columns = [column(field, hint) for field, hint in get_type_hints(row).items() if field in row.__struct_fields__]
        self.names = [one.name for one in self.columns]
        self._statements: dict[tuple[int, ...], str] = {}
        json = [index for index, one in enumerate(self.columns) if one.sql == "jsonb"]
        self._json, self._decoders = json, [(index, msgspec.json.Decoder(self.columns[index].python).decode) for index in json]

    def named(self, name: str) -> "Table[R]":
        """A table like this one."""
        return Table(name, self.row, key=self.key, group=self.group)

    def key_of(self, row: R) -> int:
        """The row's key."""
        key: int = getattr(row, self.key)
        return key

    def record(self, row: R) -> list[Any]:
        """The row's values in column order, ready for the database."""
        values = list(msgspec.structs.astuple(row))
        for index in self._json:
            if values[index] is not None:
                values[index] = encode(values[index]).decode()
        return values

    def restore(self, record: Iterable[Any]) -> R:
        """The row of a record whose values are in column order."""
        values = list(record)
        for index, decode in self._decoders:
            if values[index] is not None:
                values[index] = decode(values[index])
        return self.row(*values)

    def select(self, tenant: str = "$1") -> str:
        """Rows of a tenant by keys, ``$2``."""
        return f"SELECT {', '.join(self.names)} FROM {self.name} WHERE tenant_id = {tenant} AND {self.key} = ANY($2::bigint[])"  # noqa: S608

    def select_one(self) -> str:
        """A scoped read of one row: ``$2`` its key."""
        return f"SELECT {', '.join(self.names)} FROM {self.name} WHERE tenant_id = scope.tenant AND {self.key} = $2"  # noqa: S608

    @cached_property
    def _changes(self) -> str:
        """What a row that exists already takes over from the new one."""
        changes = ", ".join(f"{column} = excluded.{column}" for column in self.names if column != self.key)
        return f"ON CONFLICT (tenant_id, {self.key}) DO UPDATE SET {changes}"

    @cached_property
    def save_one(self) -> str:
        """Save one row: the tenant, then its values in column order."""
        values = ", ".join(f"${index}::{one.wire}" for index, one in enumerate(self.columns, 2))
        return f"INSERT INTO {self.name} (tenant_id, {', '.join(self.names)}) VALUES ($1::bigint, {values}) {self._changes}"  # noqa: S608

    @cached_property
    def add_one(self) -> str:
        """Add one row: the tenant, then its values in column order."""
        return self.save_one.removesuffix(self._changes).rstrip()

    def changing(self, tenant: int, before: R, after: R) -> tuple[str, tuple[Any, ...]] | None:
        """The statement and arguments by which a row that is there becomes ``after``; None where nothing is different."""
        pairs = enumerate(zip(msgspec.structs.astuple(before), msgspec.structs.astuple(after), strict=True))
        new = {index: now for index, (then, now) in pairs if then is not now and then != now}
        if not new:
            return None
        statement = self._changing(tuple(new))
        return statement, (tenant, self.key_of(after), *(self.columns[index].out(value) for index, value in new.items()))

    def _changing(self, places: tuple[int, ...]) -> str:
        """Change the columns at these places: the tenant, the key, then their values."""
        known = self._statements.get(places)
        if known is None:
            changes = ", ".join(
                f"{self.columns[place].name} = ${index}::{self.columns[place].wire}" for index, place in enumerate(places, 3)
            )
            known = f"UPDATE {self.name} SET {changes} WHERE tenant_id = $1::bigint AND {self.key} = $2::bigint"  # noqa: S608
            self._statements[places] = known
        return known

    def upsert(self) -> str:
        """Save many rows: the tenant, then one array a column (jsonb travels as text)."""
        arrays = ", ".join(f"${index}::{'text' if one.sql == 'jsonb' else one.sql}[]" for index, one in enumerate(self.columns, 2))
        values = ", ".join(f"{one.name}::jsonb" if one.sql == "jsonb" else one.name for one in self.columns)
        return (
            f"INSERT INTO {self.name} (tenant_id, {', '.join(self.names)}) "  # noqa: S608
            f"SELECT $1::bigint, {values} FROM unnest({arrays}) AS b({', '.join(self.names)}) {self._changes}"
        )

    def none(self) -> str:
        """Rows without their tenant: no row at all, but every column."""
        return f"SELECT {', '.join(self.names)} FROM {self.name} WITH NO DATA"  # noqa: S608

    def take_in(self, source: str) -> str:
        """Save the rows of another table, which lacks the tenant: ``$1``."""
        return f"{self.add_from(source)} {self._changes}"

    def add_from(self, source: str) -> str:
        """Add the rows of another table, which lacks the tenant: ``$1``."""
        columns = ", ".join(self.names)
        return f"INSERT INTO {self.name} (tenant_id, {columns}) SELECT $1::bigint, {columns} FROM {source}"  # noqa: S608

    def saving(self, tenant: int, rows: list[R]) -> tuple[str, tuple[Any, ...]]:
        """The statement and arguments that save ``rows``."""
        if len(rows) == 1:
            return self.save_one, (tenant, *self.record(rows[0]))
        return self.upsert(), (tenant, *self.arrays(rows))

    def arrays(self, rows: Iterable[R]) -> list[list[Any]]:
        """One list a column, for ``upsert``."""
        return [list(values) for values in zip(*(self.record(row) for row in rows), strict=True)]

    def delete(self) -> str:
        """Delete by keys: parameters tenant, keys."""
        return f"DELETE FROM {self.name} WHERE tenant_id = $1 AND {self.key} = ANY($2::bigint[])"  # noqa: S608

    def drop_group(self) -> str:
        """Delete one group: parameters tenant, group."""
        return f"DELETE FROM {self.name} WHERE tenant_id = $1 AND {self.group} = $2"  # noqa: S608

    def move_group(self) -> str:
        """Move one group into another: parameters tenant, from, to."""
        return f"UPDATE {self.name} SET {self.group} = $3 WHERE tenant_id = $1 AND {self.group} = $2"  # noqa: S608
