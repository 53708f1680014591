"""One file a probe, and the menu of them: measurements beside quality, made on finalists.

A Probe asks a candidate something about some examples and returns flat numbers; `metric` is the one that decides. One
that takes the time says `takes_time = True`: then no answer of an earlier race stands before its models.
Outsiders add probes through the entry point group `tuningfork.probes`, each a class without arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

from ..candidate import Candidate
from ..errors import UnknownName
from ..metrics import Metric
from ..model import Model
from ..task import Example

MENU = {
    "latency": "latency:Latency",
    "consistency": "consistency:Consistency",
    "forgetting": "forgetting:Forgetting",
    "size": "size:Size",
}


class Probe(Protocol):
    """A measurement of a candidate on some examples, which are never those of the test."""

    @property
    def name(self) -> str: ...

    def __call__(
        self, candidate: Candidate, models: Mapping[str, Model], examples: Sequence[Example], metric: Metric
    ) -> Mapping[str, float]: ...


def open_probe(name: str) -> Probe:
    """The probe of that name. Raises UnknownName, with the menu."""
    if name in MENU:
        module, _, attribute = MENU[name].partition(":")
        probe: Probe = getattr(import_module(f".{module}", __name__), attribute)()
        return probe
    outside = _outsiders()
    if name not in outside:
        raise UnknownName("probe", name, [*MENU, *outside])
    probe = outside[name].load()()
    return probe


def menu() -> list[str]:
    """Every probe's name, in the order in which a race takes them, outsiders' last."""
    return [*MENU, *sorted(set(_outsiders()) - set(MENU))]


def _outsiders() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group="tuningfork.probes")}
