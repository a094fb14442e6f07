"""Markdown from people as HTML that can do no harm: nothing runs, nothing is fetched from anywhere but our own pictures."""

import re
from functools import lru_cache, partial
from typing import Final

import nh3
from markdown_it import MarkdownIt

TAGS: Final = frozenset(
    "a blockquote br code em h1 h2 h3 h4 h5 h6 hr img li ol p pre s strong table tbody td th thead tr ul".split()  # noqa: SIM905
)
ATTRIBUTES: Final = {"a": {"href", "title"}, "img": {"src", "alt", "title"}, "ol": {"start"}}
SCHEMES: Final = frozenset({"http", "https", "mailto"})
PICTURE: Final = re.compile(r"[0-9a-f]{32}\.(png|jpg|webp)")
"""The name of a picture of ours."""
RELATION: Final = "noopener noreferrer nofollow"
"""A page that is linked to neither learns where its reader comes from nor gains in rank."""


@lru_cache(maxsize=256)
def render_markdown(source: str, pictures: str) -> str:
    """CommonMark with tables; HTML in it is shown as text. Of pictures only ours are shown, which are served below ``pictures``."""
    return nh3.clean(
        _parser().render(source),
        tags=set(TAGS),
        attributes=ATTRIBUTES,
        attribute_filter=partial(_kept, pictures),
        url_schemes=set(SCHEMES),
        url_relative="deny",
        link_rel=RELATION,
    )


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def _kept(pictures: str, tag: str, name: str, value: str) -> str | None:
    """The value of an attribute, None where it has to go: another server's picture would tell it who reads."""
    if (tag, name) != ("img", "src"):
        return value
    return value if value.startswith(pictures) and PICTURE.fullmatch(value.removeprefix(pictures)) else None
