"""What requests of support name."""

from tests.authorization.making import Maker

THINGS: dict[str, Maker] = {}
