"""Routes: the audit trail, for owners and for staff, as pages and as a file."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Controller
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream

from plixa.identity.queries.members import get_instant
from plixa.kernel.audit import note_export
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data, Page
from plixa.kernel.export import PAGE, csv_file
from plixa.kernel.http import Caller, Machinery, Uow, get
from plixa.kernel.paging import PageWanted, Paging
from plixa.reports.queries.audit import (
    HEADER,
    AuditEntryView,
    AuditFilters,
    StaffFilters,
    cells,
    list_entries,
    list_staff_entries,
)

Word = Annotated[str | None, QueryParameter(max_length=100)]
From = Annotated[datetime | None, QueryParameter(name="from", description="Not before.")]
To = Annotated[datetime | None, QueryParameter(name="to", description="Before.")]


async def provide_span(uow: Uow, since: From = None, until: To = None) -> tuple[datetime | None, datetime | None]:
    """From when, and until when; without an offset wall time of the workspace."""
    try:
        start = await get_instant(uow, since, "from") if since else None
        return start, await get_instant(uow, until, "to") if until else None
    finally:
        uow.close()  # where the operation itself has no unit of work, nobody else would


Span = NamedDependency[tuple[datetime | None, datetime | None]]


def provide_subject(subject: Word = None, subject_id: FromQuery[int | None] = None) -> tuple[str | None, int | None]:
    """What it was done to."""
    return subject, subject_id


def provide_filters(
    span: Span,
    about: NamedDependency[tuple[str | None, int | None]],
    user_id: FromQuery[int | None] = None,
    actor_type: Word = None,
    action: Word = None,
) -> AuditFilters:
    """Which entries of a workspace."""
    return AuditFilters(user_id, actor_type, action, *about, *span)


def provide_staff_filters(
    span: Span, admin_id: FromQuery[int | None] = None, tenant_id: FromQuery[int | None] = None, action: Word = None
) -> StaffFilters:
    """Which deeds of staff."""
    return StaffFilters(admin_id, tenant_id, action, *span)


class AuditController(Controller):
    path = "/audit-logs"
    tags = ("Audit",)
    dependencies: Any = {  # noqa: RUF012 - as Litestar has it
        "span": Provide(provide_span),
        "about": Provide(provide_subject, sync_to_thread=False),
        "filters": Provide(provide_filters, sync_to_thread=False),
    }

    @get("/", access=Access.OWNER)
    async def index(self, uow: Uow, filters: NamedDependency[AuditFilters], paging: PageWanted) -> Data[list[AuditEntryView]]:
        """What was done in the workspace, by whom, on whose behalf, and with which difference; newest first."""
        return Data(*await list_entries(uow, filters, paging))

    @get("/export", access=Access.OWNER, media_type="text/csv")
    async def export(self, caller: Caller, kernel: Machinery, filters: NamedDependency[AuditFilters]) -> Stream:
        """The same as a CSV file; that it was taken is an entry itself."""

        async def page(cursor: str | None) -> tuple[list[AuditEntryView], Page]:
            uow = kernel.unit(caller.tenant)
            try:
                return await list_entries(uow, filters, Paging(cursor, PAGE))
            finally:
                uow.close()

        file = await csv_file("audit", HEADER, page, cells)
        await note_export(kernel, caller, "audit")
        return file


class StaffAuditController(Controller):
    path = "/admin/audit-logs"
    tags = ("Admin — Audit",)
    dependencies: Any = {  # noqa: RUF012 - as Litestar has it
        "span": Provide(provide_span),
        "filters": Provide(provide_staff_filters, sync_to_thread=False),
    }

    @get("/", access=Access.STAFF)
    async def index(self, kernel: Machinery, filters: NamedDependency[StaffFilters], paging: PageWanted) -> Data[list[AuditEntryView]]:
        """What staff did, in every workspace, and what concerns the platform; newest first."""
        return Data(*await list_staff_entries(kernel.system, filters, paging))

    @get("/export", access=Access.STAFF, media_type="text/csv")
    async def export(self, caller: Caller, kernel: Machinery, filters: NamedDependency[StaffFilters]) -> Stream:
        """The same as a CSV file; that it was taken is an entry itself."""

        async def page(cursor: str | None) -> tuple[list[AuditEntryView], Page]:
            return await list_staff_entries(kernel.system, filters, Paging(cursor, PAGE))

        file = await csv_file("staff-audit", HEADER, page, cells)
        await note_export(kernel, caller, "audit")
        return file
