"""Models behind an API: `openai:MODEL`, `anthropic:MODEL`, `PRESET:MODEL@BASE_URL`; docs/endpoints.md.

Anything that speaks the OpenAI protocol. How it is named: `naming.py`. What it costs: `prices.py`. What a server takes
and tells: `manner.py`. What goes wrong, and when to ask again: `faults.py`, `retry.py`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from ...errors import UserError
from ...model import ScoreRequest
from .naming import address_of, is_endpoint, is_remote, presets
from .prices import Prices, price_of

if TYPE_CHECKING:
    from .model import EndpointModel

__all__ = ["Endpoints", "address_of", "is_endpoint", "is_remote", "open_endpoint", "presets"]

WORKERS = 8
SECONDS = 120.0


def open_endpoint(name: str, prices: Prices | None = None, sample: Sequence[ScoreRequest] = ()) -> EndpointModel:
    """The model of that name, asked one question to see what its server can. `sample`: see EndpointModel.

    Settings: TUNINGFORK_ENDPOINT_REQUESTS (how many are asked at once, 8) and TUNINGFORK_ENDPOINT_SECONDS (the longest
    that one answer may take, 120). Raises ModelError where it can't be had, its price is not known or its key not set.
    """
    from .model import EndpointModel
    from .retry import Patience
    from .wire import Wire

    address = address_of(name)
    price = price_of(address, prices)
    workers = max(1, int(_setting("TUNINGFORK_ENDPOINT_REQUESTS", WORKERS)))
    wire = Wire(address, _setting("TUNINGFORK_ENDPOINT_SECONDS", SECONDS))
    try:
        return EndpointModel(address, price, wire, Patience(), workers, sample)
    except BaseException:
        wire.close()
        raise


class Endpoints(AbstractContextManager["Endpoints"]):
    """The endpoints of one race, each opened once, by that race's prices and for its questions; closed at its end."""

    def __init__(self, prices: Prices | None = None, sample: Sequence[ScoreRequest] = ()) -> None:
        self._prices, self._sample = prices, sample
        self._opened: dict[str, EndpointModel] = {}

    def open(self, name: str) -> EndpointModel:
        """The model of that name."""
        if name not in self._opened:
            self._opened[name] = open_endpoint(name, self._prices, self._sample)
        return self._opened[name]

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for model in self._opened.values():
            model.close()


def _setting(name: str, default: float) -> float:
    said = os.environ.get(name, "")
    try:
        number = float(said or default)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        raise UserError(f"{name} is {said!r}; it must be a number above 0. Without it, it is {default:g}.")
    return number
