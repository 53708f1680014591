"""task.yaml to Task and back.

Strict: a key that is not known, a wrong type or a number out of range is refused with the file's name and the
nearest key. What is left out has the default of `task.py`. YAML is read by PyYAML under the rules of YAML 1.2, so
that the labels `no`, `on` and `2024-01-05` stay texts and `2e6` is a number. Paths stay as they are written; they
start from the file's folder.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, cast, get_args

import yaml

from ..errors import TaskError, UnknownName
from ..task import BUDGETS, Budget, Columns, Kind, Overlong, Sources, Task

LIMITS = ("days", "latency_ms_p95", "memory_gib", "private", "quality", "skill", "usd_per_1k")
SKILLS = ("none", "some")
TRAFFIC = ("cached_share", "requests_per_month")
COSTS = (
    "labels_per_day",
    "months",
    "retune_every_months",
    "usd_per_hour",
    "usd_per_label",
    "usd_per_month",
    "utilisation",
)
SHARES = ("cached_share", "utilisation")
ABOVE_ZERO = ("labels_per_day", "months", "retune_every_months", "utilisation")
PRICE = ("in", "out", "cached")
DEFAULT_COLUMNS: Mapping[str, Columns] = {
    "classification": Columns(("text",), "label"),
    "generation": Columns(("input",), "output"),
    "multilabel": Columns(("text",), "labels"),
}
"""What the columns are called where the file does not say."""


def load_task(path: Path, **overrides: Any) -> Task:
    """The task of a file. Overrides are keys of the file with other values; those that are None count for nothing.

    Raises TaskError, or UnknownName for an unknown key, in words that name the file.
    """
    path = Path(path)
    where = str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        near = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        beside = (
            f" Task files there: {', '.join(sorted(near))}." if near else " `tuningfork init DATA_FILE` writes one."
        )
        raise TaskError(f"There is no task file {where!r}.{beside}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"The task file {where!r} can't be read: {error}.") from error
    given = _yaml(text, where)
    return _task({**given, **{key: value for key, value in overrides.items() if value is not None}}, path.parent, where)


def task_from_dict(d: Mapping[str, Any], folder: Path) -> Task:
    """The task of a dict as `task_to_dict` gives it; its paths start from `folder`. Raises TaskError as `load_task`."""
    return _task({key: value for key, value in d.items() if key != "folder"}, Path(folder), "the task")


def task_to_dict(task: Task) -> dict[str, Any]:
    """A task as plain data with the keys of the task file, and `folder`. JSON can hold it."""
    columns = {field.name: getattr(task.columns, field.name) for field in fields(Columns)}
    data = {field.name: getattr(task.data, field.name) for field in fields(Sources)}
    if data["encoding"] == "utf-8":
        del data["encoding"]
    return {
        "name": task.name,
        "kind": task.kind,
        "data": {key: value for key, value in data.items() if value is not None},
        "columns": {key: _one_or_list(value) for key, value in columns.items() if value},
        "instruction": task.instruction,
        "labels": list(task.labels),
        "metric": list(task.metrics),
        "models": list(task.models),
        "methods": list(task.methods) or "auto",
        "contenders": list(task.contenders),
        "budget": _budget_to_plain(task.budget),
        "overlong": task.overlong,
        "tolerance": task.tolerance,
        "limits": dict(task.limits),
        "prices": {name: dict(price) for name, price in task.prices.items()},
        "traffic": dict(task.traffic),
        "costs": dict(task.costs),
        "seed": task.seed,
        "folder": task.folder,
    }


def write_task(task: Task, path: Path) -> None:
    """Write the task file, with a comment where people most often change something. `load_task` gives the same task
    back, in the folder that the file is in. Raises TaskError when it can't be written."""
    d = task_to_dict(task)
    lines = ["# A task for tuningfork. Change what is not as you meant it, then: tuningfork compare " + Path(path).name]
    for key, comment in COMMENTS.items():
        value = d[key]
        if value in ([], {}, "") and key in EXAMPLES:
            lines.append(f"# {EXAMPLES[key]}  # {comment}")
        elif value not in ([], {}, ""):
            lines += ([f"# {comment}"] if comment else []) + [_line(key, value)]
    try:
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise TaskError(f"The task file {str(path)!r} can't be written: {error}.") from error


