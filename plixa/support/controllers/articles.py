"""Routes: the knowledge base as anybody reads it, and as staff write it."""

from typing import Annotated, Any

from litestar import Controller, Request
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency, Provide
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Struct

from plixa.kernel.audit import PLATFORM
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.event_store import SYSTEM
from plixa.kernel.http import Uow, delete, get, post, put
from plixa.kernel.paging import PageWanted
from plixa.kernel.requests import current_request_id
from plixa.kernel.settings import Settings
from plixa.kernel.uow import Kernel, UnitOfWork
from plixa.support.commands.articles import (
    LARGEST_IMAGE,
    CreateArticle,
    UpdateArticle,
    create_article,
    delete_article,
    keep_image,
    update_article,
)
from plixa.support.domain.articles import ArticleLocale, ArticleStatus
from plixa.support.queries.articles import (
    ArticleDetailView,
    ArticleFilters,
    ArticleVersionDetailView,
    ArticleVersionView,
    ArticleView,
    CategoryView,
    PublishedArticleDetailView,
    PublishedArticleView,
    PublishedFilters,
    get_article,
    get_published,
    get_version,
    list_articles,
    list_categories,
    list_published,
    list_versions,
)

Configuration = NamedDependency[Settings]
Word = Annotated[str | None, QueryParameter(max_length=100, description="Beginnings of words.")]
InCategory = Annotated[str | None, QueryParameter(max_length=60)]


class Image(Struct, frozen=True):
    """A PNG, JPEG or WebP image of at most 2 MB."""

    image: UploadFile


class ImageView(Struct, frozen=True):
    """Where the image is served, for ``![…](url)``."""

    url: str


ImageForm = Annotated[Image, Body(media_type=RequestEncodingType.MULTI_PART)]


def provide_public_uow(request: Request[Any, Any, Any]) -> UnitOfWork:
    """A unit of work of the platform itself, for whoever reads."""
    kernel: Kernel = request.app.state.kernel
    return kernel.unit(PLATFORM, SYSTEM, current_request_id())


def provide_published_filters(locale: FromQuery[ArticleLocale] = "en", q: Word = None, category: InCategory = None) -> PublishedFilters:
    """Which articles a reader looks for."""
    return PublishedFilters(locale, q, category)


def provide_filters(
    status: FromQuery[ArticleStatus | None] = None,
    q: Word = None,
    category: InCategory = None,
    locale: FromQuery[ArticleLocale | None] = None,
) -> ArticleFilters:
    """Which articles staff look for."""
    return ArticleFilters(status, q, category, locale)


class ArticleController(Controller):
    path = "/kb"
    tags = ("Knowledge base",)
    dependencies: Any = {  # noqa: RUF012 - as Litestar has it
        "uow": Provide(provide_public_uow, sync_to_thread=False),
        "filters": Provide(provide_published_filters, sync_to_thread=False),
    }

    @get("/articles", access=Access.PUBLIC, security=[{}], throttle="knowledge_base", summary="List the published help articles")
    async def index(self, uow: Uow, filters: NamedDependency[PublishedFilters], paging: PageWanted) -> Data[list[PublishedArticleView]]:
        """Of one language, in their order."""
        return Data(*await list_published(uow, filters, paging))

    @get("/articles/{slug:str}", access=Access.PUBLIC, security=[{}], throttle="knowledge_base", summary="Read a help article")
    async def show(
        self, uow: Uow, settings: Configuration, slug: FromPath[str], locale: FromQuery[ArticleLocale] = "en"
    ) -> Data[PublishedArticleDetailView]:
        """Its Markdown, and that as HTML that can do no harm."""
        return Data(await get_published(uow, settings, locale, slug))

    @get("/categories", access=Access.PUBLIC, security=[{}], throttle="knowledge_base", summary="List the categories of help articles")
    async def categories(self, uow: Uow, locale: FromQuery[ArticleLocale] = "en") -> Data[list[CategoryView]]:
        """Those with something to read, by name."""
        return Data(await list_categories(uow, locale))


class StaffArticleController(Controller):
    path = "/admin/kb"
    tags = ("Admin — Knowledge base",)

    @get(
        "/articles",
        access=Access.STAFF,
        summary="List all help articles",
        dependencies={"filters": Provide(provide_filters, sync_to_thread=False)},
    )
    async def index(self, uow: Uow, filters: NamedDependency[ArticleFilters], paging: PageWanted) -> Data[list[ArticleView]]:
        """Drafts too, the newest first."""
        return Data(*await list_articles(uow, filters, paging))

    @post("/articles", access=Access.STAFF, summary="Create a help article")
    async def create(self, uow: Uow, settings: Configuration, data: JSONBody[CreateArticle]) -> Data[ArticleDetailView]:
        """A draft, unless it says published."""
        return Data(await create_article(uow, settings, data))

    @get("/articles/{article:int}", access=Access.STAFF, summary="Show a help article")
    async def show(self, uow: Uow, settings: Configuration, article: FromPath[int]) -> Data[ArticleDetailView]:
        """As it is now, draft or published."""
        return Data(await get_article(uow, settings, article))

    @put("/articles/{article:int}", access=Access.STAFF, summary="Update a help article")
    async def update(
        self, uow: Uow, settings: Configuration, article: FromPath[int], data: JSONBody[UpdateArticle]
    ) -> Data[ArticleDetailView]:
        """Save it anew, publish it or take it back; what it was stays among its versions."""
        return Data(await update_article(uow, settings, article, data))

    @delete("/articles/{article:int}", access=Access.STAFF, summary="Delete a help article")
    async def remove(self, uow: Uow, settings: Configuration, article: FromPath[int]) -> None:
        """With all its versions."""
        await delete_article(uow, settings, article)

    @get("/articles/{article:int}/versions", access=Access.STAFF, summary="List what a help article was before")
    async def versions(self, uow: Uow, article: FromPath[int], paging: PageWanted) -> Data[list[ArticleVersionView]]:
        """The latest first; what it is now is not among them."""
        return Data(*await list_versions(uow, article, paging))

    @get("/articles/{article:int}/versions/{version:int}", access=Access.STAFF, summary="Show what a help article was")
    async def version(
        self, uow: Uow, settings: Configuration, article: FromPath[int], version: FromPath[int]
    ) -> Data[ArticleVersionDetailView]:
        """The whole of one earlier version."""
        return Data(await get_version(uow, settings, article, version))

    @post("/images", access=Access.STAFF, summary="Upload an image for help articles", request_max_body_size=LARGEST_IMAGE + 1024 * 1024)
    async def upload(self, uow: Uow, settings: Configuration, data: ImageForm) -> Data[ImageView]:
        """PNG, JPEG or WebP, at most 2 MB; it is made anew and anybody may fetch it by its address."""
        await data.image.seek(0)
        return Data(ImageView(await keep_image(uow, settings, await data.image.read())))
