"""What a model unlearnt while it was tuned: how much worse it reads plain text, and whether it still says the same of
questions that have nothing to do with the task.

The texts and questions below were written for this project, so no model was trained on them. Cross-entropy a token
rises by about 0.05 nats where a tuning was mild, and by 0.2 where it was heavy. An encoder writes nothing: of it the
mean cosine between its vectors before and after is measured. Only candidates with an adapter are: others forgot
nothing. Of several adapters the worst value of each kind counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..candidate import Candidate, Single, parts_of
from ..metrics import Metric
from ..model import EmbedRequest, Model, ScoreRequest, Scores, Vector
from ..predict.run import adapted
from ..predict.shots import model_of
from ..task import Example, Message, Prompt

TEXTS = (
    "The ferry leaves the harbour a little after seven. In summer most of its passengers carry bicycles, in "
    "winter it takes the post and a few people who work on the mainland. The crossing is short, but the captain "
    "knows almost everyone by name.",
    "A good loaf needs four things: flour, water, salt and time. Whoever hurries the dough gets a flat bread with"
    " a pale crust. Left overnight in a cool room, the same dough rises slowly and tastes of more than it is made"
    " of.",
    "The library was built between two rivers. Every few decades one of them comes over its banks, so the oldest "
    "books stand on the upper floor and the newspapers, which can be replaced, on the ground floor.",
    "To mend a puncture, take the wheel out, lift one side of the tyre over the rim and pull the tube free. Pump "
    "it up and listen. Where air comes out, dry the rubber, roughen it, and press a patch on firmly.",
    "Clouds form when moist air rises and cools. Water gathers on grains of dust, and the drops grow until the "
    "wind can no longer hold them. Over mountains this happens often, which is why one slope is green and the "
    "other dry.",
    "The council met on Tuesday to talk about the old bridge. Two engineers explained that the piers are sound "
    "while the road on top is not. A vote was put off until the cost of both plans is known.",
    "She learned the violin late, at the age of thirty, from a neighbour who had played in an orchestra. They "
    "practised on Sundays with the windows closed. After five years she played at his birthday, and nobody left "
    "the room.",
    "Sound travels faster in water than in air, and faster still in steel. Someone with an ear to the rail hears "
    "a train long before it can be seen, though it is not a wise way to find out.",
    "The shop on the corner sells screws by weight, lamps from three decades and advice for free. Its owner "
    "writes every sale into a green book. When the book is full he buys another and starts again at number one.",
    "In spring the storks come back to the village and repair what the storms have left of their nests. Children "
    "count them on the way to school. Some years there are nine pairs, some years only four.",
)
"""Neutral passages of about fifty words."""

QUESTIONS = (
    ("Which of these is an animal?", ("horse", "table", "cloud", "spoon")),
    ("Which of these can you eat?", ("stone", "apple", "window", "shoe")),
    ("What colour is the sky on a clear day?", ("red", "green", "blue", "brown")),
    ("How many days are in a week?", ("five", "six", "seven", "nine")),
    ("Which is the largest?", ("ant", "cat", "cow", "whale")),
    ("What do you use to write?", ("pen", "plate", "pillow", "bridge")),
    ("Which season is the coldest?", ("spring", "summer", "autumn", "winter")),
    ("What is the opposite of hot?", ("warm", "cold", "fast", "loud")),
    ("Where do fish live?", ("water", "trees", "sand", "clouds")),
    ("What is two plus three?", ("four", "five", "six", "eight")),
    ("Which one has wheels?", ("car", "river", "mountain", "letter")),
    ("What comes after Monday?", ("Sunday", "Friday", "Tuesday", "Saturday")),
    ("Who works in a hospital?", ("doctor", "farmer", "pilot", "baker")),
    ("What do bees make?", ("milk", "honey", "paper", "bread")),
    ("Which is a country?", ("France", "Paris", "Atlantic", "Everest")),
    ("What do you wear on your feet?", ("hat", "shoes", "gloves", "scarf")),
    ("Which is a musical instrument?", ("hammer", "piano", "ladder", "bucket")),
    ("What falls from the sky in winter?", ("snow", "sand", "leaves", "coins")),
    ("What do you read?", ("book", "chair", "cup", "door")),
    ("Which animal barks?", ("cat", "dog", "hen", "fish")),
)


@dataclass(frozen=True)
class Forgetting:
    """`nats_a_token`, how much the cross-entropy of neutral text rose, and `agreement` on unrelated questions; of an
    encoder `cosine`. Nothing for a candidate whose weights did not move."""

    name: ClassVar[str] = "forgetting"

    def __call__(
        self, candidate: Candidate, models: Mapping[str, Model], examples: Sequence[Example], metric: Metric
    ) -> Mapping[str, float]:
        """The task's own `examples` and `metric` play no part."""
        tuned = {
            (part.model, part.adapter.identity): part
            for part in parts_of(candidate)
            if isinstance(part, Single) and part.adapter
        }
        worst: dict[str, float] = {}
        for part in tuned.values():
            for name, value in _measured(part, models).items():
                worse = max if name == "nats_a_token" else min
                worst[name] = worse(value, worst.get(name, value))
        return worst


def _measured(tuned: Single, models: Mapping[str, Model]) -> dict[str, float]:
    """One model before and after its weights moved."""
    before, after = model_of(models, tuned.model), adapted(tuned, models)
    if "score" not in before.capabilities:
        return {"cosine": _cosine(before, after)} if "embed" in before.capabilities else {}
    base, now = _read(before), _read(after)
    return {
        "nats_a_token": _nats_a_token(now[0]) - _nats_a_token(base[0]),
        "agreement": sum(a == b for a, b in zip(base[1], now[1], strict=True)) / len(QUESTIONS),
    }


def _read(model: Model) -> tuple[list[Scores], list[int]]:
    """How likely the texts are, and which answer to each question is likeliest."""
    texts = [ScoreRequest(_asked("Write a short text."), (text,)) for text in TEXTS]
    questions = [ScoreRequest(_asked(question), choices) for question, choices in QUESTIONS]
    found = [entry for entry in model.score([*texts, *questions]) if isinstance(entry, Scores)]
    if len(found) < len(texts) + len(questions):
        raise ValueError("some of the neutral texts could not be scored")
    told = found[len(texts) :]
    return found[: len(texts)], [max(range(len(s.nats)), key=s.nats.__getitem__) for s in told]


def _asked(text: str) -> Prompt:
    return Prompt((Message("user", text),))


def _nats_a_token(found: Sequence[Scores]) -> float:
    return -sum(entry.nats[0] for entry in found) / sum(entry.tokens[0] for entry in found)


def _cosine(before: Model, after: Model) -> float:
    """Mean cosine between the vectors of the texts before and after."""
    import numpy as np

    one, other = (
        [entry.values for entry in model.embed([EmbedRequest(text) for text in TEXTS]) if isinstance(entry, Vector)]
        for model in (before, after)
    )
    if len(one) < len(TEXTS) or len(other) < len(TEXTS):
        raise ValueError("some of the neutral texts could not be embedded")
    return float(np.mean(np.sum(np.stack(one) * np.stack(other), axis=1)))
