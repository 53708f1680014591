"""A model behind an API, behind the door that every model stands behind.

Requests of a call go out side by side and fail one by one; what holds for all of them (a bad key, a model that is not
there) is raised once. Every answer says what it cost, lost ones on the way to it included.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, TypeVar

from ...errors import ModelError
from ...model import (
    Adapter,
    Answer,
    Capability,
    EmbedRequest,
    Failure,
    GenerateRequest,
    Model,
    Recipe,
    ScoreRequest,
    Scores,
    Tuned,
    TuneItem,
    Usage,
    Vector,
)
from ...price import Price, Request
from ...task import Prompt
from . import scoring, texts
from .faults import Fault
from .forms import Forms
from .manner import LOOK_TOKENS, Manner, how_it_answers, look, notes_of
from .naming import Address
from .retry import Patience
from .side_by_side import side_by_side
from .wire import Json, OnPiece, Path, Wire
from .writing import answer_of, body_of, chat_messages, completion_text, usage_of

R = TypeVar("R", Scores, Answer, Vector)
HIDDEN_TOKENS = 2048
"""Room for a model that thinks before it writes."""


class EndpointModel:
    """A model at an address. It can `generate`; `score` where the server tells what is needed; or `embed`.

    `sample`: questions with their choices, of the kind that will be asked; it can `score` only if it scores them all.
    """

    def __init__(
        self,
        address: Address,
        price: Price,
        wire: Wire,
        patience: Patience,
        workers: int,
        sample: Sequence[ScoreRequest],
    ) -> None:
        """Asks the server one question (a few, where it refuses a setting). Raises ModelError where it can't answer."""
        self.id, self.address, self.price, self._workers = address.name, address, price, workers
        self._wire, self._patience = wire, patience
        self._lock = threading.Lock()
        self._forms = Forms()
        self._manner = self._look()
        hidden = HIDDEN_TOKENS if self._manner.hidden else 0
        self.price = replace(price, hidden=hidden, by_choice=self._manner.echoes)
        self._unscored = ""
        self._check_scoring(sample)

    @property
    def identity(self) -> str:
        """The address, the model's name there, and the name that the server gives to what answers."""
        a = self.address
        return sha256("\n".join((a.url, a.model, a.form, self._manner.served)).encode()).hexdigest()

    @property
    def url(self) -> str:
        """Where what is asked goes to."""
        return self.address.url

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the server showed that it can."""
        if self.address.form == "embed":
            return frozenset({"embed"})
        tells = self._manner.echoes or self._manner.top > 0
        return frozenset({"generate", "score"} if tells and not self._unscored else {"generate"})

    @property
    def opening(self) -> Usage:
        """What finding this out has cost."""
        return self._manner.usage

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user: what it costs, how it answers, what the server does not do."""
        price = self.price
        rates = f"{price.read:g} USD for a million tokens read and {price.write:g} written, {price.about}"
        cost = f"It costs {rates}." if price.read or price.write else f"It costs nothing ({price.about})."
        answers = "" if self.address.form == "embed" else self._how_it_answers()
        return tuple(note for note in (cost, answers, *notes_of(self._manner)) if note)

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores | Failure]:
        """Log-probabilities in nats of every choice, where the server tells them."""
        if not (self._manner.echoes or self._manner.top):
            raise ModelError(f"{self.id} can't score: {self._how_it_answers()}")
        one = self._echoed if self._manner.echoes else self._listed
        return self._all(requests, one)

    def generate(
        self, requests: Sequence[GenerateRequest], on_text: Callable[[int, str], None] | None = None
    ) -> list[Answer | Failure]:
        """Text. `on_text` is called by one thread at a time."""
        self._must("generate")

        def show(index: int, piece: str) -> None:
            assert on_text is not None
            with self._lock:
                on_text(index, piece)

        def one(request: GenerateRequest, index: int) -> Answer | Failure:
            streamed = on_text is not None and request.constraint is None
            answer = self._written(request, (lambda piece: show(index, piece)) if streamed else None)
            if on_text is not None and not streamed and isinstance(answer, Answer):
                show(index, answer.text)
            return answer

        return self._all(requests, one)

    def embed(self, requests: Sequence[EmbedRequest]) -> list[Vector | Failure]:
        """Float32 vectors."""
        self._must("embed")
        return self._all(requests, self._embedded)

    def tune(
        self, recipe: Recipe, items: Sequence[TuneItem], hold: Sequence[TuneItem], start: Adapter | None = None
    ) -> Tuned:
        """Raises ModelError: weights behind an API do not move."""
        raise ModelError(
            f"{self.id} can't tune: its weights are behind an API. Tune a local model, or prompt this one."
        )

    def adapted(self, adapter: Adapter) -> Model:
        """Raises ModelError: as `tune`."""
        raise ModelError(f"{self.id} can't wear an adapter: its weights are behind an API.")

    def close(self) -> None:
        """Ends all waiting and lets go of the connections."""
        self._patience.stop.set()
        self._wire.close()

    # One request

    def _written(self, request: GenerateRequest, on_piece: OnPiece | None) -> Answer | Failure:
        wrong = texts.writing_fault(request) or self._forms.fault(request.constraint)
        if wrong:
            return wrong
        complete = self.address.form == "complete"
        body = body_of(request, self._manner, self.price.hidden, complete)
        try:
            reply, usage = self._asked("completions" if complete else "chat", body, request, on_piece)
        except Fault as fault:
            if fault.kind == "refused":
                self._forms.count(request.constraint, kept=False)
            raise
        answer = answer_of(reply, request, usage)
        self._forms.count(request.constraint, kept=isinstance(answer, Answer))
        return answer

    def _listed(self, request: ScoreRequest, index: int) -> Scores | Failure:
        """From the likeliest first tokens. At temperature 1, because some servers divide by it before they tell."""
        wrong = texts.scoring_fault(request)
        if wrong:
            return wrong
        manner = self._manner
        settings = manner.settings(temperature=1, seed=0, logprobs=True, top_logprobs=manner.top)
        body = {"messages": chat_messages(request.prompt), manner.length: 1, **settings}
        reply, usage = self._asked("chat", body, request)
        nats = scoring.first_token(reply, request.choices)
        if isinstance(nats, Failure):
            return replace(nats, usage=usage)
        return Scores(nats, (1,) * len(nats), usage=usage)

    def _echoed(self, request: ScoreRequest, index: int) -> Scores | Failure:
        """From a text given back: prompt and choice, once for each choice."""
        wrong = texts.scoring_fault(request) or scoring.fault(request.choices)
        if wrong:
            return wrong
        prompt, usage, nats, tokens = completion_text(request.prompt), Usage(), [], []
        for choice in request.choices:
            body = {"prompt": f"{prompt} {choice}", "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1}
            reply, used = self._asked("completions", body, replace(request, choices=(choice,)))
            usage = usage + used
            found = scoring.echoed(reply["choices"][0], prompt, f" {choice}")
            if isinstance(found, Failure):
                return replace(found, usage=usage)
            nats.append(min(0.0, found[0]))
            tokens.append(found[1])
        return Scores(tuple(nats), tuple(tokens), usage=usage)

    def _embedded(self, request: EmbedRequest, index: int) -> Vector | Failure:
        import numpy as np

        text = texts.of_content(request.content)
        wrong = texts.text_fault(text)
        if request.layer != -1:
            wrong = Failure(
                "layer", f"{self.id} gives vectors of its last layer (-1) only, not of layer {request.layer}."
            )
        if wrong:
            return wrong
        reply, usage = self._asked("embeddings", {"input": text}, request)
        values = np.asarray(reply["data"][0]["embedding"], dtype=np.float32)
        length = float(np.linalg.norm(values))
        if not np.isfinite(values).all() or not length:
            return Failure("nan", "The server gave no vector of numbers for this text.", usage)
        return Vector(values / length if request.normalise else values, usage)

    def _asked(
        self, path: Path, body: Mapping[str, Any], request: Request, on_piece: OnPiece | None = None
    ) -> tuple[Json, Usage]:
        """The server's reply and what it cost, with what answers lost on the way may have cost. Raises Fault."""
        begin = time.perf_counter()
        reply, lost = self._patience.ask(lambda: self._wire.ask(path, body, on_piece))
        usage = usage_of(reply, request, time.perf_counter() - begin)
        return reply, replace(usage, usd=self.price.usd(usage) + lost * self.price.once_usd(request))

    def _all(self, requests: Sequence[Any], one: Callable[[Any, int], R | Failure]) -> list[R | Failure]:
        """Each request's own answer or failure. Raises ModelError once for what holds for all of them, with what those
        that were answered have cost."""
        paid: list[Usage] = []

        def ask(index: int) -> R | Failure:
            try:
                found = one(requests[index], index)
            except Fault as fault:
                lost = Usage(usd=fault.lost * self.price.once_usd(requests[index]))
                if fault.everyone:
                    paid.append(lost)
                    raise
                found = Failure(fault.kind, fault.message, lost)
            paid.append(found.usage)
            return found

        try:
            return side_by_side(ask, len(requests), self._workers, self._patience.stop.set)
        except Fault as fault:
            raise ModelError(self._wire.explained(fault), sum(paid, Usage())) from None
        finally:
            self._patience.stop.clear()

    # What it can

    def _look(self) -> Manner:
        used = Usage()

        def ask(path: Path, body: Mapping[str, Any]) -> Json:
            nonlocal used
            request = EmbedRequest("text") if path == "embeddings" else GenerateRequest(Prompt(()), LOOK_TOKENS)
            reply, usage = self._asked(path, body, request)
            used = used + usage
            return reply

        try:
            manner = look(self.address.form, ask)
        except Fault as fault:
            raise ModelError(f"{self.id} can't be opened. {self._wire.explained(fault)}") from None
        return replace(manner, usage=used)

    def _check_scoring(self, sample: Sequence[ScoreRequest]) -> None:
        """Whether it scores what will be asked. The first that it does not score decides."""
        if self.address.form != "chat" or not self._manner.top:
            return
        used = Usage()
        for found in self.score(sample):
            used = used + found.usage
            if isinstance(found, Failure) and not self._unscored:
                self._unscored = found.message
        self._manner = replace(self._manner, usage=self._manner.usage + used)

    def _how_it_answers(self) -> str:
        if self._unscored:
            return f"Answers are written and read, not scored. {self._unscored}"
        return how_it_answers(self._manner)

    def _must(self, capability: Capability) -> None:
        if capability not in self.capabilities:
            raise ModelError(f"{self.id} can't {capability}: it can {', '.join(sorted(self.capabilities))}.")
