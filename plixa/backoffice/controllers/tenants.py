"""Routes: every workspace, and what staff may do to one."""

from typing import Annotated, Any

from litestar import Controller, Request
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from plixa.backoffice.commands.impersonating import Impersonate, ImpersonationView, impersonate, leave_impersonation
from plixa.backoffice.commands.lifecycle import GrantLicence, Suspend, grant_license, reactivate_tenant, revoke_license, suspend_tenant
from plixa.backoffice.queries.tenants import (
    Sort,
    Source,
    State,
    TenantDetailView,
    TenantFilters,
    TenantView,
    get_tenant,
    list_tenants,
)
from plixa.kernel.audit import PLATFORM
from plixa.kernel.auth import DELETING, SUSPENDED, UNENROLLED, Access
from plixa.kernel.envelope import Data
from plixa.kernel.errors import NotFound
from plixa.kernel.http import Caller, Machinery, Uow, delete, get, post, provide_uow
from plixa.kernel.paging import PageWanted
from plixa.kernel.settings import Settings
from plixa.kernel.uow import UnitOfWork

Configuration = NamedDependency[Settings]


def provide_filters(
    q: Annotated[str | None, QueryParameter(max_length=100, description="Part of a name, a slug or the owner's address.")] = None,
    status: FromQuery[State | None] = None,
    plan: Annotated[str | None, QueryParameter(max_length=64)] = None,
    source: FromQuery[Source | None] = None,
    sort: FromQuery[Sort] = "created_at",
) -> TenantFilters:
    """Which workspaces."""
    return TenantFilters(q, status, plan, source, sort)


def provide_tenant_uow(request: Request[Any, Any, Any], tenant_id: FromPath[int]) -> UnitOfWork:
    """A unit of work of the workspace in the path, by staff; raises NotFound for what can be none."""
    if tenant_id <= PLATFORM:
        raise NotFound
    uow = provide_uow(request)
    uow.tenant = tenant_id
    return uow


class TenantListController(Controller):
    path = "/admin/tenants"
    tags = ("Admin — Tenants",)

    @get("/", access=Access.STAFF, summary="List workspaces", dependencies={"filters": Provide(provide_filters, sync_to_thread=False)})
    async def index(
        self, kernel: Machinery, settings: Configuration, filters: NamedDependency[TenantFilters], paging: PageWanted
    ) -> Data[list[TenantView]]:
        """Every workspace with its plan, usage and state, the newest or, by ``sort``, the latest active first."""
        return Data(*await list_tenants(kernel.system, settings, filters, paging))


class TenantController(Controller):
    path = "/admin/tenants/{tenant_id:int}"
    tags = ("Admin — Tenants",)
    dependencies: Any = {"uow": Provide(provide_tenant_uow, sync_to_thread=False)}  # noqa: RUF012 - as Litestar has it

    @get("/", access=Access.STAFF, summary="Show a workspace")
    async def show(self, uow: Uow, settings: Configuration) -> Data[TenantDetailView]:
        """One workspace in full: its people, numbers, licence, usage against its limits, and what staff did in it of late."""
        return Data(await get_tenant(uow, settings))

    @post("/suspend", access=Access.STAFF, summary="Suspend a workspace", status_code=200)
    async def suspend(
        self, request: Request[Any, Any, Any], uow: Uow, settings: Configuration, data: JSONBody[Suspend | None] = None
    ) -> Data[TenantDetailView]:
        """Nobody gets in and nothing is sent until it is reactivated; what customers write is kept."""
        await suspend_tenant(uow, data or Suspend())
        uow.after_commit(request.app.state.gatekeeper.forget)
        return Data(await get_tenant(uow, settings))

    @post("/reactivate", access=Access.STAFF, summary="Reactivate a workspace", status_code=200)
    async def reactivate(self, request: Request[Any, Any, Any], uow: Uow, settings: Configuration) -> Data[TenantDetailView]:
        """Its members can go on as before."""
        await reactivate_tenant(uow)
        uow.after_commit(request.app.state.gatekeeper.forget)
        return Data(await get_tenant(uow, settings))

    @post("/license", access=Access.STAFF, summary="Grant a licence", status_code=200)
    async def grant(
        self, request: Request[Any, Any, Any], uow: Uow, settings: Configuration, data: JSONBody[GrantLicence]
    ) -> Data[TenantDetailView]:
        """A plan for some months or for life, at once, whatever is paid. It replaces an earlier one."""
        await grant_license(uow, settings, data)
        uow.after_commit(request.app.state.gatekeeper.forget)
        return Data(await get_tenant(uow, settings))

    @delete("/license", access=Access.STAFF, summary="Revoke a licence")
    async def revoke(self, request: Request[Any, Any, Any], uow: Uow) -> None:
        """The workspace falls back to what it pays for, else to the default plan."""
        await revoke_license(uow)
        uow.after_commit(request.app.state.gatekeeper.forget)

    @post("/impersonate", access=Access.STAFF, summary="Act as a member for half an hour")
    async def impersonate(self, uow: Uow, data: JSONBody[Impersonate | None] = None) -> Data[ImpersonationView]:
        """A token of 30 minutes, where the workspace allows support access or an override says why. The owner is told."""
        return Data(await impersonate(uow, data or Impersonate()))


class ImpersonationController(Controller):
    path = "/impersonation"
    tags = ("Impersonation",)

    @post(
        "/leave",
        access=Access.MEMBER,
        even={UNENROLLED, SUSPENDED, DELETING},
        summary="End an impersonation",
        status_code=204,
    )
    async def leave(self, request: Request[Any, Any, Any], uow: Uow, caller: Caller) -> None:
        """The token of this request stops working."""
        await leave_impersonation(uow, caller)
        uow.after_commit(request.app.state.gatekeeper.forget)
