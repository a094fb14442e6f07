"""The worker: effects of the outbox by dramatiq, the relay that brings them there, and the scheduler that keeps house."""

import asyncio
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import dramatiq
from dramatiq.asyncio import EventLoopThread, get_event_loop_thread, set_event_loop_thread
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, ShutdownNotifications
from dramatiq.worker import Worker

from plixa.automation import actors as automation
from plixa.automation import policies as routing
from plixa.automation.commands.pipeline import Pipeline
from plixa.backoffice.actors import campaigns
from plixa.contacts import actors as contacts
from plixa.identity import actors as identity
from plixa.inbox import actors as inbox
from plixa.inbox import policies
from plixa.inbox.commands.ingest import accept
from plixa.inbox.queries.conversations import list_live_chats
from plixa.inbox.queries.notices import WRITERS
from plixa.kernel import logs
from plixa.kernel.assembly import Machinery, assemble, running
from plixa.kernel.delivery import Handler
from plixa.kernel.jobs import declare, keep_house, relay
from plixa.kernel.projector import run_projectors
from plixa.kernel.reacting import run_reactions
from plixa.kernel.settings import Settings, load_settings
from plixa.notifications.actors import mail as mails
from plixa.notifications.actors import push as pushes
from plixa.notifications.client import create_mailer
from plixa.notifications.client.push import WebPush
from plixa.reports import actors as reports
from plixa.scheduling import actors as scheduling
from plixa.scheduling import policies as calendars
from plixa.scheduling.client import create_google
from plixa.scheduling.queries import notices
from plixa.support import actors as support
from plixa.support.queries import notices as desk
from plixa.whatsapp import actors as whatsapp
from plixa.whatsapp.client import Deadlines, EvolutionGateway
from plixa.workspace import actors as workspace
from projections.registry import ASYNC, INLINE

THREADS = {"send": 8, "effects": 8, "mail": 4, "bulk": 2}
"""How many effects of each queue are under way at once: slow files never keep a reply waiting, nor mails either."""
ENDING_SECONDS = 10.0


class OneLoop(AsyncIO):
    """One event loop for every worker of this process, which ends it itself once all have stopped."""

    def before_worker_boot(self, broker: dramatiq.Broker, worker: Worker) -> None:
        """Only the first worker begins it."""
        if get_event_loop_thread() is None:
            super().before_worker_boot(broker, worker)  # type: ignore[no-untyped-call]

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: Worker) -> None:
        """The others may still need it."""


def main() -> None:
    """Deliver what was promised, until SIGTERM or SIGINT."""
    logs.configure()
    settings = load_settings()
    deadlines = Deadlines(connect=settings.gateway.connect_seconds, call=settings.gateway.timeout_seconds)
    gateway = EvolutionGateway(settings.gateway_url, settings.gateway_api_key, deadlines)
    work(settings, gateway, effects(settings, gateway))


def work(settings: Settings, gateway: EvolutionGateway, handlers: dict[str, Handler]) -> None:
    """Do the effects of these kinds, until SIGTERM or SIGINT."""
    broker = create_broker(settings)
    machinery = assemble(settings, INLINE)
    deliver = declare(broker, machinery.kernel, handlers)
    workers = [Worker(broker, queues={queue}, worker_threads=threads) for queue, threads in THREADS.items()]
    for worker in workers:
        worker.start()
    loop = get_event_loop_thread()
    if loop is None:
        raise RuntimeError("dramatiq's event loop did not start")
    told, ended = threading.Event(), threading.Event()

    async def live() -> None:
        try:
            await attend(machinery, gateway, deliver)
        finally:
            ended.set()

    life = asyncio.run_coroutine_threadsafe(live(), loop.loop)
    life.add_done_callback(lambda _: told.set())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())
    told.wait()
    failed = life.exception() if life.done() else None
    stop(workers)
    life.cancel()
    ended.wait(ENDING_SECONDS)
    end(loop)
    broker.close()
    if failed is not None:
        raise failed


def stop(workers: list[Worker]) -> None:
    """Begin nothing more and finish what is under way, in all of them at the same time."""
    with ThreadPoolExecutor(len(workers)) as threads:
        list(threads.map(Worker.stop, workers))


def end(loop: EventLoopThread) -> None:
    """End the loop on which everything ran."""
    loop.stop()  # type: ignore[no-untyped-call]
    loop.join()
    set_event_loop_thread(None)


def scheduler() -> None:
    """Keep house, while leading, until SIGTERM or SIGINT."""
    logs.configure()
    settings = load_settings()

    async def lead() -> None:
        machinery = assemble(settings, INLINE)
        async with running(machinery):
            house = asyncio.create_task(keep_house(machinery.kernel, settings))
            stop = asyncio.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            await asyncio.wait({house, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
            if house.done():
                house.result()
            house.cancel()

    asyncio.run(lead())


def create_broker(settings: Settings) -> RedisBroker:
    """Redis as a waker of workers: what a dead one held comes back within half a minute, and matters only for speed."""
    middleware: list[dramatiq.Middleware] = [OneLoop(), ShutdownNotifications()]
    return RedisBroker(  # type: ignore[no-untyped-call]
        url=str(settings.redis_url), middleware=middleware, maintenance_chance=1_000_000, heartbeat_timeout=30_000
    )


def effects(settings: Settings, gateway: EvolutionGateway) -> dict[str, Handler]:
    """Every effect there is, by its kind."""
    mailer = create_mailer(settings)
    return {
        **identity.Actors(settings.public_url).handlers(),
        **inbox.Actors(gateway).handlers(),
        **whatsapp.Actors(gateway, settings).handlers(),
        **whatsapp.Reconciler(gateway, partial(accept, handle=Pipeline(settings).handle_reconciled), list_live_chats).handlers(),
        **workspace.handlers(),
        **contacts.handlers(),
        **automation.Actors(settings).handlers(),
        **scheduling.handlers(),
        **scheduling.Calendars(create_google(settings), settings.public_url).handlers(),
        **support.Actors(settings).handlers(),
        **mails.Actors(mailer).handlers(),
        **campaigns.Actors(mailer, settings).handlers(),
        **reports.handlers(),
        **pushes.Actors(WebPush(settings), WRITERS | notices.WRITERS | desk.WRITERS).handlers(),
    }


async def attend(machinery: Machinery, gateway: EvolutionGateway, deliver: "dramatiq.Actor[..., None]") -> None:
    """What runs beside the actors on their loop: the relay, the projectors and the reactions."""
    async with running(machinery), gateway, asyncio.TaskGroup() as tasks:
        tasks.create_task(relay(machinery, deliver))
        tasks.create_task(run_projectors(machinery.kernel, machinery.listener, ASYNC))
        tasks.create_task(run_reactions(machinery.kernel, machinery.listener, policies.REACTIONS + calendars.REACTIONS + routing.REACTIONS))
