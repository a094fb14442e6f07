"""What is remembered for half a second."""

from types import SimpleNamespace

import pytest

from plixa.kernel import recall
from plixa.kernel.recall import SECONDS, Recall


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands where ``now`` says."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(recall, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_what_is_remembered_is_trusted_for_half_a_second(clock: SimpleNamespace) -> None:
    known: Recall[str, int] = Recall()
    assert known.put("a", 1) == 1
    clock.now += SECONDS * 0.9
    assert known.get("a") == 1
    clock.now += SECONDS * 0.2
    assert known.get("a") is None


def test_no_more_is_kept_than_was_put_within_a_second(clock: SimpleNamespace) -> None:
    known: Recall[int, str] = Recall()
    for number in range(1000):
        known.put(number, "x")
        clock.now += 0.01
    assert len(known._known) <= 1 / 0.01
    assert known.get(999) == "x"


def test_what_is_forgotten_is_looked_up_again(clock: SimpleNamespace) -> None:
    known: Recall[str, int] = Recall()
    known.put("a", 1)
    known.put("b", 2)
    known.forget("a")
    assert (known.get("a"), known.get("b")) == (None, 2)
    known.forget()
    assert known.get("b") is None
