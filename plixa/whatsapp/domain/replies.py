"""Answers to buttons, lists and templates: the text the customer saw on what they pressed."""

import msgspec

from plixa.whatsapp.domain.values import record, text

_PARAMETERS_LENGTH = 20_000
_SHOWN = ("display_text", "title", "name", "description", "id")


def reply_text(part: dict[str, object]) -> str:
    """The displayed text, or at least the row's or button's own id."""
    choices = (
        part.get("selectedDisplayText"),
        part.get("title"),
        record(part.get("body")).get("text"),
        _flow_text(record(part.get("nativeFlowResponseMessage"))),
        record(part.get("singleSelectReply")).get("selectedRowId"),
        part.get("selectedButtonId"),
        part.get("selectedId"),
    )
    return next((shown for choice in choices if (shown := text(choice))), "")


def _flow_text(flow: dict[str, object]) -> str:
    try:
        parameters = record(msgspec.json.decode(text(flow.get("paramsJson"), _PARAMETERS_LENGTH)))
    except (msgspec.DecodeError, RecursionError):
        return text(flow.get("name"), 255)
    return next((shown for field in _SHOWN if (shown := text(parameters.get(field)))), "")