def parse_budget(value: object, where: str = "the budget") -> Budget:
    """A budget from its name, a number of seconds, or a mapping with seconds, tokens and usd. Raises TaskError."""
    if isinstance(value, Budget):
        return value
    if isinstance(value, str) and value in BUDGETS:
        return BUDGETS[value]
    if isinstance(value, Mapping):
        _known(value, ("seconds", "tokens", "usd", "name"), where)
        limit = {key: _number(value[key], f"{where}: {key}", above=0) for key in value if key != "name"}
        if not limit:
            raise TaskError(f"{where} names no limit. Give seconds, tokens or usd, or one of {', '.join(BUDGETS)}.")
        tokens = limit.get("tokens")
        name = _text(value.get("name", "own"), f"{where}: name")
        return Budget(limit.get("seconds"), None if tokens is None else int(tokens), limit.get("usd"), name)
    if isinstance(value, str) and not _is_number(value):
        raise UnknownName("budget", value, BUDGETS, where)
    return Budget(_number(value, where, above=0), name="own")


COMMENTS = {
    "name": "",
    "kind": "classification (one of some labels), multilabel (any number of them) or generation (free text)",
    "data": "paths from this file on: train, and test, unlabelled, documents, encoding where there are any",
    "columns": "which column is what: input (one, or a list), target; id, group and cluster where there are any",
    "instruction": "what a prompt says about the task: the better it says what you want, the fairer the race",
    "labels": "all labels there are; without this line, those of the training rows",
    "metric": "the first decides",
    "models": "`tuningfork models` lists them",
    "methods": "`tuningfork methods` lists them; a+b chains two",
    "contenders": "what you have already: a prompt file, an adapter folder, module:function",
    "budget": "light, medium, heavy, or {seconds: 600, tokens: 2e6, usd: 5}",
    "overlong": "inputs longer than a model reads: fail, or keep_start or keep_end of them",
    "tolerance": "how much quality you would give up for a cheaper answer (0.01 is one point)",
    "limits": "what the answer must keep to; also quality, days, skill (none or some), private",
    "prices": "what models behind an API cost, in USD for a million tokens",
    "traffic": "so that costs are worked out for you; also cached_share of a prompt",
    "costs": "what only you know; also usd_per_month, months, retune_every_months, labels_per_day",
    "seed": "",
}
EXAMPLES = {
    "contenders": "contenders: [our-prompt.yaml]",
    "limits": "limits: {latency_ms_p95: 200, usd_per_1k: 0.5, memory_gib: 4}",
    "prices": "prices: {openai:my-model: {in: 0.40, out: 1.60}}",
    "traffic": "traffic: {requests_per_month: 100000}",
    "costs": "costs: {usd_per_label: 0.1, usd_per_hour: 0.5, utilisation: 0.3}",
}


def _line(key: str, value: Any) -> str:
    """`key: value`, lists and mappings in brackets."""
    flow = isinstance(value, list | dict)
    shown = value if flow else {key: value}
    text = yaml.dump(shown, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=flow)
    return f"{key}: {text.rstrip()}" if flow else text.rstrip()


def _one_or_list(value: Any) -> Any:
    if isinstance(value, tuple):
        return value[0] if len(value) == 1 else list(value)
    return value


def _budget_to_plain(budget: Budget) -> str | dict[str, Any]:
    if BUDGETS.get(budget.name) == budget:
        return budget.name
    amounts = {"seconds": budget.seconds, "tokens": budget.tokens, "usd": budget.usd}
    name = {} if budget.name == "own" else {"name": budget.name}
    return {key: value for key, value in amounts.items() if value is not None} | name


# Dict to Task


