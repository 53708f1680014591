"""The doctor's look at models behind an API: key, price, server, what the server can. No key's value is ever shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError, TaskError, UserError
from .look import Look

if TYPE_CHECKING:
    from ..models.endpoint.naming import Address

Prices = Mapping[str, Mapping[str, float]]


def apis(what: Sequence[str]) -> Iterator[Look]:
    """Looks at each model named, or named by a task file. Raises TaskError for what is neither."""
    for name, prices in _named(what):
        yield from _one(name, prices)


def _named(what: Sequence[str]) -> Iterator[tuple[str, Prices]]:
    from ..data.taskfile import load_task
    from ..models.endpoint import is_endpoint, presets

    for word in what:
        if is_endpoint(word):
            yield word, {}
        elif Path(word).suffix in (".yaml", ".yml"):
            task = load_task(Path(word))
            found = [name for name in task.models if is_endpoint(name)]
            if not found:
                raise TaskError(f"{word} names no model behind an API; tuningfork doctor, alone, looks at the rest.")
            yield from ((name, task.prices) for name in found)
        else:
            known = ", ".join(f"{preset}:MODEL" for preset in presets())
            raise TaskError(f"{word!r} is no model behind an API and no task file. Name one of {known}.")


def _one(name: str, prices: Prices) -> Iterator[Look]:
    from ..models.endpoint import address_of, open_endpoint
    from ..models.endpoint.prices import price_of

    address = address_of(name)
    yield _key(address)
    try:
        price = price_of(address, prices)
    except ModelError as error:
        yield Look("price", "problem", f"{name}: not known", str(error))
        return
    yield Look("price", "ok", f"{name}: {price.read:g} in, {price.write:g} out, USD a million tokens, {price.about}")
    try:
        with closing(open_endpoint(name, prices)) as model:
            can = ", ".join(sorted(model.capabilities))
            yield Look("server", "ok", f"{address.url} answers; {address.model} can {can}")
            for note in model.notes[1:]:
                yield Look("answers", "ok", note)
    except UserError as error:
        yield Look("server", "problem", f"{name} can't be opened", str(error))


def _key(address: Address) -> Look:
    if address.key_variable:
        return Look("key", "ok", f"{address.key_variable} is set")
    wanted = " or ".join(address.keys)
    if address.is_local:
        return Look("key", "ok", f"{wanted} is not set; a server on this machine mostly wants none")
    return Look("key", "problem", f"{wanted} is not set", f"Set it to your key for {address.host}.")
