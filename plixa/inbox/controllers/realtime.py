"""The live feed: every change the member may see, as it happens."""

from typing import Annotated, Any

from litestar import Request
from litestar.params import HeaderParameter
from litestar.response import Stream

from plixa.kernel.auth import Access, Principal
from plixa.kernel.errors import Forbidden, Unauthenticated
from plixa.kernel.http import Caller, get
from plixa.kernel.realtime import event_stream, seen_by

LastEventId = Annotated[str | None, HeaderParameter(name="Last-Event-ID")]


@get("/realtime", access=Access.MEMBER, ability="read", tags=["Realtime"], media_type="text/event-stream")
async def realtime(request: Request[Any, Any, Any], caller: Caller, last_event_id: LastEventId = None) -> Stream:
    """Follow the workspace live as server-sent events; reconnect with ``Last-Event-ID`` and nothing is lost or repeated."""
    state = request.app.state

    async def alive() -> bool:
        try:
            now: Principal = await state.gatekeeper.principal(request.headers.get("authorization"))
        except (Unauthenticated, Forbidden):
            return False
        return (now.barred, now.restricted, now.role) == (caller.barred, caller.restricted, caller.role)

    see = seen_by(caller, state.kernel, state.renderers)
    return event_stream(state.feed.follow(caller.tenant, last_event_id, see, alive))
