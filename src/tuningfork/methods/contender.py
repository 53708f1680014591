"""What the user already has, raced unchanged: a prompt file, an adapter folder, a Python function.

A prompt file (YAML or JSON) is a list of chat messages, or `messages:` with such a list, with `{{column}}` places;
the last message is the user's turn. An adapter folder is in the PEFT layout. A function is `module:function`, its
module looked for beside the task file. Each becomes a method of the family `yours` that ignores what the bench could
teach it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, get_args

from ..candidate import Candidate, Function, Template
from ..errors import TaskError, UnknownName
from ..method import Bench, Family, Method, Need, single
from ..model import Adapter, Capability
from ..predict.function import load_function
from ..predict.prompt import check_columns, columns_of
from ..task import Kind, Message, Role, Task
from .zero_shot import asking

FORMS = "a prompt file (.yaml, .yml or .json), an adapter folder (with adapter_config.json), or module:function"


class _Yours:
    """What all contenders have in common."""

    family: ClassVar[Family] = "yours"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})


@dataclass(frozen=True)
class YourPrompt(_Yours):
    """The user's own chat messages."""

    name: str
    path: str
    template: Template

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        return asking(replace(single(start, self.name), prompt=self.template), bench)


@dataclass(frozen=True)
class YourAdapter(_Yours):
    """The user's own tuned weights, asked with the task's plain prompt."""

    name: str
    path: str

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        return asking(replace(single(start, self.name), adapter=_adapter(Path(self.path))), bench)


@dataclass(frozen=True)
class YourFunction(_Yours):
    """The user's own Python function; it uses no model of the race."""

    name: str
    path: str
    folder: str

    needs: ClassVar[frozenset[Need]] = frozenset()

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        return Function(self.path, self.folder, bench.task.labels)


def open_contender(spec: str, task: Task) -> Method:
    """The contender that `spec` names, read and checked now, so that mistakes show before the race.

    Raises TaskError or UnknownName: no such file, no chat messages, a place that is no column, a function not there.
    """
    path = Path(task.folder) / spec
    if path.suffix.lower() in (".yaml", ".yml", ".json") and path.is_file():
        template = _template(path)
        check_columns(template, task.columns.input, str(path))
        return YourPrompt(f"yours:{path.stem}", str(path), template)
    if path.is_dir():
        _adapter(path)
        return YourAdapter(f"yours:{path.resolve().name}", str(path))
    if re.fullmatch(r"[\w.]+:\w+", spec):
        load_function(spec, task.folder)
        return YourFunction(f"yours:{spec.replace(':', '.')}", spec, task.folder)
    if not path.parent.is_dir():
        raise TaskError(
            f"There is no contender {spec!r}: the folder {path.parent} is not there. A contender is {FORMS}."
        )
    if not path.exists():
        raise UnknownName("contender", path.name, _offers(path.parent), f"the folder {path.parent.resolve()}")
    raise TaskError(f"The contender {spec!r} is none of what a contender can be: {FORMS}.")


def _offers(folder: Path) -> list[str]:
    """What in a folder could be a contender."""
    kinds = (".yaml", ".yml", ".json")
    return [p.name for p in folder.iterdir() if p.suffix in kinds or (p / "adapter_config.json").is_file()]


def _template(path: Path) -> Template:
    import yaml

    try:
        text = path.read_text("utf-8-sig")
        data: Any = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise TaskError(
            f"{path} can't be read ({error}). In YAML, put a text that begins with {{{{ in quotes."
        ) from error
    messages = data.get("messages") if isinstance(data, dict) else data
    if not isinstance(messages, list) or not messages:
        raise TaskError(f"{path} holds no chat messages. Write a list of entries with `role` and `content`.")
    template = Template(tuple(_message(entry, number, path) for number, entry in enumerate(messages, start=1)))
    if template.messages[-1].role != "user":
        raise TaskError(f"{path}: the last message has role {template.messages[-1].role!r}. End with the user's turn.")
    if not columns_of(template):
        raise TaskError(
            f"{path} names no column, so every input would get the same prompt. Write {{{{text}}}} or the like."
        )
    return template


def _message(entry: Any, number: int, path: Path) -> Message:
    if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
        raise TaskError(f"{path}, message {number}, is {entry!r:.80}. It needs `role`, and `content` that is a text.")
    if entry.get("role") not in get_args(Role):
        raise UnknownName("role", str(entry.get("role")), get_args(Role), f"{path}, message {number}")
    return Message(entry["role"], entry["content"])


def _adapter(folder: Path) -> Adapter:
    names = ("adapter_config.json", "adapter_model.safetensors")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise TaskError(f"The folder {folder} is no adapter: {' and '.join(missing)} not there. Save it with PEFT.")
    return Adapter.of("", {name: (folder / name).read_bytes() for name in names})
