"""Articles of the knowledge base: published ones as anybody reads them, all of them with their earlier versions as staff do."""

import asyncio
from datetime import datetime
from typing import Any, Final

import asyncpg
from msgspec import Struct

from plixa.kernel.cursor import decode, encode
from plixa.kernel.envelope import Page
from plixa.kernel.errors import NotFound
from plixa.kernel.event_store import Person
from plixa.kernel.markdown import render_markdown
from plixa.kernel.paging import Paging
from plixa.kernel.search import beginnings, tsquery
from plixa.kernel.settings import Settings
from plixa.kernel.tenancy import bind
from plixa.kernel.uow import UnitOfWork
from plixa.support.domain.articles import ArticleLocale, ArticleStatus

FOUND: Final = "id IN (SELECT find_articles({}::text::tsquery))"
PUBLISHED: Final = """SELECT id, position, title, slug, excerpt, category, locale, updated_at FROM article
WHERE tenant_id = scope.tenant AND status = 'published' AND locale = $2 AND (position, id) > ($4::bigint, $5::bigint) {where}
ORDER BY position, id LIMIT $3::int"""
BY_SLUG: Final = """SELECT title, slug, excerpt, category, locale, updated_at, body FROM article
WHERE tenant_id = scope.tenant AND status = 'published' AND locale = $2 AND slug = $3"""
CATEGORIES: Final = """WITH RECURSIVE found(category) AS (
    (SELECT category FROM article WHERE tenant_id = scope.tenant AND status = 'published' AND locale = $2 ORDER BY category LIMIT 1)
    UNION ALL
    SELECT (SELECT a.category FROM article a WHERE a.tenant_id = scope.tenant AND a.status = 'published' AND a.locale = $2
            AND a.category > found.category ORDER BY a.category LIMIT 1)
    FROM found WHERE found.category IS NOT NULL)
SELECT category FROM found WHERE category IS NOT NULL"""
"""From one category to the next by the index: what an article costs does not matter, only how many categories there are."""
ALL: Final = """SELECT id, title, slug, category, locale, status, published_at, updated_at, author_id, author_name FROM article
WHERE tenant_id = scope.tenant AND id < $3 {where} ORDER BY id DESC LIMIT $2::int"""
ONE: Final = """SELECT id, title, slug, category, locale, status, published_at, updated_at, author_id, author_name,
    body, excerpt, position, version, created_at FROM article WHERE tenant_id = scope.tenant AND id = $2"""
SLUGS: Final = "SELECT slug FROM article WHERE tenant_id = scope.tenant AND locale = $2 AND starts_with(slug, $3) AND id <> $4"
VERSIONS: Final = """SELECT version, title, status, author_id, author_name, saved_at FROM article_version
WHERE tenant_id = scope.tenant AND article_id = $2 AND version < $3::bigint ORDER BY version DESC LIMIT $4::int"""
VERSION: Final = """SELECT version, title, status, author_id, author_name, saved_at, slug, category, locale, body, excerpt, position
FROM article_version WHERE tenant_id = scope.tenant AND article_id = $2 AND version = $3::bigint"""
LAST: Final = 2**63 - 1
FIRST: Final = (-1, 0)


class PublishedArticleView(Struct, frozen=True, kw_only=True):
    """A help article in a list."""

    title: str
    slug: str
    excerpt: str | None
    category: str
    locale: str
    updated_at: datetime


class PublishedArticleDetailView(PublishedArticleView, frozen=True, kw_only=True):
    """A help article to be read: its Markdown, and that as HTML in which nothing runs."""

    body: str
    html: str


class CategoryView(Struct, frozen=True):
    """Under what published articles stand."""

    name: str


class ArticleView(Struct, frozen=True, kw_only=True):
    """An article as staff see it in a list; ``author`` saved it last, ``published_at`` is when it first was published."""

    id: int
    title: str
    slug: str
    category: str
    locale: str
    status: str
    published_at: datetime | None
    updated_at: datetime
    author: Person


class ArticleDetailView(ArticleView, frozen=True, kw_only=True):
    """An article as staff edit it; ``version`` counts how often it was saved."""

    body: str
    html: str
    excerpt: str | None
    position: int
    version: int
    created_at: datetime


class ArticleVersionView(Struct, frozen=True, kw_only=True):
    """What an article was before somebody saved another; ``saved_at`` is when this one was."""

    version: int
    title: str
    status: str
    author: Person
    saved_at: datetime


class ArticleVersionDetailView(ArticleVersionView, frozen=True, kw_only=True):
    """The whole of an earlier version."""

    slug: str
    category: str
    locale: str
    body: str
    html: str
    excerpt: str | None
    position: int


class PublishedFilters(Struct, frozen=True):
    """Which articles a reader looks for: in one language, beginnings of words, a category."""

    locale: ArticleLocale
    q: str | None = None
    category: str | None = None


class ArticleFilters(Struct, frozen=True):
    """Which articles staff look for."""

    status: ArticleStatus | None = None
    q: str | None = None
    category: str | None = None
    locale: ArticleLocale | None = None


