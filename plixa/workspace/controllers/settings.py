"""Settings of a workspace: what binds every member, who must prove what, and when it is open."""

from typing import Annotated

from litestar import Controller, Response, get
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, JSONBody
from msgspec import Struct

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Machinery, Uow, delete, post, put
from plixa.kernel.http import get as read
from plixa.kernel.images import public_headers
from plixa.kernel.settings import Settings
from plixa.workspace.commands.settings import (
    UpdateBusinessHours,
    UpdateSecurity,
    UpdateWorkspace,
    dismiss_onboarding,
    remove_logo,
    set_logo,
    update_business_hours,
    update_security,
    update_workspace,
)
from plixa.workspace.queries.images import get_public_image
from plixa.workspace.queries.onboarding import OnboardingView, get_onboarding
from plixa.workspace.queries.settings import (
    BusinessHoursView,
    MetaView,
    SecurityConfigView,
    WorkspaceConfigView,
    get_business_hours,
    get_meta,
    get_security_config,
    get_workspace_config,
)


class Logo(Struct, frozen=True):
    """A PNG, JPEG or WebP image of at most 1 MB."""

    logo: UploadFile


class LogoView(Struct, frozen=True):
    """Where the logo is served now."""

    logo_url: str | None


LogoForm = Annotated[Logo, Body(media_type=RequestEncodingType.MULTI_PART)]


class WorkspaceConfigController(Controller):
    path = "/workspace-config"
    tags = ("Workspace configuration",)

    @read("/", access=Access.MEMBER)
    async def show(self, uow: Uow, settings: NamedDependency[Settings]) -> Data[WorkspaceConfigView]:
        """The workspace's name, zone, language, currency and logo."""
        return Data(await get_workspace_config(uow, settings))

    @put("/", access=Access.OWNER)
    async def update(self, uow: Uow, settings: NamedDependency[Settings], data: JSONBody[UpdateWorkspace]) -> Data[WorkspaceConfigView]:
        """Update the workspace timezone, default locale and currency; its name and country, where given."""
        await update_workspace(uow, data)
        return Data(await get_workspace_config(uow, settings))

    @post("/logo", access=Access.OWNER, status_code=200, request_max_body_size=2 * 1024 * 1024)
    async def upload(self, uow: Uow, settings: NamedDependency[Settings], data: LogoForm) -> Data[LogoView]:
        """Upload or replace the workspace logo: PNG, JPEG or WebP, at most 1 MB."""
        await data.logo.seek(0)
        return Data(LogoView(await set_logo(uow, settings, await data.logo.read())))

    @delete("/logo", access=Access.OWNER)
    async def remove(self, uow: Uow) -> None:
        """Remove the workspace logo."""
        await remove_logo(uow)


class SecurityConfigController(Controller):
    path = "/security-config"
    tags = ("Security",)

    @read("/", access=Access.OWNER)
    async def show(self, uow: Uow) -> Data[SecurityConfigView]:
        """Who must prove what, who sees what, and who has no second factor yet."""
        return Data(await get_security_config(uow))

    @put("/", access=Access.OWNER, own=True)
    async def update(self, uow: Uow, data: JSONBody[UpdateSecurity]) -> Data[SecurityConfigView]:
        """Update the security switches; demanding a second factor needs the owner's own first."""
        await update_security(uow, data)
        return Data(await get_security_config(uow))


class BusinessHoursController(Controller):
    path = "/business-hours-config"
    tags = ("Business hours",)

    @read("/", access=Access.MEMBER)
    async def show(self, uow: Uow) -> Data[BusinessHoursView]:
        """The week, whether it is open now, and when that changes."""
        return Data(await get_business_hours(uow))

    @put("/", access=Access.OWNER)
    async def update(self, uow: Uow, data: JSONBody[UpdateBusinessHours]) -> Data[BusinessHoursView]:
        """Update the week and the closed-hours reply."""
        await update_business_hours(uow, data)
        return Data(await get_business_hours(uow))


class OnboardingController(Controller):
    path = "/onboarding"
    tags = ("Onboarding",)

    @read("/", access=Access.MEMBER)
    async def show(self, uow: Uow) -> Data[OnboardingView]:
        """The getting-started list."""
        return Data(await get_onboarding(uow))

    @post("/dismiss", access=Access.OWNER, status_code=200)
    async def dismiss(self, uow: Uow) -> Data[OnboardingView]:
        """Hide the getting-started banner for good."""
        await dismiss_onboarding(uow)
        return Data(await get_onboarding(uow))


class MetaController(Controller):
    path = "/meta"
    tags = ("Workspace configuration",)

    @read("/", access=Access.MEMBER)
    async def show(self, settings: NamedDependency[Settings]) -> Data[MetaView]:
        """Timezones, locales, currencies, countries and plans to choose from."""
        return Data(get_meta(settings))


@get("/{name:str}", include_in_schema=False)
async def public_image(kernel: Machinery, name: FromPath[str]) -> Response[bytes]:
    """A logo by its random name; anybody may ask."""
    content, mime = await get_public_image(kernel.system, name)
    headers = public_headers(mime)
    return Response(content, headers=headers, media_type=headers["Content-Type"])
