"""Search words: what people type finds what was written, whatever the accents and case, by the beginning of each word.

A row's words are lexemes that begin with its tenant (``42/maria``), so that one index serves every tenant and none sees another's.
"""

import re
import unicodedata
from collections.abc import Iterable

WORD = re.compile(r"\w+")
USUAL_MARKS = re.compile("[\u0300-\u034e\u0350-\u036f]+")
LONGEST = 48
MOST = 400


def folded(text: str) -> list[str]:
    """The words of a text without accents and case."""
    plain = text if text.isascii() else unmarked(unicodedata.normalize("NFKD", text))
    return [word[:LONGEST] for word in WORD.findall(plain.casefold())]


def unmarked(decomposed: str) -> str:
    """Without the marks, such as accents, that stand behind their letters; most texts have only the usual ones."""
    plain = USUAL_MARKS.sub("", decomposed)
    return plain if plain.isascii() else "".join([letter for letter in plain if not unicodedata.combining(letter)])


def lexemes(tenant: int, *texts: str | None, phones: Iterable[str] = ()) -> str:
    """The distinct words of ``texts``, and every ending of ``phones`` of four digits and more, ready to be indexed."""
    if not any(texts) and not phones:
        return ""
    words = dict.fromkeys(word for text in texts if text for word in folded(text))
    endings = dict.fromkeys(phone[start:] for phone in phones for start in range(len(phone) - 3))
    return " ".join(f"{tenant}/{word}" for word in [*list(words)[:MOST], *endings])


def tsquery(tenant: int, text: str) -> str | None:
    """Rows that have a word beginning with each word of ``text``; None when there is no word in it."""
    words = folded(text)[:8]
    return " & ".join(f"'{tenant}/{word}':*" for word in words) or None
