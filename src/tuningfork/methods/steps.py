"""Prompts in a row: each stage's answer is a column that the stages after it can name (prompt chaining, Wu et al. 2022,
arXiv 2110.01691).

Stages come from the user's file, a YAML or JSON list of entries with `name`, and `prompt` (a text) or `messages` (as in
a prompt file), and optionally `decoding`. Without a file there are two: say what matters, then answer. Every stage is
tuned in turn: its wordings are compared on hold while the others stay. Only the last stage wears the start's adapter:
weights that learnt to say the answer say it at any stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from ..candidate import Candidate, Decoding, Single, Stage, Steps, Template
from ..errors import TaskError
from ..method import Bench, Family, Need, single
from ..model import Capability
from ..predict.prompt import PASSAGES, check_columns, columns_of, words_of
from ..task import Kind, Message, Task, plain_text
from .contender import data_of, decoding_of, template_of
from .ensemble import wordings
from .zero_shot import asking

NOTE = "Say in a few words what in the text matters for that. Do not answer yet."


@dataclass(frozen=True)
class Ask:
    """A stage to be: its name, its prompt, and how it is written."""

    name: str
    prompt: Template
    decoding: Decoding


@dataclass(frozen=True)
class PromptSteps:
    """Asks in stages, each a prompt whose answer feeds the next: `steps(file=stages.yaml)`."""

    file: str = ""

    name: ClassVar[str] = "steps"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"generate"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        asks = read(Path(bench.task.folder) / self.file, bench.task) if self.file else usual(one, bench)
        if isinstance(bench.mine, Steps):  # chosen on an earlier rung
            return keeping(chained(one, bench, asks), bench.mine)
        for place in range(len(asks)):
            ways = [
                [*asks[:place], replace(asks[place], prompt=prompt), *asks[place + 1 :]]
                for prompt in wordings(asks[place].prompt)
            ]
            made: list[Candidate] = [chained(one, bench, way) for way in ways]
            asks = ways[made.index(bench.pick(made))]
        return chained(one, bench, asks)


def chained(one: Single, bench: Bench, asks: Sequence[Ask]) -> Steps:
    """These stages on the start's model; the last one answers."""
    *between, last = asks
    made = [
        replace(
            one,
            labels=(),
            words=(),
            prompt=ask.prompt,
            shots=(),
            adapter=None,
            head=None,
            calibration=None,
            decoding=ask.decoding,
            answer_by="generate",
            passages=one.passages if PASSAGES in columns_of(ask.prompt) else None,
        )
        for ask in between
    ]
    decoding = one.decoding if last.decoding == Decoding() else last.decoding
    made.append(asking(replace(one, prompt=last.prompt, decoding=decoding), bench))
    return Steps(tuple(Stage(ask.name, stage) for ask, stage in zip(asks, made, strict=True)))


def keeping(now: Steps, before: Steps) -> Steps:
    """The stages as they are now, with the prompts and demonstrations of an earlier rung."""
    parts = []
    for stage, old in zip(now.parts, before.parts, strict=True):
        new, kept = single(stage.candidate, stage.name), single(old.candidate, old.name)
        parts.append(replace(stage, candidate=replace(new, prompt=kept.prompt, shots=kept.shots)))
    return Steps(tuple(parts))


def usual(one: Single, bench: Bench) -> list[Ask]:
    """What matters first, then the answer."""
    name = free("notes", bench.task)
    return [
        Ask(name, said_first(bench.task, NOTE), Decoding(max_tokens=64)),
        Ask("answer", shown_too(one, bench, name, "What matters"), Decoding()),
    ]


def said_first(task: Task, what: str) -> Template:
    """A prompt that shows what is to be answered and asks for something else before it."""
    goal = task.instruction or "An answer to the text is wanted."
    choices = f"\nPossible answers: {', '.join(words_of(task.labels))}." if task.labels else ""
    columns = task.columns.input
    names = [f"{{{{{c}}}}}" if len(columns) == 1 else f"{c}: {{{{{c}}}}}" for c in columns]
    return Template((Message("system", f"{goal}{choices}\n{what}"), Message("user", "\n".join(names))))


def shown_too(one: Single, bench: Bench, column: str, title: str) -> Template:
    """The start's prompt, with what an earlier stage said under its last turn."""
    prompt = asking(one, bench).prompt
    assert prompt is not None
    *leading, turn = prompt.messages
    text = f"{plain_text(turn.content)}\n\n{title}: {{{{{column}}}}}"
    return Template((*leading, replace(turn, content=text)))


def free(name: str, task: Task) -> str:
    """A name for a stage that is no column of the task."""
    while name in task.columns.input:
        name += "_"
    return name


def read(path: Path, task: Task) -> list[Ask]:
    """The stages of a file. Raises TaskError or UnknownName, naming the stage: no such file, no prompt, a place that is
    neither a column nor an earlier stage."""
    if not path.is_file():
        raise TaskError(f"There is no file {path}, which `steps(file=...)` names, looked for beside the task file.")
    data = data_of(path)
    if not isinstance(data, list) or len(data) < 2:
        raise TaskError(f"{path} holds no stages. Write a list of two or more, each with `name` and `prompt`.")
    asks: list[Ask] = []
    for number, entry in enumerate(data, start=1):
        known = (*task.columns.input, *(ask.name for ask in asks))
        asks.append(_stage(entry, number, path, known))
    return asks


def _stage(entry: Any, number: int, path: Path, known: Sequence[str]) -> Ask:
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not name.strip() or name in known:
        raise TaskError(
            f"{path}, stage {number}: its name is {name!r}. Give each stage a name of its own that is no column."
        )
    where = f"{path}, stage {name!r}"
    text = entry.get("prompt")
    messages = [{"role": "user", "content": text}] if isinstance(text, str) else entry.get("messages", text)
    prompt = template_of(messages, where)
    check_columns(prompt, known, where)
    return Ask(name, prompt, decoding_of(entry, where))
