"""Templates become prompts: `{{column}}` places filled with an example's inputs, demonstrations laid between.

The one renderer of the project: the race, `predict`, tuning methods and exports all make their prompts here, so that
what was trained is what is asked. Filling is one pass over the template: braces inside a user's data are data and are
never filled again. No other template language is spoken: no conditions, no loops.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..candidate import Shot, Single, Template
from ..errors import UnknownName
from ..task import Inputs, Message, Prompt, Task, plain_text

ASKED_LABEL = "asked label"
"""The place in a template that holds the label which is asked about, where each is asked about by itself."""
PLACE = re.compile(r"\{\{\s*(.+?)\s*\}\}")
PASSAGES = "passages"
"""The place that is filled with what was found in the user's documents, where a candidate looks there."""


def columns_of(template: Template) -> tuple[str, ...]:
    """The columns that a template names, each once, in order of first use."""
    found = (name for message in template.messages for name in PLACE.findall(plain_text(message.content)))
    return tuple(dict.fromkeys(found))


def check_columns(template: Template, columns: Iterable[str], where: str) -> None:
    """Raises UnknownName, with did-you-mean, for the first place that is no column. `where` is the template's file."""
    known = tuple(columns)
    for name in columns_of(template):
        if name not in known:
            raise UnknownName("column", name, known, where)


def words_of(labels: Sequence[str]) -> tuple[str, ...]:
    """What a model says for each label: underscores read as spaces, unless that would make two labels one."""
    words = tuple(label.replace("_", " ") for label in labels)
    return words if len(set(words)) == len(labels) else tuple(labels)


def default_template(task: Task) -> Template:
    """The plain prompt of a task: its instruction (and the labels to choose from) to the system, the inputs as user."""
    if task.kind == "classification":
        choices = ", ".join(words_of(task.labels))
        system = f"{task.instruction or 'Classify the text.'}\nAnswer with exactly one of: {choices}."
    else:
        system = task.instruction or "Write the answer that belongs to the text."
    columns = task.columns.input
    if task.kind == "multilabel":
        system = f"{task.instruction or 'Say which labels apply to the text.'}\nAnswer with exactly one of: yes, no."
    user = "{{%s}}" % columns[0] if len(columns) == 1 else "\n".join("%s: {{%s}}" % (c, c) for c in columns)  # noqa: UP031
    if task.kind == "multilabel":
        user += '\n\nDoes the label "{{%s}}" apply? Answer yes or no.' % ASKED_LABEL  # noqa: UP031
    return Template((Message("system", system), Message("user", user)))


def plain_input(inputs: Inputs) -> str:
    """The inputs as one text, for encoders: the one column's text, or a `name: text` line for each of several."""
    if len(inputs) == 1:
        return plain_text(next(iter(inputs.values())))
    return "\n".join(f"{name}: {plain_text(content)}" for name, content in inputs.items())


def shot_of(inputs: Inputs, answer: str) -> Shot:
    """A demonstration: these inputs, answered like this."""
    return Shot(tuple((name, plain_text(content)) for name, content in inputs.items()), answer)


def render(template: Template, inputs: Inputs, shots: Sequence[Shot] = (), passages: str | None = None) -> Prompt:
    """The chat that asks about `inputs`: the leading messages, each demonstration as a user and an assistant turn, the
    user's turn. `shared` counts the leading messages that are the same whatever the inputs.

    `passages` fills `{{passages}}`. A demonstration has none, and nothing may be found: there the paragraph that holds
    the place is left out. Raises UnknownName when a place of the template is no column of the inputs.
    """
    *leading, turn = template.messages
    bare = turn if passages is None else _without_passages(turn)
    if passages is not None:
        leading = leading if passages else [_without_passages(message) for message in leading]
        turn, inputs = (turn if passages else bare), {**inputs, PASSAGES: passages}
    messages = [_filled(message, inputs)[0] for message in leading]
    for shot in shots:
        messages += [_filled(bare, dict(shot.inputs))[0], Message("assistant", shot.answer)]
    fixed = [not PLACE.search(plain_text(message.content)) for message in leading] + [True] * (2 * len(shots))
    shared = fixed.index(False) if False in fixed else len(fixed)
    asked, loose = _filled(turn, inputs)
    return Prompt((*messages, asked), shared, loose=loose)


def prompt_for(candidate: Single, inputs: Inputs, shots: Sequence[Shot] = (), passages: str | None = None) -> Prompt:
    """What `candidate` asks its model about `inputs`, shown these shots and passages; without a template, the plain
    input."""
    if candidate.prompt is None:
        text = plain_input(inputs)
        return Prompt((Message("user", text),), overlong=candidate.overlong, loose=(0, len(text)))
    return replace(render(candidate.prompt, inputs, shots, passages), overlong=candidate.overlong)


def _without_passages(message: Message) -> Message:
    """The message without the paragraph (else the line, else the place alone) that holds `{{passages}}`, so that every
    other place stays."""
    text = plain_text(message.content)
    others = [name for name in PLACE.findall(text) if name != PASSAGES]
    for between in ("\n\n", "\n"):
        kept = between.join(part for part in text.split(between) if PASSAGES not in PLACE.findall(part))
        if kept.strip() and PLACE.findall(kept) == others:
            return Message(message.role, kept)
    return Message(message.role, PLACE.sub(lambda place: "" if place.group(1) == PASSAGES else place.group(), text))


def _filled(message: Message, inputs: Inputs) -> tuple[Message, tuple[int, int]]:
    """The message with its places filled, and where in it the longest of these values stands."""
    text, at, longest = plain_text(message.content), 0, (0, 0)
    said = ""
    for place in PLACE.finditer(text):
        name = place.group(1)
        if name not in inputs:
            raise UnknownName("column", name, inputs, "the inputs, which the prompt asks for")
        said += text[at : place.start()]
        value = plain_text(inputs[name])
        if len(value) > longest[1] - longest[0]:
            longest = (len(said), len(said) + len(value))
        said, at = said + value, place.end()
    return Message(message.role, said + text[at:]), longest