async def list_published(uow: UnitOfWork, filters: PublishedFilters, paging: Paging) -> tuple[list[PublishedArticleView], Page]:
    """One page of what anybody may read, in its order."""
    place = decode(paging.cursor, (int, int)) if paging.cursor is not None else FIRST
    arguments: list[Any] = [filters.locale, paging.limit + 1, *place]
    where = narrowed(arguments, {FOUND: words_wanted(uow, filters.q), "category = {}::text": filters.category})
    rows = await uow.fetch(PUBLISHED.format(where=where), *arguments)
    shown = rows[: paging.limit]
    cursor = encode((shown[-1]["position"], shown[-1]["id"])) if len(rows) > paging.limit else None
    return [PublishedArticleView(**published(row)) for row in shown], Page(cursor, paging.limit)


async def get_published(uow: UnitOfWork, settings: Settings, locale: str, slug: str) -> PublishedArticleDetailView:
    """An article anybody may read; raises NotFound."""
    row = await uow.fetchrow(BY_SLUG, locale, slug)
    if row is None:
        raise NotFound("There is no such article.")
    return PublishedArticleDetailView(**published(row), body=row["body"], html=await html_of(settings, row["body"]))


async def list_categories(uow: UnitOfWork, locale: str) -> list[CategoryView]:
    """The categories of a language that have something to read, by name."""
    return [CategoryView(row["category"]) for row in await uow.fetch(CATEGORIES, locale)]


async def list_articles(uow: UnitOfWork, filters: ArticleFilters, paging: Paging) -> tuple[list[ArticleView], Page]:
    """One page of all articles, drafts too, the newest first."""
    arguments: list[Any] = [paging.limit + 1, decode(paging.cursor, (int,))[0] if paging.cursor is not None else LAST]
    wishes = {
        FOUND: words_wanted(uow, filters.q),
        "status = {}::text": filters.status,
        "category = {}::text": filters.category,
        "locale = {}::text": filters.locale,
    }
    rows = await uow.fetch(ALL.format(where=narrowed(arguments, wishes)), *arguments)
    shown = [ArticleView(**summary(row)) for row in rows[: paging.limit]]
    return shown, Page(encode((shown[-1].id,)) if len(rows) > paging.limit else None, paging.limit)


async def get_article(uow: UnitOfWork, settings: Settings, number: int) -> ArticleDetailView:
    """An article as staff edit it; raises NotFound."""
    row = await uow.fetchrow(ONE, number)
    if row is None:
        raise NotFound("There is no such article.")
    own = {name: row[name] for name in ("body", "excerpt", "position", "version", "created_at")}
    return ArticleDetailView(**summary(row), **own, html=await html_of(settings, row["body"]))


async def list_versions(uow: UnitOfWork, number: int, paging: Paging) -> tuple[list[ArticleVersionView], Page]:
    """What an article was before, the latest first; raises NotFound."""
    before = decode(paging.cursor, (int,))[0] if paging.cursor is not None else LAST
    if await uow.fetchrow(ONE, number) is None:
        raise NotFound("There is no such article.")
    rows = await uow.fetch(VERSIONS, number, before, paging.limit + 1)
    shown = [ArticleVersionView(**version(row)) for row in rows[: paging.limit]]
    return shown, Page(encode((shown[-1].version,)) if len(rows) > paging.limit else None, paging.limit)


async def get_version(uow: UnitOfWork, settings: Settings, number: int, wanted: int) -> ArticleVersionDetailView:
    """The whole of what an article was; raises NotFound."""
    row = await uow.fetchrow(VERSION, number, wanted)
    if row is None:
        raise NotFound("There is no such version.")
    own = {name: row[name] for name in ("slug", "category", "locale", "body", "excerpt", "position")}
    return ArticleVersionDetailView(**version(row), **own, html=await html_of(settings, row["body"]))


async def list_slugs(uow: UnitOfWork, locale: str, beginning: str, number: int) -> set[str]:
    """The slugs of a language that begin so, but an article's own."""
    return {row["slug"] for row in await uow.fetch(SLUGS, locale, beginning, number)}


def words_wanted(uow: UnitOfWork, q: str | None) -> str | None:
    """What is searched, as the index takes it; nothing has a word that is none."""
    if not q or q.isspace():
        return None
    return tsquery(beginnings(uow.tenant, q) or ["-"])


def narrowed(arguments: list[Any], wishes: dict[str, str | None]) -> str:
    """The conditions of the wishes that there are; their values go behind the other ``arguments``."""
    return " ".join(f"AND {condition.format(bind(arguments, value))}" for condition, value in wishes.items() if value is not None)


async def html_of(settings: Settings, body: str) -> str:
    """Its Markdown as HTML, made beside the event loop: a long one can take a second."""
    return await asyncio.to_thread(render_markdown, body, f"{settings.public_url}/images/")


def published(row: asyncpg.Record) -> dict[str, Any]:
    """The fields everybody sees in a list."""
    return {name: row[name] for name in ("title", "slug", "excerpt", "category", "locale", "updated_at")}


def summary(row: asyncpg.Record) -> dict[str, Any]:
    """The fields staff see in a list."""
    same = ("id", "title", "slug", "category", "locale", "status", "published_at", "updated_at")
    return {name: row[name] for name in same} | {"author": Person(row["author_id"], row["author_name"])}


def version(row: asyncpg.Record) -> dict[str, Any]:
    """The fields of an earlier version in a list."""
    same = {name: row[name] for name in ("version", "title", "status", "saved_at")}
    return same | {"author": Person(row["author_id"], row["author_name"])}
