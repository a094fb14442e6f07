"""Real servers on loopback for the gateway tests: any ASGI application, and a receiver that catches webhooks."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from msgspec import Struct

from plixa.whatsapp.sandbox import Retry, Timing, Version, create_sandbox

KEY = "global-key"
DEADLINE = 10.0

AT_ONCE = Timing(pair_after=0.0, acks=(0.0, 0.0, 0.0), retry=Retry(first=0.01, longest=0.02, timeout=2.0))
BY_HAND = Timing(pair_after=None, acks=(0.0, 0.0, 0.0), retry=Retry(first=0.01, longest=0.02, timeout=2.0))


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The URL of an application on a port of its own; the socket listens before the server starts, so nobody waits."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(64)
    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(DEADLINE)
        listening.close()


class Caught(Struct):
    """One webhook as it came in."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    answered: int

    @property
    def event(self) -> str:
        return str(self.body["event"])

    @property
    def data(self) -> Any:
        return self.body["data"]


class Receiver:
    """Keeps every webhook it is posted and answers ``statuses`` in turn, then 200."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.caught: list[Caught] = []
        self._arrived = threading.Condition()

    @contextmanager
    def listening(self) -> Iterator[str]:
        """Its URL."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(DEADLINE)
            server.server_close()

    def catch(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """The status to answer."""
        with self._arrived:
            status = self.statuses.pop(0) if self.statuses else 200
            self.caught.append(Caught(path, headers, json.loads(body), status))
            self._arrived.notify_all()
        return status

    def events(self, name: str, fits: Callable[[Any], bool] = lambda _: True) -> list[Caught]:
        return [webhook for webhook in self.caught if webhook.event == name and fits(webhook.data)]

    def wait(self, name: str, fits: Callable[[Any], bool] = lambda _: True, count: int = 1) -> Any:
        """The data of the ``count``-th such event, as soon as it is there."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.events(name, fits)) >= count, DEADLINE):
                raise AssertionError(f"no {name} within {DEADLINE} s among {[w.event for w in self.caught]}")
            return self.events(name, fits)[count - 1].data


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, receiver: Receiver, *arguments: Any) -> None:
        self._receiver = receiver
        super().__init__(*arguments)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.send_response(self._receiver.catch(self.path, headers, body))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """The tests look for themselves."""


class Sandbox(Struct):
    """A running sandbox gateway with a receiver beside it."""

    url: str
    receiver: Receiver
    receiver_url: str

    def call(self, method: str, path: str, body: Any = None, key: str = KEY) -> httpx.Response:
        # Without certificates to load a request takes 1 ms, with them 30.
        return httpx.request(method, self.url + path, json=body, headers={"apikey": key}, trust_env=False, verify=False)

    def control(self, what: str, /, **body: Any) -> Any:
        response = self.call("POST", f"/sandbox/{what}", body)
        assert response.status_code == 201, response.text
        return response.json()

    def messages(self) -> list[Any]:
        """The sandbox's own list, as soon as there is anything in it."""
        return list(self.call("GET", f"/sandbox/messages?wait={DEADLINE}").json())

    def create(self, name: str = "loja", **more: Any) -> Any:
        """A number with its webhook, as the client makes it; the answer of the create."""
        webhook = {"url": f"{self.receiver_url}/wh/{name}", "headers": {"X-Plixa-Token": "secret"}, "events": []}
        body = {"instanceName": name, "integration": "WHATSAPP-BAILEYS", "qrcode": True, "webhook": webhook, **more}
        response = self.call("POST", "/instance/create", body)
        assert response.status_code == 201, response.text
        return response.json()

    def connected(self, name: str = "loja", **more: Any) -> Any:
        """A created number that is open."""
        created = self.create(name, **more)
        self.receiver.wait("connection.update", lambda data: data["instance"] == name and data["state"] == "open")
        return created


@contextmanager
def sandbox(home: Path, timing: Timing = AT_ONCE, version: Version = "2.3.7") -> Iterator[Sandbox]:
    receiver = Receiver()
    with receiver.listening() as receiver_url, running(home, receiver, receiver_url, timing, version) as gateway:
        yield gateway


@contextmanager
def running(home: Path, receiver: Receiver, receiver_url: str, timing: Timing = AT_ONCE, version: Version = "2.3.7") -> Iterator[Sandbox]:
    """A sandbox whose receiver outlives it."""
    with serving(create_sandbox(home, KEY, timing=timing, version=version, seed=7)) as url:
        yield Sandbox(url, receiver, receiver_url)
