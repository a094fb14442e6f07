"""Every read model. INLINE ones are written with the command that made the event; ASYNC ones follow the log."""

from typing import Any

from plixa.kernel.projection import Projection
from projections.inbox import inbox
from projections.messages import messages
from projections.search import names, texts

INLINE: tuple[Projection[Any], ...] = (inbox, messages, names, texts)
ASYNC: tuple[Projection[Any], ...] = ()

BY_NAME: dict[str, tuple[Projection[Any], ...]] = {"inbox": (inbox, messages, names, texts)}
"""What ``plixa rebuild NAME`` rebuilds together."""
