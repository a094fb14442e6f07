"""A provider whose calendar says otherwise hears of it wherever they are."""

from msgspec.structs import replace

from plixa.notifications.actors.push import Actors
from plixa.notifications.client.push import WebPush
from plixa.scheduling.queries.notices import WRITERS
from tests.notifications.browsers import Browser, PushService
from tests.scheduling.outside import Outside
from tests.support.effects import do_effects
from tests.support.world import Member


async def test_a_provider_is_told_where_their_calendar_differs_and_nobody_else(outside: Outside, ana: Member) -> None:
    salon, google, email = outside.salon, outside.google, await outside.connect(ana)
    booked = await salon.booked(await salon.offer(ana, name="Cut"), salon.at(10))
    later = await salon.booked(await salon.offer(ana, name="Wash"), salon.at(12))
    await outside.write()
    await outside.read()
    with PushService().listening() as service:
        mine, hers = Browser(service.url), Browser(service.url)
        await mine.subscribe(salon.client, salon.owner.headers)
        await hers.subscribe(salon.client, ana.headers)
        for event in google.shown(email):
            google.remove(email, event["id"])
        await outside.read()
        await outside.follow()
        await salon.do(later["id"], "reschedule", json={"start": salon.at(15).isoformat()})
        handlers = Actors(WebPush(replace(outside.settings)), WRITERS).handlers()
        assert await do_effects(salon.workspace, "push.send", handlers=handlers) == 2
        (notice,) = service.of(hers)
        assert service.of(mine) == []
    shown = (notice["kind"], notice["title"], notice["url"], notice["tag"])
    number = booked["id"]
    assert shown == ("appointment_deleted_outside", "Cut", f"/calendar/{number}", f"appointment/{number}")
