"""The instruction alone: what a model can do before it has seen one example.

Where there are labels and the model gives log-probabilities, the labels are scored; else the model writes its answer
and it is read. Every other prompting method starts from the same candidate, through `asking`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..candidate import Candidate, Decoding, Nearest, Shot, Single
from ..errors import MethodError
from ..method import Bench, Family, Need, single
from ..model import Capability
from ..predict.prompt import default_template
from ..task import Kind


@dataclass(frozen=True)
class ZeroShot:
    """Asks with the instruction alone."""

    name: ClassVar[str] = "zero_shot"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "multilabel", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        return asking(single(start, self.name), bench)


def asking(start: Single, bench: Bench, shots: tuple[Shot, ...] | Nearest = ()) -> Single:
    """The start as a candidate that asks its model, with these demonstrations. Its adapter stays; a calibration or a
    head belonged to another prompt and goes. Raises MethodError when the model can't answer a prompt."""
    able = bench.models[start.model].capabilities
    if not able & ({"score", "generate"} if start.labels else {"generate"}):
        raise MethodError(f"{start.model} can't answer a prompt: it can {', '.join(sorted(able)) or 'nothing'}.")
    return replace(
        start,
        prompt=start.prompt or default_template(bench.task),
        shots=shots,
        head=None,
        calibration=None,
        decoding=_room(start, bench),
        answer_by="score" if start.labels and "score" in able else "generate",
    )


def _room(start: Single, bench: Bench) -> Decoding:
    """Room for the longest answer known, at a careful 2.5 characters a token, where nothing else was said."""
    if start.decoding != Decoding():
        return start.decoding
    longest = max((len(text) for text in (*start.words, *(e.answer for e in bench.train))), default=0)
    return Decoding(max_tokens=min(512, max(16, int(longest / 2.5) + 16)))
