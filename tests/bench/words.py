"""Portuguese as customers and shops write it: few words often, many rarely (Zipf), names, and Brazilian phones."""

from itertools import accumulate
from pathlib import Path
from random import Random

OFTEN, STEMS, ENDINGS, FIRST, LAST = (part.split() for part in (Path(__file__).with_name("words.txt")).read_text("utf-8").split("\n\n"))
AREAS = (11, 12, 13, 19, 21, 27, 31, 41, 47, 48, 51, 61, 62, 71, 81, 85, 91, 92)
COPRIME = 39_999_983

VOCABULARY = list(dict.fromkeys([*OFTEN, *(stem + ending for ending in ENDINGS for stem in STEMS)]))
"""From the most to the least frequent."""
WEIGHTS = list(accumulate(1 / (rank + 2.7) ** 1.07 for rank in range(len(VOCABULARY))))


class Speech:
    """Somebody's way to say things: the same for the same dice."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._supply: list[str] = []

    def sentence(self) -> str:
        """Three to twenty words; now and then an order number, which is a word nobody else says."""
        dice = self._dice
        length = 3 + int(dice.expovariate(0.2)) % 18
        if len(self._supply) < length:
            self._supply = dice.choices(VOCABULARY, cum_weights=WEIGHTS, k=48)
        words, self._supply = self._supply[:length], self._supply[length:]
        if dice.random() < 0.05:
            words.append(f"pedido {dice.randrange(100_000, 9_999_999)}")
        return " ".join(words).capitalize() + ("?" if length % 3 == 0 else "")


def full_name(number: int) -> str:
    """A contact's name."""
    return f"{FIRST[number * 31 % len(FIRST)]} {LAST[number * 17 // 3 % len(LAST)]}"


def phone(number: int) -> str:
    """A Brazilian mobile number nobody else has, in digits; ``number`` below 39 million."""
    return f"55{AREAS[number % len(AREAS)]}9{60_000_000 + number * 7919 % COPRIME}"
