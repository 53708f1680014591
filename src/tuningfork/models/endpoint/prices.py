"""Prices of models behind an API, by name: the task file's, then the user's own file, then those that are shipped.

A price that nobody said is asked for, with the line to write; it is never taken as zero. A server on this machine costs
nothing unless a price says so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import ModelError
from ...price import Price
from .naming import Address, shipped

Prices = Mapping[str, Mapping[str, float]]
"""Model name -> USD for a million tokens: `in`, `out`, and perhaps `cached`."""


def price_of(address: Address, prices: Prices | None = None) -> Price:
    """What a model costs. Raises ModelError with the line to add where nobody says."""
    own = own_file()
    for where, table in (
        ("the task file", prices or {}),
        (str(own), _read(own)),
        ("the table shipped (public pages, January to June 2026: check it)", None),
    ):
        found = (shipped("prices.yaml") if table is None else table).get(address.name)
        if found is not None:
            return _price(found, f"by {where}", f"{where}: {address.name}")
    if address.is_local:
        return Price(0.0, 0.0, about="free: the server is on this machine")
    raise ModelError(
        f"Nobody says what {address.name} costs, and a race keeps to a limit in money. Look its price up and add this"
        f" line to {own}, or under `prices:` in the task file, with USD for a million tokens read and written:"
        f"\n\n  {address.name}: {{in: 0.00, out: 0.00}}"
    )


def own_file() -> Path:
    """The user's own prices: in TUNINGFORK_CONFIG, else in the platform's folder for settings."""
    chosen = os.environ.get("TUNINGFORK_CONFIG")
    if chosen:
        return Path(chosen).expanduser() / "prices.yaml"
    from platformdirs import user_config_path

    return user_config_path("tuningfork", appauthor=False) / "prices.yaml"


def _read(path: Path) -> Mapping[str, Any]:
    import yaml

    if not path.is_file():
        return {}
    try:
        found = yaml.safe_load(path.read_text("utf-8-sig")) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelError(f"The prices in {path} can't be read ({error}). Mend the file, or delete it.") from error
    if not isinstance(found, dict):
        raise ModelError(
            f"{path} holds no prices. Write a line a model, such as  openai:MODEL: {{in: 0.40, out: 1.60}}"
        )
    return found


def _price(found: Any, about: str, where: str) -> Price:
    numbers = found if isinstance(found, Mapping) else {}
    good = {"in", "out"} <= set(numbers) <= {"in", "out", "cached"}
    if not good or not all(isinstance(v, int | float) and 0 <= v < 1e9 for v in numbers.values()):
        raise ModelError(
            f"The price in {where} is {found!r:.80}. Write USD for a million tokens, such as {{in: 0.40, out: 1.60}},"
            " and `cached` where the provider's prompt cache is cheaper."
        )
    cached = numbers.get("cached")
    return Price(float(numbers["in"]), float(numbers["out"]), None if cached is None else float(cached), about=about)