def _task(d: Mapping[str, Any], folder: Path, where: str) -> Task:
    _known(d, COMMENTS, where)
    for key in ("name", "kind", "data"):
        if d.get(key) in (None, ""):
            raise TaskError(
                f"{where} lacks {key!r}, which has no default. `tuningfork init DATA_FILE` writes a whole file."
            )
    kind = _kind(d["kind"], where)
    made: dict[str, Any] = {
        "name": _name(d["name"], where),
        "kind": kind,
        "data": _sources(d["data"], f"{where}: data"),
        "columns": _columns(d["columns"], f"{where}: columns") if d.get("columns") else DEFAULT_COLUMNS[kind],
        "folder": str(folder),
    }
    readers: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
        "instruction": ("instruction", lambda value, at: value and _text(value, at)),
        "labels": ("labels", _labels),
        "metric": ("metrics", _texts),
        "models": ("models", _texts),
        "methods": ("methods", lambda value, at: () if value == "auto" else _texts(value, at)),
        "contenders": ("contenders", _texts),
        "budget": ("budget", parse_budget),
        "overlong": ("overlong", _overlong),
        "tolerance": ("tolerance", lambda value, at: _number(value, at, least=0)),
        "limits": ("limits", _limits),
        "prices": ("prices", _prices),
        "traffic": ("traffic", lambda value, at: _amounts(value, at, TRAFFIC, "{requests_per_month: 100000}")),
        "costs": ("costs", lambda value, at: _amounts(value, at, COSTS, "{usd_per_label: 0.1}", ABOVE_ZERO)),
        "seed": ("seed", _seed),
    }
    for key, (field, read) in readers.items():
        if d.get(key) is not None:
            made[field] = read(d[key], f"{where}: {key}")
    return Task(**made)


def _overlong(value: object, where: str) -> Overlong:
    for known in get_args(Overlong):
        if value == known:
            return cast(Overlong, known)
    raise UnknownName("overlong", str(value), get_args(Overlong), where)


def _kind(value: object, where: str) -> Kind:
    for known in get_args(Kind):
        if value == known:
            return cast(Kind, known)
    raise UnknownName("kind", str(value), get_args(Kind), where)


def _name(value: object, where: str) -> str:
    name = _text(value, f"{where}: name")
    if not re.fullmatch(r"[\w][\w .+-]*", name):
        raise TaskError(
            f"{where}: name is {name!r}, and folders are called by it. Use letters, digits, spaces, - . and _."
        )
    return name


def _sources(value: object, where: str) -> Sources:
    if isinstance(value, str):
        return Sources(value)
    if not isinstance(value, Mapping):
        _wrong(value, where, "a path, or a mapping such as {train: train.jsonl, test: test.jsonl}")
    _known(value, [field.name for field in fields(Sources)], where)
    if not value.get("train"):
        raise TaskError(f"{where} lacks 'train', the file to learn from.")
    return Sources(**{key: _text(entry, f"{where}: {key}") for key, entry in value.items() if entry is not None})


def _columns(value: object, where: str) -> Columns:
    if not isinstance(value, Mapping):
        _wrong(value, where, "a mapping such as {input: text, target: label}")
    _known(value, [field.name for field in fields(Columns)], where)
    flags = _texts(value["flags"], f"{where}: flags") if value.get("flags") else ()
    for key in ("input", "target"):
        if not value.get(key) and not (key == "target" and flags):
            raise TaskError(f"{where} lacks {key!r}. Write for example columns: {{input: text, target: label}}.")
    single = {key: entry for key, entry in value.items() if key not in ("input", "flags") and entry is not None}
    rest = {"target": "", **{key: _text(entry, f"{where}: {key}") for key, entry in single.items()}}
    return Columns(input=_texts(value["input"], f"{where}: input"), flags=flags, **rest)


