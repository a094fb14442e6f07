"""What an article may say, by what name it is found in an address, and under which words."""

from collections.abc import Collection
from itertools import count
from typing import Annotated, Final, Literal

from msgspec import Meta
from slugify import slugify

from plixa.kernel.errors import Conflict
from plixa.kernel.search import lexemes

LONGEST_BODY: Final = 50_000
LONGEST_SLUG: Final = 80
MOST_WORDS: Final = 5_000
"""By which one article is found."""

ArticleLocale = Literal["en", "pt-BR", "es"]
ArticleStatus = Literal["draft", "published"]
Title = Annotated[str, Meta(min_length=1, max_length=150, pattern=r"\S")]
Slug = Annotated[str, Meta(min_length=1, max_length=LONGEST_SLUG, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$(?!\s)")]
Body = Annotated[str, Meta(min_length=1, max_length=LONGEST_BODY, pattern=r"\S")]
Excerpt = Annotated[str, Meta(min_length=1, max_length=300, pattern=r"\S")]
Category = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"\S")]
Position = Annotated[int, Meta(ge=0, le=1_000_000)]


class SlugTaken(Conflict):
    code = "SLUG_TAKEN"
    default = "Another article in this language has this slug already."


def slug_of(title: str, taken: Collection[str] = ()) -> str:
    """``Conexão: número!`` → ``conexao-numero``, with a number behind where that is taken."""
    plain = slugify(title, max_length=LONGEST_SLUG - 8, word_boundary=True) or "article"
    numbered = (plain if number == 1 else f"{plain}-{number}" for number in count(1))
    return next(slug for slug in numbered if slug not in taken)


def words_of(tenant: int, title: str, category: str, excerpt: str | None, body: str) -> str:
    """By what an article is found."""
    return lexemes(tenant, title, category, excerpt, body, most=MOST_WORDS)
