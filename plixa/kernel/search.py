"""Search words: what people type finds what was written, whatever the accents and case, by the beginning of each word.

A row's words are lexemes that begin with its tenant (``42/maria``), so that one index serves every tenant and none sees another's.
"""

import re
import unicodedata
from collections.abc import Iterable
from itertools import chain

WORD = re.compile(r"\w+")
USUAL_MARKS = ("\u0300", "\u0301", "\u0302", "\u0303", "\u0308", "\u0327")
SPACED = bytes(octet if octet < 128 and WORD.fullmatch(chr(octet)) else 32 for octet in range(256))
"""ASCII with a space in the place of whatever is in no word: most texts are split in this way, several times as fast as by a pattern."""
LONGEST = 48
MOST = 400
MOST_WANTED = 8


def folded(text: str) -> list[str]:
    """The words of a text without accents and case."""
    plain = (text if text.isascii() else unmarked(unicodedata.normalize("NFKD", text))).casefold()
    words = plain.encode().translate(SPACED).decode().split() if plain.isascii() else WORD.findall(plain)
    return [word[:LONGEST] for word in words]


def unmarked(decomposed: str) -> str:
    """Without the marks, such as accents, that stand behind their letters; most texts have only the usual ones."""
    plain = decomposed
    for mark in USUAL_MARKS:
        plain = plain.replace(mark, "")
    return plain if plain.isascii() else "".join([letter for letter in plain if not unicodedata.combining(letter)])


def lexemes(tenant: int, *texts: str | None, phones: Iterable[str] = (), most: int = MOST) -> str:
    """The first ``most`` distinct words of ``texts``, and every ending of ``phones`` of four digits and more, ready to be indexed."""
    words = list(dict.fromkeys(chain.from_iterable([folded(text) for text in texts if text])))[:most]
    words += dict.fromkeys(phone[start:] for phone in phones for start in range(len(phone) - 3))
    own = f"{tenant}/"
    return own + f" {own}".join(words) if words else ""


def beginnings(tenant: int, text: str) -> list[str]:
    """What lexemes must begin with, one for each word of ``text``, the longest first: it most likely is the rarest."""
    return [f"{tenant}/{word}" for word in sorted(dict.fromkeys(folded(text)[:MOST_WANTED]), key=len, reverse=True)]


def tsquery(wanted: list[str]) -> str:
    """Rows that have a lexeme with each of the wanted beginnings, for an index."""
    return " & ".join(f"'{beginning}':*" for beginning in wanted)


def patterns(wanted: list[str]) -> list[str]:
    """The same for LIKE ALL over a row's words: a tenant's number and its stroke stand nowhere but where a lexeme begins."""
    return ["%" + beginning.replace("_", r"\_") + "%" for beginning in wanted]


def is_telling(wanted: list[str]) -> bool:
    """Whether it can be taken for granted that few have them: part of a phone, or several words that are more than a beginning."""
    words = [beginning.partition("/")[2] for beginning in wanted]
    return any(word.isdecimal() for word in words) or (len(words) > 1 and len(min(words, key=len)) > 3)
