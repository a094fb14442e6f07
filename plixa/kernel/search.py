"""Search words: what people type finds what was written, whatever the accents and case, by the beginning of each word.

A row's words are lexemes that begin with its tenant (``42/maria``), so that one index serves every tenant and none sees another's.
"""

import re
import unicodedata

WORD = re.compile(r"\w+")
LONGEST = 48
MOST = 400


def folded(text: str) -> list[str]:
    """The words of a text without accents and case."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return [word[:LONGEST] for word in WORD.findall(plain.casefold())]


def lexemes(tenant: int, *texts: str | None, phone: str | None = None) -> str:
    """The distinct words of ``texts``, and every ending of ``phone`` of four digits and more, ready to be indexed."""
    if not any(texts) and not phone:
        return ""
    words = dict.fromkeys(word for text in texts if text for word in folded(text))
    endings = [phone[start:] for start in range(len(phone) - 3)] if phone else []
    return " ".join(f"{tenant}/{word}" for word in [*list(words)[:MOST], *endings])


def tsquery(tenant: int, text: str) -> str | None:
    """Rows that have a word beginning with each word of ``text``; None when there is no word in it."""
    words = folded(text)[:8]
    return " & ".join(f"'{tenant}/{word}':*" for word in words) or None
