"""Figures of a benchmark: collected in rounds, reported as medians, compared with one client's, held to limits.

measures.py has what is measured."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table: a name, a unit, and how many decimals are printed."""

    name: str
    unit: str
    decimals: int = 0


@dataclass(slots=True)
class Figures:
    """All measured values, by measure and client, in order."""

    values: dict[Measure, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, measure: Measure, client: str, value: float) -> None:
        self.values.setdefault(measure, {}).setdefault(client, []).append(value)

    def median(self, measure: Measure, client: str) -> float | None:
        found = self.values.get(measure, {}).get(client)
        return statistics.median(found) if found else None

    def rows(self) -> Iterator[tuple[Measure, dict[str, float]]]:
        """Yield each measure with its medians by client."""
        for measure, clients in self.values.items():
            yield measure, {client: statistics.median(values) for client, values in clients.items()}

    def as_json(self) -> list[dict[str, object]]:
        return [
            {"measure": measure.name, "unit": measure.unit, "client": client, "median": statistics.median(values),
             "values": values}
            for measure, clients in self.values.items()
            for client, values in clients.items()
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limit:
    """A promise: an upper or lower limit of a median, or of its ratio to that of other."""

    measure: Measure
    client: str
    at_most: float | None = None
    at_least: float | None = None
    other: tuple[Measure, str] | None = None

    def judge(self, figures: Figures) -> str | None:
        """Return a line that begins with "holds" or "BROKEN", or None if it was not measured."""
        value = figures.median(self.measure, self.client)
        words = f"{self.client}: {self.measure.name}"
        unit = self.measure.unit
        if value is None:
            return None
        if self.other:
            other = figures.median(*self.other)
            if not other:
                return None
            value /= other
            same = self.other[0] == self.measure
            words += f", to that of {self.other[1]}" if same else f", to {self.other[0].name} with {self.other[1]}"
            unit = "times"
        holds = (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)
        bound = f"at most {self.at_most}" if self.at_most is not None else f"at least {self.at_least}"
        return f"{'holds ' if holds else 'BROKEN'}  {words}: {value:.4g} {unit}, promised {bound}"


def table(figures: Figures, clients: list[str], base: str) -> str:
    """Return the table: a column per client; after each value its ratio to the base's."""
    rows = list(figures.rows())
    names = [f"{measure.name} [{measure.unit}]" for measure, _ in rows]
    width = max(map(len, names), default=0)
    lines = [" " * width + "".join(f"  {client:>22}" for client in clients)]
    for name, (measure, medians) in zip(names, rows, strict=True):
        cells = [_cell(medians, client, base, measure.decimals) for client in clients]
        lines.append(f"{name:<{width}}" + "".join(f"  {cell:>22}" for cell in cells))
    return "\n".join(lines)


def _cell(medians: dict[str, float], client: str, base: str, decimals: int) -> str:
    if client not in medians:
        return "-"
    text = f"{medians[client]:,.{decimals}f}"
    if client == base or not medians.get(base):
        return text + " " * 8
    return f"{text} ({medians[client] / medians[base]:.2f})".rjust(8)


def interleaved(rounds: int, clients: list[str], measure: Callable[[str], None]) -> None:
    """Run each client once per round; each round begins with another one, so that no drift favours any."""
    for number in range(rounds):
        shift = number % len(clients)
        for client in clients[shift:] + clients[:shift]:
            measure(client)
