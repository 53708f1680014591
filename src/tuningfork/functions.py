"""The user's own `module:function`: contenders and metrics are given so.

The module is loaded from its folder, which stands on `sys.path` only while the user's code runs.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import UnknownName, UserError


def load_function(path: str, folder: str = ".") -> Callable[..., Any]:
    """The function that `module:function` names, its module looked for in `folder`, then among what is installed."""
    name, _, attribute = path.partition(":")
    module = _module(name, str(Path(folder).resolve()), _changed(name, folder))
    if not hasattr(module, attribute):
        public = (n for n, value in vars(module).items() if callable(value) and not n.startswith("_"))
        raise UnknownName("function", attribute, public, f"module {name}")
    found: Any = getattr(module, attribute)
    if not callable(found):
        raise UserError(f"{path} is {found!r}, which is not a function. Name a function.")
    return found  # type: ignore[no-any-return]


@lru_cache(maxsize=32)
def _module(name: str, folder: str, changed: int | None) -> ModuleType:
    """The module, loaded once for each state of its file. A file is loaded under a name of its own, so that a user's
    `json.py` never becomes everybody's `json`."""
    try:
        with on_path(folder):
            if changed is None:
                return importlib.import_module(name)
            spec = importlib.util.spec_from_file_location(f"_yours_{name}", Path(folder) / f"{name}.py")
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    except (Exception, SystemExit) as error:
        raise UserError(
            f"The module {name!r} can't be imported from {folder} ({type(error).__name__}: {error}). "
            f"Put {name}.py there, or mend it: python -c 'import {name}' in that folder shows the whole error."
        ) from error


def _changed(name: str, folder: str) -> int | None:
    file = Path(folder).resolve() / f"{name}.py"
    return file.stat().st_mtime_ns if file.is_file() else None


@contextmanager
def on_path(folder: str) -> Iterator[None]:
    """The folder on `sys.path` while the user's code runs."""
    place = str(Path(folder).resolve())
    sys.path.insert(0, place)
    try:
        yield
    finally:
        if place in sys.path:
            sys.path.remove(place)
