"""How a model reads its prompts, where that can be known without opening its weights."""

from __future__ import annotations

import importlib.util
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from .bundled import BUNDLED, folder_of, is_cached

if TYPE_CHECKING:
    from ..engine.reader import Reader


def open_reader(name: str) -> Reader | str:
    """The tokenizer and chat template of a model that lies on this machine; for any other, why there are none. Nothing
    is fetched."""
    folder = _folder(name)
    if isinstance(folder, str):
        return folder
    missing = [library for library in ("torch", "transformers") if importlib.util.find_spec(library) is None]
    if missing:
        return f"{missing[0]} is not installed: pip install 'tuningfork[local]'"
    from ..engine.reader import Reader

    return Reader(folder)


def _folder(name: str) -> Path | str:
    if name in BUNDLED:
        return folder_of(name) if is_cached(name) else f"{name} is not fetched yet: tuningfork models --fetch"
    place = Path(name).expanduser()
    if (place / "config.json").is_file():
        return place.resolve()
    if ":" in name or "/" not in name or any(entry.name == name for entry in entry_points(group="tuningfork.models")):
        return f"{name} has no tokenizer on this machine"
    if importlib.util.find_spec("huggingface_hub") is None:
        return f"{name} is not on this machine"
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(name, "config.json")
    return Path(config).parent if isinstance(config, str) else f"{name} is not on this machine"
