"""What requests of scheduling name."""

from tests.authorization.making import Maker

THINGS: dict[str, Maker] = {}
