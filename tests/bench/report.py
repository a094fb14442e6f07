"""What was measured against what was promised: medians, spreads, verdicts, as a table and as JSON."""

from collections.abc import Sequence
from statistics import median
from typing import Literal

from msgspec import Struct

Verdict = Literal["met", "within spread", "MISSED", "–"]
MARKS = {"at least": "≥", "at most": "≤"}


class Figure(Struct, frozen=True):
    """Slices of one quantity; ``spread`` is half the distance between the lowest and the highest, the extremes left out."""

    slices: list[float]
    unit: str = ""

    @property
    def median(self) -> float:
        """The middle slice."""
        return median(self.slices)

    @property
    def spread(self) -> float:
        """Half of what lies between the second lowest and the second highest slice, or all of fewer than five."""
        ordered = sorted(self.slices)
        inner = ordered[1:-1] if len(ordered) >= 5 else ordered
        return (inner[-1] - inner[0]) / 2

    def __str__(self) -> str:
        """Median ± spread with as many digits as mean something."""
        digits = 0 if self.median >= 100 else 1 if self.median >= 10 else 2
        return f"{self.median:,.{digits}f} ± {self.spread:,.{digits}f}{self.unit and ' ' + self.unit}"


class Target(Struct, frozen=True):
    """What a figure must reach."""

    way: Literal["at least", "at most"]
    value: float

    def judge(self, figure: Figure) -> Verdict:
        """Missed only when the run's own spread does not explain it."""
        sign = 1 if self.way == "at least" else -1
        gap = sign * (self.value - figure.median)
        return "met" if gap <= 0 else "within spread" if gap <= figure.spread else "MISSED"

    def __str__(self) -> str:
        """As in a table."""
        return f"{MARKS[self.way]} {self.value:g}"


class Line(Struct, frozen=True):
    """One promise: what was measured, the target, and the figures it was made of."""

    path: str
    what: str
    figure: Figure
    target: Target | None = None
    ours: Figure | None = None
    reference: Figure | None = None

    @property
    def verdict(self) -> Verdict:
        """Whether the promise is kept."""
        return self.target.judge(self.figure) if self.target is not None else "–"


class Report(Struct, frozen=True):
    """One run."""

    conversations: int
    messages: int
    events: int
    machine: str
    seconds: dict[str, float]
    lines: list[Line]

    @property
    def missed(self) -> list[Line]:
        """Promises that were not kept."""
        return [line for line in self.lines if line.verdict == "MISSED"]

    def as_json(self) -> dict[str, object]:
        """With medians, spreads and verdicts spelled out."""
        return {
            "conversations": self.conversations,
            "messages": self.messages,
            "events": self.events,
            "machine": self.machine,
            "seconds": self.seconds,
            "lines": [_line_as_json(line) for line in self.lines],
        }

    def __str__(self) -> str:
        """The table."""
        rows = [("path", "figure", "median ± spread", "target", "", "ours", "reference")]
        rows += [
            (line.path, line.what, str(line.figure), str(line.target or ""), line.verdict, _shown(line.ours), _shown(line.reference))
            for line in self.lines
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        head = f"{self.conversations:,} conversations, {self.messages:,} messages, {self.events:,} events · {self.machine}"
        return "\n".join([head, lines[0], "─" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]])


def ratio(path: str, target: float | None, ours: Sequence[float], reference: Sequence[float]) -> Line:
    """Slice by slice, ours through the reference's; without a target it is only for information."""
    share = Figure([mine / theirs for mine, theirs in zip(ours, reference, strict=True)])
    wanted = None if target is None else Target("at least", target)
    return Line(path, "ratio", share, wanted, Figure(list(ours), "/s"), Figure(list(reference), "/s"))


def _shown(figure: Figure | None) -> str:
    return "" if figure is None else str(figure)


def _figure_as_json(figure: Figure | None) -> dict[str, object] | None:
    if figure is None:
        return None
    return {"median": figure.median, "spread": figure.spread, "unit": figure.unit, "slices": figure.slices}


def _line_as_json(line: Line) -> dict[str, object]:
    return {
        "path": line.path,
        "what": line.what,
        "verdict": line.verdict,
        "target": str(line.target) if line.target else None,
        "figure": _figure_as_json(line.figure),
        "ours": _figure_as_json(line.ours),
        "reference": _figure_as_json(line.reference),
    }
