"""Custom fields: of which type each is, and what may stand in it. On the wire every value is text."""

import re
from datetime import date
from typing import Final, Literal

FieldType = Literal["text", "number", "date", "boolean", "select"]

NUMBER: Final = re.compile(r"-?\d{1,30}(\.\d{1,30})?", re.ASCII)
DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def find_fault(kind: FieldType, options: list[str], value: str) -> str | None:
    """What is wrong with a value, or None."""
    if kind == "number" and not NUMBER.fullmatch(value):
        return "Must be a decimal number like 12.50."
    if kind == "date" and not is_date(value):
        return "Must be a date like 2026-06-10."
    if kind == "boolean" and value not in ("true", "false"):
        return "Must be true or false."
    if kind == "select" and value not in options:
        return "Must be one of the field's options."
    return None


def is_date(value: str) -> bool:
    """Is it a day of the calendar, written YYYY-MM-DD?"""
    try:
        return DATE.fullmatch(value) is not None and date.fromisoformat(value) is not None
    except ValueError:
        return False
