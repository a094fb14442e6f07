"""What requests of campaigns and other work of the backoffice name."""

from tests.authorization.making import Maker

THINGS: dict[str, Maker] = {}
