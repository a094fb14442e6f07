"""A list of contacts as spreadsheets write it: which line holds whom, and what is wrong with it. The same file always reads the same."""

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

import phonenumbers
from msgspec import Struct

from plixa.contacts.domain.people import LONGEST_NAME, LONGEST_NOTES
from plixa.kernel.errors import Invalid
from plixa.kernel.export import FORMULA
from plixa.kernel.phones import canonical_phone

MOST_ROWS: Final = 50_000
HEADERS: Final = {
    "name": {"name", "nome", "nombre", "contact_name"},
    "phone": {"phone", "telefone", "teléfono", "telefono", "celular", "whatsapp", "contact_phone"},
    "notes": {"notes", "notas", "observações", "observacoes", "observaciones"},
    "labels": {"labels", "etiquetas", "tags"},
}
"""What a column may be called, in the three languages."""
SEPARATORS: Final = (";", ",", "\t")
BETWEEN_LABELS: Final = re.compile(r"[,;|]")
MOST_LABELS: Final = 20
EITHER: Final = phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE
SHORTEST_ABROAD: Final = 11
"""Digits of a number that may have its country code and lack the ``+``."""


Row = tuple[int, dict[str, str]]
"""Its number in the spreadsheet, and what stands in each column."""


class Line(Struct, frozen=True):
    """A row of the file by its number in the spreadsheet. ``fault`` says why nobody can be made of it, ``same_as`` who it repeats."""

    number: int
    phone: str = ""
    name: str | None = None
    notes: str | None = None
    labels: tuple[str, ...] = ()
    fault: str | None = None
    same_as: int | None = None


def read_rows(content: bytes) -> list[Row]:
    """The rows that hold anything; raises Invalid for what is no such file."""
    columns, rows = table_of(decoded(content))
    read = [
        (number, {name: said(row[place]) if place < len(row) else "" for name, place in columns.items()})
        for number, row in islice(rows, MOST_ROWS + 1)
    ]
    if len(read) > MOST_ROWS:
        raise Invalid.field("file", f"The file may hold at most {MOST_ROWS:,} rows.")
    if not read:
        raise Invalid.field("file", "The file holds no rows.")
    return read


def read_lines(content: bytes, country: str) -> list[Line]:
    """Whom each row means; numbers without a country code are of ``country``. Raises what ``read_rows`` raises."""
    lines: list[Line] = []
    seen: dict[str, int] = {}
    for number, cells in read_rows(content):
        line = line_of(number, cells, country)
        same_as = seen.setdefault(canonical_phone(line.phone), number) if line.fault is None else number
        lines.append(line if same_as == number else Line(number, same_as=same_as))
    return lines


def decoded(content: bytes) -> str:
    """The text, be it UTF-8 or as Excel writes it in Brazil; raises Invalid."""
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Invalid.field("file", "The file is neither UTF-8 nor Windows-1252. Save it as CSV.")


def table_of(text: str) -> tuple[dict[str, int], Iterator[tuple[int, list[str]]]]:
    """Where each column stands, and the rows with their numbers; raises Invalid."""
    first = text.lstrip().partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    rows = enumerate(records(text, separator), 1)
    for _, header in rows:
        if not any(cell.strip() for cell in header) or header[0].startswith("sep="):
            continue
        names = [cell.strip().casefold() for cell in header]
        columns = {column: place for place, name in enumerate(names) for column, known in HEADERS.items() if name in known}
        if "phone" not in columns:
            raise Invalid.field("file", "The first row must name the columns, and one of them must be phone.")
        return columns, ((number, row) for number, row in rows if any(cell.strip() for cell in row))
    raise Invalid.field("file", "The file is empty.")


def records(text: str, separator: str) -> Iterator[list[str]]:
    """The rows of a CSV text; raises Invalid."""
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    except csv.Error as error:
        raise Invalid.field("file", f"This is no CSV file: {error}.") from error


def said(cell: str) -> str:
    """What a cell says, without the mark that keeps a spreadsheet from running it."""
    text = cell.strip()
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


def line_of(number: int, cells: dict[str, str], country: str) -> Line:
    """One row, understood or not."""
    name, notes = cells.get("name", ""), cells.get("notes", "")
    phone = phone_in(cells["phone"], country)
    labels = tuple(dict.fromkeys(label for part in BETWEEN_LABELS.split(cells.get("labels", "")) if (label := part.strip())))
    fault = fault_of(cells, phone, labels)
    return Line(number, fault=fault) if fault else Line(number, phone or "", name or None, notes or None, labels)


def fault_of(cells: dict[str, str], phone: str | None, labels: tuple[str, ...]) -> str | None:
    """Why a row is refused, without a word of what stands in it."""
    if not cells["phone"]:
        return "The phone is missing."
    if phone is None:
        return "This is no phone number. Write it with its area code, and its country code where it is from abroad."
    if len(cells.get("name", "")) > LONGEST_NAME:
        return f"The name is longer than {LONGEST_NAME} characters."
    if len(cells.get("notes", "")) > LONGEST_NOTES:
        return f"The notes are longer than {LONGEST_NOTES} characters."
    if len(labels) > MOST_LABELS:
        return f"There are more than {MOST_LABELS} labels."
    return "There is a character that cannot be kept." if any("\0" in cell for cell in cells.values()) else None


def phone_in(written: str, country: str) -> str | None:
    """The digits of a phone with its country code, or None; ``country`` is where a number without one is from.

    Only its length is judged: WhatsApp knows numbers that have lost their ninth digit.
    """
    guesses = [written, f"+{written}"] if sum(sign.isdigit() for sign in written) >= SHORTEST_ABROAD else [written]
    for guess in guesses:
        try:
            number = phonenumbers.parse(guess, country)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number_for_type_with_reason(number, EITHER) == phonenumbers.ValidationResult.IS_POSSIBLE:
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
    return None