def _limits(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        _wrong(value, where, "a mapping such as {latency_ms_p95: 200}")
    _known(value, LIMITS, where)
    if not isinstance(value.get("private", False), bool):
        _wrong(value["private"], f"{where}: private", "true or false")
    if value.get("skill", "some") not in SKILLS:
        raise UnknownName("skill", str(value["skill"]), SKILLS, where)
    read = {key: entry for key, entry in value.items() if entry is not None}
    return {key: entry if key in ("private", "skill") else _limit(key, entry, where) for key, entry in read.items()}


def _prices(value: object, where: str) -> dict[str, dict[str, float]]:
    if not isinstance(value, Mapping):
        _wrong(value, where, "a mapping such as {openai:my-model: {in: 0.40, out: 1.60}}")
    return {_text(name, where): _one_price(price, f"{where}: {name}") for name, price in value.items()}


def _one_price(value: object, where: str) -> dict[str, float]:
    if not isinstance(value, Mapping) or not {"in", "out"} <= set(value):
        _wrong(value, where, "USD for a million tokens read and written, such as {in: 0.40, out: 1.60}")
    _known(value, PRICE, where)
    return {key: _number(entry, f"{where}: {key}", least=0) for key, entry in value.items()}


def _limit(key: str, value: object, where: str) -> float:
    """A limit as a number; the floor of a metric may be anything, all others are above 0."""
    return _number(value, f"{where}: {key}", above=None if key == "quality" else 0)


def _amounts(
    value: object, where: str, known: Sequence[str], example: str, above_zero: Sequence[str] = ()
) -> dict[str, Any]:
    """Numbers from 0 on by name; shares are at most 1, and some may not be 0."""
    if not isinstance(value, Mapping):
        _wrong(value, where, f"a mapping such as {example}")
    _known(value, known, where)
    found = {key: _number(entry, f"{where}: {key}", least=0) for key, entry in value.items() if entry is not None}
    for key, number in found.items():
        if key in SHARES and number > 1:
            _wrong(number, f"{where}: {key}", "a share, from 0 to 1")
        if key in above_zero and not number:
            _wrong(number, f"{where}: {key}", "above 0")
    return found


def _seed(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        _wrong(value, where, "a whole number from 0 on")
    return value


def _labels(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        _wrong(value, where, "a list such as [billing, bugs]")
    labels = tuple(_label(entry, where) for entry in value)
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise TaskError(f"{where}: {twice[0]!r} stands there twice. Take one out.")
    return labels


def _label(value: object, where: str) -> str:
    """A label as text: numbers and truth values as JSON writes them, which is also what the rows of a file give."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | str) and str(value).strip():
        return str(value).strip()
    return _wrong(value, where, 'a text; put quotes around a label such as "1.10"')


def _texts(value: object, where: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_text(value, where),)
    if not isinstance(value, Sequence):
        _wrong(value, where, "a name or a list of names")
    return tuple(_text(entry, where) for entry in value)


def _text(value: object, where: str) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        _wrong(value, where, "a text")
    return value


def _is_number(value: object) -> bool:
    try:
        return not isinstance(value, bool) and math.isfinite(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False


def _number(value: Any, where: str, above: float | None = None, least: float | None = None) -> float:
    if not _is_number(value):
        _wrong(value, where, "a number")
    number = float(value)
    if (above is not None and number <= above) or (least is not None and number < least):
        _wrong(value, where, f"above {above:g}" if above is not None else f"at least {least:g}")
    return number


def _known(d: Mapping[str, Any], keys: Any, where: str) -> None:
    for key in d:
        if key not in keys:
            raise UnknownName("field", str(key), keys, where)


def _wrong(value: object, where: str, wanted: str) -> NoReturn:
    raise TaskError(f"{where} is {value!r:.80} and must be {wanted}.")


# YAML


def _yaml(text: str, where: str) -> dict[str, Any]:
    try:
        found = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise TaskError(
            f"The task file {where}{place} is not valid YAML: {problem}. Put quotes around a text that holds ':"
            " ' or begins"
            " with one of @ ` [ { * & ! % #."
        ) from error
    if not isinstance(found, dict):
        raise TaskError(f"The task file {where} must hold fields such as `kind: classification`, not {found!r:.60}.")
    return found


class _Loader(yaml.SafeLoader):
    """Scalars as in YAML 1.2, and no key twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} stands there twice", node.value[position][0].start_mark
                )
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes a text that this or another YAML reader would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_SCALARS = (
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:yaml.org,2002:int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("tag:yaml.org,2002:float", r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", "~nN\0"),
)
_Loader.yaml_implicit_resolvers = {}
_Dumper.yaml_implicit_resolvers = {
    first: list(found) for first, found in yaml.SafeDumper.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in _SCALARS:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), ["" if c == "\0" else c for c in _first])
