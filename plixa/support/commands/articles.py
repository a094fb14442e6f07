"""Articles: written, saved anew with the former text kept, deleted; and the pictures in them."""

import secrets
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from plixa.identity.queries.members import image_url
from plixa.kernel.audit import PLATFORM, record, record_change
from plixa.kernel.images import clean
from plixa.kernel.settings import Settings
from plixa.kernel.tenancy import lock_of
from plixa.kernel.uow import UnitOfWork
from plixa.support.domain.articles import (
    ArticleLocale,
    ArticleStatus,
    Body,
    Category,
    Excerpt,
    Position,
    Slug,
    SlugTaken,
    Title,
    slug_of,
    words_of,
)
from plixa.support.queries.articles import ArticleDetailView, get_article, list_slugs
from plixa.workspace.commands.settings import KEEP_IMAGE

LARGEST_IMAGE: Final = 2 * 1024 * 1024
"""Bytes of an upload."""
INSERT: Final = """INSERT INTO article (tenant_id, id, locale, slug, title, body, excerpt, category, position, status, words,
    author_id, author_name, created_at, updated_at, published_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text, $11, $12, $13, $14::timestamptz, $14::timestamptz,
    CASE WHEN $10::text = 'published' THEN $14::timestamptz END)"""
KEEP: Final = """INSERT INTO article_version (tenant_id, article_id, version, locale, slug, title, body, excerpt, category, position,
    status, author_id, author_name, saved_at)
SELECT tenant_id, id, version, locale, slug, title, body, excerpt, category, position, status, author_id, author_name, updated_at
FROM article WHERE tenant_id = $1 AND id = $2"""
SAVE: Final = """UPDATE article SET locale = $3, slug = $4, title = $5, body = $6, excerpt = $7, category = $8, position = $9,
    status = $10::text, words = $11, author_id = $12, author_name = $13, updated_at = $14::timestamptz, version = version + 1,
    published_at = CASE WHEN $10::text = 'published' THEN coalesce(published_at, $14::timestamptz) ELSE published_at END
WHERE tenant_id = $1 AND id = $2"""
DELETE: Final = "DELETE FROM article WHERE tenant_id = $1 AND id = $2"
TOLD: Final = ("title", "slug", "locale", "category", "excerpt", "position", "status")
"""What the audit trail says of an article; of its text only which version it is, and that is kept."""


class CreateArticle(Struct, frozen=True, kw_only=True):
    """A new article; its ``slug`` is made from the title where none is given."""

    title: Title
    slug: Slug | None = None
    body: Body
    excerpt: Excerpt | None = None
    category: Category
    locale: ArticleLocale
    status: ArticleStatus = "draft"
    position: Position = 0


class UpdateArticle(Struct, frozen=True, kw_only=True):
    """What is to be different; what is left out stays. Another title leaves the slug as it is: links lead there."""

    title: Title | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET
    body: Body | UnsetType = UNSET
    excerpt: Excerpt | UnsetType | None = UNSET
    category: Category | UnsetType = UNSET
    locale: ArticleLocale | UnsetType = UNSET
    status: ArticleStatus | UnsetType = UNSET
    position: Position | UnsetType = UNSET


async def create_article(uow: UnitOfWork, settings: Settings, data: CreateArticle) -> ArticleDetailView:
    """A draft, or published at once; raises SlugTaken."""
    await alone(uow)
    number, wanted = await uow.number("article_number"), trimmed(asdict(data))
    if data.slug is None:
        beginning = slug_of(wanted["title"])
        wanted["slug"] = slug_of(wanted["title"], await list_slugs(uow, data.locale, beginning, number))
    else:
        await refuse_taken(uow, number, wanted)
    await uow.execute(INSERT, number, *columns(uow, wanted))
    await record(uow, "article.created", ("article", number), after={name: wanted[name] for name in TOLD} | {"version": 1})
    return await get_article(uow, settings, number)


async def update_article(uow: UnitOfWork, settings: Settings, number: int, data: UpdateArticle) -> ArticleDetailView:
    """Save it anew and keep what it was; raises NotFound, SlugTaken. Where nothing is different nothing is saved."""
    await alone(uow)
    view = await get_article(uow, settings, number)
    before = {name: getattr(view, name) for name in (*TOLD, "body")}
    after = before | trimmed({name: value for name, value in asdict(data).items() if value is not UNSET})
    if after == before:
        return view
    await refuse_taken(uow, number, after)
    await uow.execute(KEEP, number)
    await uow.execute(SAVE, number, *columns(uow, after))
    told, now_told = ({name: state[name] for name in TOLD} for state in (before, after))
    versions = {"version": view.version}, {"version": view.version + 1}
    await record_change(uow, "article.updated", ("article", number), told | versions[0], now_told | versions[1])
    return await get_article(uow, settings, number)


async def delete_article(uow: UnitOfWork, settings: Settings, number: int) -> None:
    """With all it was before; raises NotFound."""
    await alone(uow)
    view = await get_article(uow, settings, number)
    await uow.execute(DELETE, number)
    await record(uow, "article.deleted", ("article", number), {name: getattr(view, name) for name in (*TOLD, "version")})


async def keep_image(uow: UnitOfWork, settings: Settings, upload: bytes) -> str:
    """Keep a picture for articles, made anew, under a random name; answers where it is served."""
    picture = await clean(upload, LARGEST_IMAGE, "image")
    key = f"{secrets.token_hex(16)}.{picture.ending}"
    await uow.execute(KEEP_IMAGE, key, picture.mime, picture.content, uow.now)
    await record(uow, "article_image.uploaded", ("tenant", PLATFORM), after={"image_key": key})
    return str(image_url(settings, key))


async def alone(uow: UnitOfWork) -> None:
    """One change of the articles after the other, so that no two have one slug and every version is kept."""
    await uow.begin(lock_of("articles"))


async def refuse_taken(uow: UnitOfWork, number: int, wanted: dict[str, Any]) -> None:
    """Raises SlugTaken where another article of the language has the slug."""
    if wanted["slug"] in await list_slugs(uow, wanted["locale"], wanted["slug"], number):
        raise SlugTaken


def trimmed(wanted: dict[str, Any]) -> dict[str, Any]:
    """Without blanks around what is one line."""
    return {name: value.strip() if name in ("title", "category", "excerpt") and value else value for name, value in wanted.items()}


def columns(uow: UnitOfWork, wanted: dict[str, Any]) -> list[Any]:
    """As the statements take it."""
    words = words_of(uow.tenant, wanted["title"], wanted["category"], wanted["excerpt"], wanted["body"])
    same = [wanted[name] for name in ("locale", "slug", "title", "body", "excerpt", "category", "position", "status")]
    return [*same, words, uow.actor.id, uow.actor.name, uow.now]
