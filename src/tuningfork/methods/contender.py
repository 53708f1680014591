"""What the user already has, raced unchanged: a prompt file, an adapter folder, a Python function.

A prompt file (YAML or JSON) is a list of chat messages, or `messages:` with such a list, with `{{column}}` places;
the last message is the user's turn. Beside `messages:` may stand `decoding:`, for answers that are written, with any of
`max_tokens`, `temperature`, `top_p`, `stop` (a list of texts) and `constraint` (`one_of: [...]`, `regex: ...` or
`json_schema: ...`). An adapter folder is in the PEFT layout. A function is `module:function`, its module looked for
beside the task file. Each becomes a method of the family `yours` that ignores what the bench could teach it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, get_args

from ..candidate import Candidate, Decoding, Function, Template, constraint_of
from ..errors import DataError, TaskError, UnknownName
from ..functions import load_function
from ..method import Bench, Family, Method, Need, single
from ..model import Adapter, Capability, Constraint
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
    """The user's own chat messages, and how the answer is to be written where they say it."""

    name: str
    path: str
    template: Template
    decoding: Decoding

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        return asking(replace(single(start, self.name), prompt=self.template, decoding=self.decoding), bench)


@dataclass(frozen=True)
class YourAdapter(_Yours):
    """The user's own tuned weights, asked with the task's plain prompt."""

    name: str
    path: str

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        return asking(replace(single(start, self.name), adapter=adapter_of(Path(self.path))), bench)


@dataclass(frozen=True)
class YourFunction(_Yours):
    """The user's own Python function; it uses no model of the race."""

    name: str
    path: str
    folder: str

    needs: ClassVar[frozenset[Need]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "multilabel", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        return Function(self.path, self.folder, bench.task.labels, bench.task.kind != "multilabel")


def open_contender(spec: str, task: Task) -> Method:
    """The contender that `spec` names, read and checked now, so that mistakes show before the race.

    Raises TaskError or UnknownName: no such file, no chat messages, a place that is no column, a function not there.
    """
    path = Path(task.folder) / spec
    if path.suffix.lower() in (".yaml", ".yml", ".json") and path.is_file():
        data = data_of(path)
        template = template_of(data, path)
        check_columns(template, task.columns.input, str(path))
        return YourPrompt(f"yours:{path.stem}", str(path), template, decoding_of(data, path))
    if path.is_dir():
        adapter_of(path)
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


def data_of(path: Path) -> Any:
    """What stands in a YAML or JSON file. Raises TaskError where it can't be read."""
    import yaml

    try:
        text = path.read_text("utf-8-sig")
        return json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise TaskError(
            f"{path} can't be read ({error}). In YAML, put a text that begins with {{{{ in quotes."
        ) from error


def template_of(data: Any, path: Path | str) -> Template:
    """Chat messages as a template. `path` says in messages where they stand. Raises TaskError or UnknownName."""
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


def decoding_of(data: Any, path: Path | str) -> Decoding:
    """What `decoding:` beside the messages says of how answers are written."""
    said = data.get("decoding") if isinstance(data, dict) else None
    if said is None:
        return Decoding()
    if not isinstance(said, dict):
        raise TaskError(f"{path}: `decoding` is {said!r:.80}. Write entries under it, such as `max_tokens: 64`.")
    for name in said:
        if name not in CHECKS:
            raise UnknownName("decoding setting", str(name), CHECKS, str(path))
        fits, what = CHECKS[name]
        if not fits(said[name]):
            raise TaskError(f"{path}: `decoding.{name}` is {said[name]!r:.80}. It must be {what}.")
    found = {**said, "stop": tuple(said.get("stop", ()))}
    if "constraint" in said:
        found["constraint"] = _constraint(said["constraint"], path)
    return Decoding(**found)


def _constraint(said: dict[str, Any], path: Path | str) -> Constraint:
    """A JSON schema may be written as YAML too."""
    schema = said.get("json_schema")
    try:
        return constraint_of({"json_schema": json.dumps(schema)} if isinstance(schema, dict) else said)
    except DataError as error:
        raise TaskError(f"{path}: {error}") from error


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "max_tokens": (lambda value: isinstance(value, int) and _number(value) and value > 0, "a whole number above 0"),
    "temperature": (
        lambda value: _number(value) and 0 <= value < math.inf,
        "0 (the likeliest token) or a number above",
    ),
    "top_p": (lambda value: _number(value) and 0 < value <= 1, "above 0 and at most 1"),
    "stop": (
        lambda value: isinstance(value, list) and all(isinstance(text, str) and text for text in value),
        "a list of texts, none of them empty",
    ),
    "constraint": (lambda value: isinstance(value, dict), "one of `one_of: [...]`, `regex: ...`, `json_schema: ...`"),
}


def _message(entry: Any, number: int, path: Path | str) -> Message:
    if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
        raise TaskError(f"{path}, message {number}, is {entry!r:.80}. It needs `role`, and `content` that is a text.")
    if entry.get("role") not in get_args(Role):
        raise UnknownName("role", str(entry.get("role")), get_args(Role), f"{path}, message {number}")
    return Message(entry["role"], entry["content"])


def adapter_of(folder: Path) -> Adapter:
    """The adapter in a folder of PEFT's layout. Raises TaskError where there is none."""
    names = ("adapter_config.json", "adapter_model.safetensors")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise TaskError(f"The folder {folder} is no adapter: {' and '.join(missing)} not there. Save it with PEFT.")
    files = {name: (folder / name).read_bytes() for name in names}
    adapter = Adapter.of("", files)
    return replace(adapter, base=str(config_of(adapter).get("tuningfork_base", "")))


def peft_type(adapter: Adapter) -> str:
    """What kind of adapter it says it is."""
    return str(config_of(adapter).get("peft_type", ""))


def config_of(adapter: Adapter) -> dict[str, Any]:
    """What its config says; nothing where that can't be read, which the model will say."""
    try:
        config = json.loads(adapter.files["adapter_config.json"].read())
    except (KeyError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}
