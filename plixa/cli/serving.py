"""The web server: granian around ``plixa.app:app``, drained before it stops and gone when its parent is."""

import gc
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.log import LogLevels

from plixa.kernel.settings import Settings

DRAIN_SECONDS: Final = 1.0
"""How long every answer says ``Connection: close`` before the listening socket goes."""
FINISH_SECONDS: Final = 10
"""How long a request in flight may take after that."""

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Mapping[str, Any], Callable[[], Awaitable[Any]], Send], Awaitable[None]]


def serve_web(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    _serve(_web, settings.host, settings.port, settings.web_workers)


def serve_sandbox(settings: Settings) -> None:
    """Serve the sandbox gateway on loopback until SIGTERM or SIGINT."""
    make = partial(_sandbox, settings.home / "sandbox", settings.gateway_api_key)
    _serve(make, "127.0.0.1", settings.sandbox_port, 1)


def follow_parent() -> None:
    """Stop when standard input closes: whoever holds its other end is gone, even if it was killed."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def _web() -> Application:
    """Imported in the worker: its event loop and its pools must be its own."""
    from plixa.app import app

    return cast(Application, app)


def _sandbox(home: Path, api_key: str) -> Application:
    from plixa.whatsapp.sandbox import create_sandbox

    return cast(Application, create_sandbox(home, api_key))


def _serve(make: Callable[[], Application], host: str, port: int, workers: int) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    server = _Draining(
        "plixa",
        host,
        port,
        interface=Interfaces.ASGI,
        workers=workers,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=FINISH_SECONDS,
        log_level=LogLevels.warning,
    )
    server.serve(target_loader=partial(_load, os.getpid(), make), wrap_loader=False)


class _Draining(Granian):  # type: ignore[misc, valid-type]
    """Tells its workers to let go of idle connections a moment before it stops them."""

    def signal_handler_interrupt(self, *_: object) -> None:
        for worker in self.wrks:
            if worker.is_alive():
                os.kill(worker.inner.pid, signal.SIGUSR1)
        threading.Timer(DRAIN_SECONDS, self._stop).start()

    def _stop(self) -> None:
        self.interrupt_signal = True
        self.main_loop_interrupt.set()


def _load(parent: int, make: Callable[[], Application]) -> Application:
    """The application as one worker serves it: told to drain, it ends its streams and closes its connections. Runs in the worker."""
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    gc.disable()  # what is made now stays: looking through it again and again is a tenth of the time it takes to start
    application = make()
    gc.enable()
    feed = cast("Any", application).state.get("feed")
    draining = threading.Event()

    def drain(*_: object) -> None:
        draining.set()
        if feed is not None:
            feed.close()

    signal.signal(signal.SIGUSR1, drain)

    def serve(scope: Mapping[str, Any], receive: Callable[[], Awaitable[Any]], send: Send) -> Awaitable[None]:
        closing = draining.is_set() and scope["type"] == "http"
        return application(scope, receive, _closing(send) if closing else send)

    return serve


def _leave_with(parent: int) -> None:
    """A worker whose server was killed would go on listening on the shared port."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _closing(send: Send) -> Send:
    async def send_and_close(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        await send(message)

    return send_and_close
