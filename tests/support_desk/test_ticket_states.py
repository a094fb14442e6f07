"""The life of a ticket, held against a literal copy of the table it was built from."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from plixa.kernel.event_store import Event, Person, replay
from plixa.support.domain.events import Message, Opened, Rated, StatusChanged
from plixa.support.domain.ticket import Priority, RatingFinal, Status, Ticket, TicketClosed, TicketClosedForGood, TicketNotRatable

TABLE = """
| from | allowed to | automatic |
|---|---|---|
| open | pending, solved, closed | staff public reply → pending |
| pending | open, solved, closed | customer reply → open |
| solved | open, pending, closed | customer reply → open; 7 days quiet → closed |
| closed | open (reopen call) | customer reply within 14 days → open, later → 409 with hint to open a new ticket |
"""
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ANA = Person(1, "Ana")

ROWS = {
    cells[0]: (re.findall(r"open|pending|solved|closed", cells[1].replace("reopen", "")), cells[2])
    for line in TABLE.strip().splitlines()[2:]
    if (cells := [cell.strip() for cell in line.strip("|").split("|")])
}
ALLOWED = [(source, target) for source, (targets, _) in ROWS.items() for target in targets]
REFUSED = [(source, target.value) for source in ROWS for target in Status if target != source and (source, target.value) not in ALLOWED]


def said(at: datetime = NOW) -> Message:
    return Message(1, "Hello", ANA, at)


def ticket(status: str, since: datetime = NOW) -> Ticket:
    """A ticket that has had a status since then."""
    begun = replay(Ticket(1), [Opened("Help", None, said(since))])
    return begun if status == "open" else replay(begun, [StatusChanged(status, "open", "staff", since)])


def after(state: Ticket, events: Iterable[Event]) -> Ticket:
    return replay(state, events)


def test_the_table_is_read_whole() -> None:
    assert len(ROWS) == 4
    assert len(ALLOWED) == 10
    assert REFUSED == [("closed", "pending"), ("closed", "solved")]


@pytest.mark.parametrize(("source", "target"), ALLOWED)
def test_what_the_table_allows_is_done(source: str, target: str) -> None:
    state = ticket(source)
    events = state.reopen("staff", NOW) if source == "closed" else state.set_status(Status(target), "staff", NOW)
    assert after(state, events).status == target


@pytest.mark.parametrize(("source", "target"), [*REFUSED, ("closed", "open")])
def test_what_it_does_not_allow_is_refused(source: str, target: str) -> None:
    """Out of closed leads only the call that reopens."""
    with pytest.raises(TicketClosed):
        list(ticket(source).set_status(Status(target), "staff", NOW))


@pytest.mark.parametrize("status", Status)
def test_the_status_it_has_is_no_change(status: Status) -> None:
    assert list(ticket(status).set_status(status, "staff", NOW)) == []


REPLIES: dict[str, Callable[[Ticket, datetime], Iterable[Event]]] = {
    "customer reply": lambda state, at: state.reply_as_customer(said(at)),
    "staff public reply": lambda state, at: state.reply_as_staff(said(at)),
    "7 days quiet": lambda state, at: state.close_quiet(at + 7 * DAY),
    "internal note": lambda state, at: state.note(said(at)),
}


@pytest.mark.parametrize("cause", REPLIES)
@pytest.mark.parametrize("source", ROWS)
def test_what_happens_by_itself_is_what_the_table_says_and_nothing_else(source: str, cause: str) -> None:
    automatic = ROWS[source][1]
    found = re.search(rf"{cause}(?: within 14 days)? → (\w+)", automatic)
    state = ticket(source)
    if source == "closed" and cause == "staff public reply":
        with pytest.raises(TicketClosed):
            list(REPLIES[cause](state, NOW))
    else:
        assert after(state, REPLIES[cause](state, NOW)).status == (found[1] if found else source)


@pytest.mark.parametrize(("days", "goes"), [(14, True), (14 + 1 / 86_400, False)])
def test_a_customer_goes_on_with_a_closed_ticket_for_fourteen_days(days: float, goes: bool) -> None:
    state, at = ticket("closed"), NOW + days * DAY
    for events in (state.reply_as_customer(said(at)), state.reopen_as_customer(at)):
        if goes:
            assert after(state, events).status is Status.OPEN
        else:
            with pytest.raises(TicketClosedForGood, match="open a new ticket"):
                list(events)
    assert after(state, state.reopen("staff", at)).status is Status.OPEN


def test_any_word_begins_the_quiet_week_anew_but_a_note_does_not() -> None:
    state = ticket("solved")
    spoken = after(state, state.reply_as_staff(said(NOW + DAY)))
    noted = after(state, state.note(said(NOW + DAY)))
    assert [list(one.close_quiet(NOW + 7 * DAY)) == [] for one in (spoken, noted)] == [True, False]
    assert after(spoken, spoken.close_quiet(NOW + 8 * DAY)).status is Status.CLOSED
    assert list(state.close_quiet(NOW + 7 * DAY - timedelta(seconds=1))) == []


def test_an_answer_may_say_which_status_it_leaves() -> None:
    state = ticket("open")
    assert after(state, state.reply_as_staff(said(), Status.SOLVED)).status is Status.SOLVED
    assert after(state, state.reply_as_staff(said(), Status.OPEN)).status is Status.OPEN


@pytest.mark.parametrize("status", Status)
def test_only_what_is_solved_or_closed_is_rated(status: Status) -> None:
    state = ticket(status)
    if status in (Status.SOLVED, Status.CLOSED):
        assert after(state, state.rate(4, "Fine", NOW)).rating == 4
    else:
        with pytest.raises(TicketNotRatable):
            list(state.rate(4, None, NOW))


def test_a_rating_is_changed_for_fourteen_days_after_it_was_first_given() -> None:
    state = ticket("solved")
    first = after(state, state.rate(1, None, NOW))
    second = after(first, first.rate(5, None, NOW + 14 * DAY))
    assert (second.rating, second.rated_at) == (5, NOW)
    assert list(second.rate(5, None, NOW + 90 * DAY)) == []
    with pytest.raises(RatingFinal):
        list(second.rate(4, None, NOW + 14 * DAY + timedelta(seconds=1)))


def test_whatever_leads_out_of_solved_and_closed_takes_the_rating_along() -> None:
    rated = after(ticket("solved"), [Rated(5, "Good", NOW)])
    closed = after(rated, rated.set_status(Status.CLOSED, "staff", NOW))
    assert (rated.rating, closed.rating) == (5, 5)
    for state in (rated, closed):
        assert after(state, state.reopen("staff", NOW)).rating is None
    assert after(rated, rated.set_status(Status.PENDING, "staff", NOW)).rating is None


def test_what_is_so_already_is_no_event() -> None:
    state = replace(ticket("open"), tags=frozenset({1}), assigned_to=7)
    same = (state.prioritize(Priority.NORMAL), state.assign(Person(7, "Bruna")), state.tag(frozenset({1})), state.read())
    assert [list(events) for events in same] == [[], [], [], []]
    assert list(state.reopen("customer", NOW)) == []
