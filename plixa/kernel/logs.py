"""Logs: one JSON object a line, with request id, tenant and actor; tokens, passwords and row contents never."""

import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

from plixa.kernel.requests import current_request

_SECRETS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"\d+(?:\||%7C)plx\w*_\w+", re.IGNORECASE), "[token]"),
    (re.compile(r"\bplx\w*_\w{20,}"), "[token]"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',]+"), r"\1 [secret]"),
    (re.compile(r"(://[^\s:/@]*):[^\s@/]+@"), r"\1:[secret]@"),
    (re.compile(r"(?m)(DETAIL:).*$"), r"\1 [row]"),
    (re.compile(r"(?m)(invalid input for query argument \$\d+:).*$"), r"\1 [value]"),
)
"""Our tokens, authorization headers, passwords in URLs, and the rows and values that database errors quote."""


_SUSPECT: Final = re.compile(r"plx|://|bearer|basic|detail:|invalid input", re.IGNORECASE)
"""Without one of these no pattern above can match: most lines are done after one search."""


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Sends everything the process logs to ``stream`` (standard output) as JSON lines.

    Litestar gets ``logging_config=None`` and granian ``log_enabled=False``, so that nothing is written twice.
    """
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class JsonLines(logging.Formatter):
    """A record as one redacted JSON line; ``extra={"fields": {...}}`` adds members."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if request := current_request():
            line |= {"request_id": request.id, "tenant": request.tenant, "actor": request.actor}
        for name, value in getattr(record, "fields", {}).items():
            line[name] = redact(value) if isinstance(value, str) else value
        if record.exc_info:
            line["trace"] = redact(self.formatException(record.exc_info))
        return _encode(line)


def redact(text: str) -> str:
    """The text without what no log may hold."""
    if not _SUSPECT.search(text):
        return text
    for pattern, mask in _SECRETS:
        text = pattern.sub(mask, text)
    return text


def _encode(line: dict[str, Any]) -> str:
    return msgspec.json.encode(line, enc_hook=str).decode()
