"""Whom the rules choose, against a small model of five agents who come and go, and customers who are answered and come again."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from plixa.automation.domain import Agent, Inbound, Rule, candidates, choose, is_match, refusal, route
from plixa.kernel.search import folded

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SOMETHING = Inbound(folded("oi"))
HERE = Agent(1, "Ana", is_available=True, is_present=True)


def rule(action: str = "round_robin", condition: str = "always", **more: object) -> Rule:
    given: dict[str, object] = {"id": 1, "keyword": None, "label_id": None, "action_user_id": None} | more
    return Rule(condition_type=condition, action_type=action, **given)  # type: ignore[arg-type]


class Office:
    """Five agents: the first two are always there, the others come and go; conversations are answered and closed."""

    def __init__(self, action: str, seed: int) -> None:
        self.dice, self.rule = Random(seed), rule(action)
        self.team = {number: replace(HERE, id=number, name=f"agent {number}") for number in range(1, 6)}
        self.given: Counter[int] = Counter()
        self.has: list[int] = []
        self.waiting = 0
        self.minute = 0

    def go_on(self) -> None:
        """Somebody comes or goes, some are closed, one arrives."""
        self.minute += 1
        number = self.dice.choice((3, 4, 5))
        self.team[number] = replace(self.team[number], is_available=self.dice.random() < 0.5)
        while self.has and self.dice.random() < 0.5:
            self.has.pop(self.dice.randrange(len(self.has)))
        self.arrive()

    def arrive(self) -> Agent | None:
        """Somebody writes."""
        open_now = Counter(self.has)
        team = [replace(one, open=open_now[one.id]) for one in self.team.values()]
        agent = route([self.rule], SOMETHING, team).agent
        if agent is None:
            self.waiting += 1
            return None
        self.judge(agent, team)
        self.rule = replace(self.rule, cursor=agent.id)
        self.team[agent.id] = replace(self.team[agent.id], assigned_at=NOON + timedelta(minutes=self.minute))
        self.given[agent.id] += 1
        self.has.append(agent.id)
        return agent

    def judge(self, agent: Agent, team: list[Agent]) -> None:
        """Nobody away gets anything, and nobody who has more than another."""
        there = [one for one in team if one.is_available]
        assert agent.id in {one.id for one in there}
        if self.rule.action_type == "least_busy":
            fewest = [one for one in there if one.open == min(other.open for other in there)]
            longest_ago = min(one.assigned_at or NOON for one in fewest)
            assert agent.id == min(one.id for one in fewest if (one.assigned_at or NOON) == longest_ago)


@pytest.mark.parametrize("seed", range(3))
def test_ten_thousand_arrivals_go_round_evenly_among_those_who_are_always_there(seed: int) -> None:
    office = Office("round_robin", seed)
    for _ in range(10_000):
        office.go_on()
        assert abs(office.given[1] - office.given[2]) <= 1
    assert office.waiting == 0
    assert min(office.given.values()) > 500
    assert sum(office.given.values()) == 10_000


@pytest.mark.parametrize("seed", range(3))
def test_of_ten_thousand_arrivals_none_goes_to_whom_has_more_than_another(seed: int) -> None:
    office = Office("least_busy", seed)
    for _ in range(10_000):
        office.go_on()
    assert sum(office.given.values()) == 10_000
    assert len(office.given) == 5


def test_whoever_comes_back_takes_what_waited_until_nothing_does() -> None:
    office, waited = Office("least_busy", 7), 0
    for _ in range(5_000):
        office.team = {number: replace(one, is_available=office.dice.random() < 0.2) for number, one in office.team.items()}
        is_anybody_there = any(one.is_available for one in office.team.values())
        while is_anybody_there and office.waiting:
            office.waiting -= 1
            assert office.arrive() is not None
        assert (office.arrive() is not None) is is_anybody_there
        waited = max(waited, office.waiting)
    assert waited > 3


@pytest.mark.parametrize("cursor", [None, 1, 2, 3, 4, 5, 99])
def test_the_turn_goes_on_after_the_cursor_also_when_whom_it_names_has_left(cursor: int | None) -> None:
    team = [replace(HERE, id=number) for number in (2, 3, 5)]
    expected = {None: 2, 1: 2, 2: 3, 3: 5, 4: 5, 5: 2, 99: 2}
    chosen = choose(rule(cursor=cursor), team)
    assert chosen is not None
    assert chosen.id == expected[cursor]


@pytest.mark.parametrize(
    ("phrase", "text", "is_found"),
    [
        ("reembolso", "Quero um REEMBOLSO!", True),
        ("São Paulo", "moro em sao  paulo, sim", True),
        ("sao paulo", "SÃO-PAULO", True),
        ("reembolso", "reembolsos", False),
        ("sao paulo", "paulo sao", False),
        ("sao paulo", "são e paulo", False),
        ("art", "quarto", False),
        ("agendar", "", False),
        ("½ ﬁ", "1⁄2 fi", True),
        ("orçamento", "Oi\nquero ORCAMENTO\nhoje", True),
    ],
)
def test_a_phrase_is_found_on_word_borders_whatever_its_case_and_accents(phrase: str, text: str, is_found: bool) -> None:
    assert is_match(rule(condition="keyword", keyword=phrase), Inbound(folded(text))) is is_found


@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), min_size=1, max_size=3))
def test_phrases_are_found_as_a_naive_search_finds_them(words: list[str], phrase: list[str]) -> None:
    found = is_match(rule(condition="keyword", keyword=" ".join(phrase)), Inbound(words))
    assert found is (f" {' '.join(phrase)} " in f" {' '.join(words)} ")


def test_a_label_matches_where_it_is_carried_and_a_deleted_one_nowhere() -> None:
    assert is_match(rule(condition="label", label_id=7), Inbound([], frozenset({3, 7})))
    assert not is_match(rule(condition="label", label_id=8), Inbound([], frozenset({3, 7})))
    assert not is_match(rule(condition="label"), Inbound([], frozenset({3, 7})))


@pytest.mark.parametrize(
    ("changed", "named", "reason"),
    [
        ({}, None, None),
        ({"is_available": None}, None, "never said to be available"),
        ({"is_available": None, "is_present": False}, 1, None),
        ({"is_available": None, "is_barred": True}, 1, "has to set up a second factor first"),
        ({"is_available": False}, 1, "not available"),
        ({"is_present": False}, 1, "away"),
        ({"is_barred": True}, None, "has to set up a second factor first"),
        ({"in_sector": False}, 1, "not in the conversation's sector"),
        ({"open": 4, "max_open": 5}, None, None),
        ({"open": 5, "max_open": 5}, None, "full"),
        ({"open": 6, "max_open": 5}, 1, "full"),
    ],
)
def test_who_is_not_eligible_is_told_why(changed: dict[str, object], named: int | None, reason: str | None) -> None:
    asked = rule("assign_user", action_user_id=named) if named else rule()
    agent = replace(HERE, **changed)
    assert refusal(asked, agent) == reason
    assert (choose(asked, [agent]) is None) is (reason is not None)


def test_the_first_matching_rule_that_finds_somebody_decides() -> None:
    away, ana = replace(HERE, id=2, name="Bia", is_available=False), HERE
    named = rule("assign_user", id=3, action_user_id=2)
    unmatched = rule("assign_user", "keyword", id=2, keyword="outra coisa", action_user_id=1)
    last = rule("round_robin", id=9)
    outcome = route([unmatched, named, last], SOMETHING, [ana, away])
    assert (outcome.rule, outcome.agent, outcome.reason) == (last, ana, "rule 9, round robin: Ana")
    alone = route([unmatched, named], SOMETHING, [ana, away])
    assert (alone.rule, alone.agent, alone.reason) == (named, None, "nobody eligible for rule 3")
    assert route([named, rule(id=4)], SOMETHING, [away]).reason == "nobody eligible for rules 3, 4"
    assert route([unmatched], SOMETHING, [ana]).reason == "no rule matched"
    assert [one.id for one in candidates(named, [ana, away])] == [2]
    assert route([rule("assign_user", id=5)], SOMETHING, [ana]).agent is None
