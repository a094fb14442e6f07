"""Times that can be booked."""

from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Controller
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, QueryParameter, SkipValidation

from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import Uow, get
from plixa.scheduling.queries.slots import Period, SlotView, explain_slots, list_slots, read_period

From = Annotated[
    str, QueryParameter(name="from", max_length=40, description="A date, or a date and time; the provider's without an offset.")
]
To = Annotated[str, QueryParameter(name="to", max_length=40, description="The last date, or the instant before which they start.")]


def provide_period(since: From, until: To) -> Period:
    """The time asked for."""
    return read_period(since, until, datetime.now(UTC))


class SlotController(Controller):
    path = "/scheduling/availability"
    tags = ("Scheduling — appointments",)
    dependencies: Any = {"period": Provide(provide_period, sync_to_thread=False)}  # noqa: RUF012 - as Litestar has it

    @get(access=Access.MEMBER, ability="read")
    async def slots(
        self,
        uow: Uow,
        period: NamedDependency[SkipValidation[Period]],
        service_id: FromQuery[int],
        provider_id: FromQuery[int | None] = None,
        explain: FromQuery[bool] = False,
    ) -> Data[list[SlotView]]:
        """List when a service can be booked, at most 31 days; `explain` adds why each other start in open hours cannot be."""
        if explain:
            return Data(*await explain_slots(uow, service_id, provider_id, period))
        return Data(await list_slots(uow, service_id, provider_id, period))
