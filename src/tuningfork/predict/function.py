"""The user's own `module:function`, asked one input at a time.

The module is loaded from its folder, which stands on `sys.path` only while the user's code runs. An exception, or a
return value that is no answer, fails that one item with the reason and leaves its neighbours alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ..candidate import Function, Prediction
from ..errors import UnknownName, UserError
from ..model import Failure
from ..task import Inputs, plain_text


def answerer(candidate: Function) -> Callable[[Sequence[Inputs]], list[Prediction]]:
    """How a Function answers a block. Raises UserError when its module or function can't be had."""
    call = load_function(candidate.path, candidate.folder)

    def answer(block: Sequence[Inputs]) -> list[Prediction]:
        with _on_path(candidate.folder):
            return [_answer(call, inputs, candidate) for inputs in block]

    return answer


def load_function(path: str, folder: str = ".") -> Callable[[dict[str, str]], Any]:
    """The function that `module:function` names, its module looked for in `folder`, then among what is installed."""
    name, _, attribute = path.partition(":")
    module = _module(name, str(Path(folder).resolve()), _changed(name, folder))
    if not hasattr(module, attribute):
        public = (n for n, value in vars(module).items() if callable(value) and not n.startswith("_"))
        raise UnknownName("function", attribute, public, f"module {name}")
    found: Any = getattr(module, attribute)
    if not callable(found):
        raise UserError(f"{path} is {found!r}, which is not a function. Name a function that takes a dict of inputs.")
    return found  # type: ignore[no-any-return]


@lru_cache(maxsize=32)
def _module(name: str, folder: str, changed: int | None) -> ModuleType:
    """The module, loaded once for each state of its file. A file is loaded under a name of its own, so that a user's
    `json.py` never becomes everybody's `json`."""
    try:
        with _on_path(folder):
            if changed is None:
                return importlib.import_module(name)
            spec = importlib.util.spec_from_file_location(f"_contender_{name}", Path(folder) / f"{name}.py")
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    except (Exception, SystemExit) as error:
        raise UserError(
            f"The module {name!r} of a contender can't be imported from {folder} ({type(error).__name__}: {error}). "
            f"Put {name}.py there, or mend it: python -c 'import {name}' in that folder shows the whole error."
        ) from error


def _changed(name: str, folder: str) -> int | None:
    file = Path(folder).resolve() / f"{name}.py"
    return file.stat().st_mtime_ns if file.is_file() else None


@contextmanager
def _on_path(folder: str) -> Iterator[None]:
    place = str(Path(folder).resolve())
    sys.path.insert(0, place)
    try:
        yield
    finally:
        if place in sys.path:
            sys.path.remove(place)


def _answer(call: Callable[[dict[str, str]], Any], inputs: Inputs, candidate: Function) -> Prediction:
    try:
        reply = call({name: plain_text(content) for name, content in inputs.items()})
    except (Exception, SystemExit) as error:
        return _failed("raised", f"{candidate.path} raised {type(error).__name__}: {error}")
    said = reply if isinstance(reply, dict) else {"answer": reply}
    answer, confidence = said.get("answer"), said.get("confidence")
    if not isinstance(answer, str):
        return _failed("no answer", f"{candidate.path} returned {reply!r:.80}, not a str or a dict with `answer`.")
    if candidate.labels and answer not in candidate.labels:
        return _failed("unknown label", f"{candidate.path} answered {answer!r:.80}, which is no label of the task.")
    try:
        sure = None if confidence is None else float(confidence)
    except (TypeError, ValueError):
        return _failed("no answer", f"{candidate.path} returned the confidence {confidence!r:.80}, which is no number.")
    return Prediction(answer, confidence=sure)


def _failed(kind: str, message: str) -> Prediction:
    return Prediction("", failure=Failure(kind, message))
