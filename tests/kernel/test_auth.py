"""The guard of every operation: what it counts, and what it tells the log."""

from typing import Any

import msgspec
from httpx import AsyncClient
from litestar import Controller

from plixa.identity.commands.sessions import Entrance
from plixa.kernel.auth import Access
from plixa.kernel.envelope import Data
from plixa.kernel.http import get
from plixa.kernel.requests import current_request
from plixa.kernel.settings import Throttle
from tests.identity.people import bearer, registered
from tests.support.apps import calling, make_app


class Echo(Controller):
    """Says whom the log names."""

    path = "/echo"

    @get("/", access=Access.MEMBER, throttle="send_message")
    async def index(self) -> Data[list[Any]]:
        request = current_request()
        return Data([request.tenant, request.actor] if request else [])


async def test_an_operation_counts_the_calls_of_each_tenant(client: AsyncClient, entrance: Entrance) -> None:
    throttles = {"send_message": Throttle(limits="2/minute", per="tenant")}
    strict = Entrance(
        entrance.kernel, msgspec.structs.replace(entrance.settings, throttles=throttles), entrance.passwords, entrance.throttler
    )
    mine, other = await registered(client), await registered(client)
    async with calling(make_app(strict, Echo)) as caller:
        answers = [await caller.get("/v1/echo", headers=bearer(mine["token"])) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert 1 <= int(answers[2].headers["Retry-After"]) <= 60
        assert (await caller.get("/v1/echo")).status_code == 401
        assert (await caller.get("/v1/echo", headers=bearer(other["token"]))).status_code == 200
    assert answers[0].json()["data"] == [mine["tenant"]["id"], f"member/{mine['user']['id']}"]
