"""The ``plixa`` command: quick to appear, plain when something is wrong, and whole when processes die."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pytest
from click.testing import CliRunner
from litestar import Litestar

from plixa.cli import main
from plixa.cli.serving import _closing, _load
from plixa.cli.supervisor import Child
from plixa.kernel.embedded import EmbeddedServers
from plixa.kernel.realtime import Feed

COMMANDS = {
    "up",
    "web",
    "worker",
    "scheduler",
    "migrate",
    "demo",
    "rebuild",
    "verify",
    "events",
    "export-openapi",
    "doctor",
    "sandbox",
    "staff",
}
HEAVY = {"advanced_alchemy", "alembic", "asyncpg", "cryptography", "dramatiq", "granian", "litestar", "sqlalchemy"}


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own and a free port; outside pytest's folder, which shuts out other users."""
    for name in [name for name in os.environ if name.startswith("PLIXA_")]:
        monkeypatch.delenv(name)
    with TemporaryDirectory(prefix="plixa-test-") as home:
        monkeypatch.setenv("PLIXA_HOME", home)
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setenv("PLIXA_PORT", str(free_pair()))
        yield Path(home)


def free_pair() -> int:
    """A port that is free, as is the next one."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            if port < 65534 and second.connect_ex(("127.0.0.1", port + 1)):
                return port


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, " ".join(result.output.replace("│", " ").split())


def eventually(holds: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, "it never happened"
        pause.wait(0.05)


def answers(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def test_every_command_is_there_and_says_what_it_does() -> None:
    assert set(main.commands) == COMMANDS
    assert [name for name, command in main.commands.items() if not command.help] == []


def test_the_command_line_loads_nothing_it_may_not_need() -> None:
    program = "import sys, plixa.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(loaded.stdout.split()) & HEAVY == set()


def test_processes_at_work_load_nothing_that_only_migrating_needs() -> None:
    program = (
        "import sys, plixa.cli.context; plixa.cli.context.without_alchemy();"
        "import plixa.app, plixa.worker; print(*{name.partition('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(loaded.stdout.split()) & {"alembic", "sqlalchemy"} == set()


def test_a_wrong_setting_ends_in_one_sentence(environ: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLIXA_WEB_WORKERS", "none")
    code, output = run("web")
    assert code == 1
    assert "PLIXA_WEB_WORKERS is wrong" in output


def test_a_taken_port_is_named_before_anything_starts(environ: Path) -> None:
    with socket.create_server(("127.0.0.1", int(os.environ["PLIXA_PORT"]))):
        code, output = run("up")
    assert code == 1
    assert "PLIXA_PORT" in output
    assert not (environ / "postgres").exists()


def test_saying_something_without_a_gateway_tells_what_to_start(environ: Path) -> None:
    code, output = run("sandbox", "say", "+5511999990000", "Oi")
    assert code == 1
    assert "run plixa up" in output


def test_saying_nothing_is_refused(environ: Path) -> None:
    assert run("sandbox", "say", "+5511999990000")[0] == 2


def test_doctor_names_what_is_missing_and_fails(environ: Path) -> None:
    code, output = run("doctor")
    assert code == 1
    assert "Run plixa migrate" in output
    assert "noeviction" in output


def test_doctor_reports_servers_it_cannot_reach(environ: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLIXA_DATABASE_URL", f"postgresql://127.0.0.1:{free_pair()}/plixa")
    monkeypatch.setenv("PLIXA_REDIS_URL", f"redis://127.0.0.1:{free_pair()}/0")
    code, output = run("doctor")
    assert code == 1
    assert "correct PLIXA_DATABASE_URL" in output
    assert "correct PLIXA_REDIS_URL" in output


def test_one_shot_commands_leave_no_server_behind(environ: Path) -> None:
    run("doctor")
    assert not (environ / "postgres/postmaster.pid").exists()
    assert not (environ / "valkey/server.pid").exists()


def test_a_command_uses_the_servers_that_run_already(environ: Path) -> None:
    servers = EmbeddedServers()
    servers.start(environ)
    run("doctor")
    assert (environ / "postgres/postmaster.pid").exists()
    servers.stop()


def test_a_process_that_dies_is_started_again(environ: Path) -> None:
    port = int(os.environ["PLIXA_PORT"]) + 1
    child = Child("sandbox", "sandbox", "serve", logs=environ)
    child.start()
    try:
        eventually(lambda: answers(port))
        first = child.pid
        os.kill(first, signal.SIGKILL)
        eventually(lambda: str(child.watch()).startswith("sandbox stopped (-9), starts again in 1 s"))
        eventually(lambda: child.watch() is None and child.pid != first)
        eventually(lambda: answers(port))
    finally:
        child.stop()
    assert not answers(port)


def test_a_child_leaves_when_its_parent_is_killed(environ: Path) -> None:
    port = int(os.environ["PLIXA_PORT"]) + 1
    command = [sys.executable, "-m", "plixa.cli", "sandbox", "serve", "--supervised"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        eventually(lambda: answers(port))
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(20) == 0


def test_workers_leave_a_server_that_was_killed(environ: Path) -> None:
    port = int(os.environ["PLIXA_PORT"]) + 1
    with subprocess.Popen([sys.executable, "-m", "plixa.cli", "sandbox", "serve"]) as child:
        eventually(lambda: answers(port))
        child.kill()
    eventually(lambda: not answers(port))


def test_a_worker_told_to_drain_ends_its_streams() -> None:
    app = Litestar()
    app.state.feed = Feed(cast("Any", None), cast("Any", None))
    before = signal.getsignal(signal.SIGUSR1)
    try:
        _load(os.getppid(), lambda: cast("Any", app))
        assert not app.state.feed.closed
        signal.raise_signal(signal.SIGUSR1)
        assert app.state.feed.closed
    finally:
        signal.signal(signal.SIGUSR1, before)


async def test_while_draining_every_answer_closes_its_connection() -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    closing = _closing(send)
    await closing({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
    await closing({"type": "http.response.body", "body": b""})
    assert sent[0]["headers"] == [(b"x", b"y"), (b"connection", b"close")]
    assert "headers" not in sent[1]
