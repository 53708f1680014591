"""Prompts bred by trial: an evolutionary search over wordings and demonstrations, without a model to write them.

For models too small to reflect on their prompts. After CAPO (Zehle et al., AutoML 2025, arXiv 2504.16005): instruction
and demonstrations are the genes; a generation's children are crossed from the best so far and changed in one place; all
race on the same examples, and longer prompts bear a small penalty. Here wordings come from a bank (`wordings`),
demonstrations are balanced draws (`draws`), and the race is sequential halving. A child takes the champion's place only
where it is better beyond noise. First a handful of prompts must show that there is something to gain (`headroom`). It
breeds until its share is used, or some generations brought nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar

from ..candidate import Candidate, Single
from ..method import Bench, Family, Need, single
from ..model import Capability
from ..task import Kind
from .breeding import Genes, children_of, first, parents_of
from .choosing import choose
from .draws import Size, draw, example_shot, length, sizes
from .headroom import headroom
from .wordings import PLAIN, in_words_of, parts_for, sparing_read, worded
from .zero_shot import asking

PART = 0.35
"""Of what is left of the share, for a generation."""


@dataclass(frozen=True)
class PromptSearch:
    """Breeds prompts from a bank of wordings and draws of demonstrations, racing them until its share is used."""

    children: int = 7
    patience: int = 3
    penalty: float = 0.03
    most: int = 32
    texts: int = 8
    characters: int = 6000

    name: ClassVar[str] = "prompt_search"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        if isinstance(bench.mine, Single) and bench.mine.prompt:
            return in_words_of(asking(one, bench, bench.mine.shots), bench.mine)  # found on an earlier rung
        asked = asking(one, bench, one.shots)
        random = Random(f"prompt_search {bench.seed}")
        allowed = self._sizes(one, bench)
        genes = [Genes(), *first(bench, allowed)]
        asks = sparing_read(bench)
        choice, more = headroom(self.name, asks, asked, [self._prompt(asked, bench, each) for each in genes[1:]])
        if not more:
            return asked
        best, waited, born, seen = choice.best, 0, len(choice.asked), set(genes)
        while waited < self.patience:
            parents = parents_of(choice, genes)
            children = children_of(random, parents, seen, allowed, parts_for(bench.task), self.children)
            seen.update(children)
            prompts = [self._prompt(asked, bench, each) for each in children]
            found = choose(asks, [best, *prompts], PART, incumbent=True, penalty=self.penalty)
            if not found.asked:
                break  # the share is used up
            waited = waited + 1 if found.best == best else 0
            born += len(found.asked) - 1
            choice, genes, best = found, [parents[0], *children], found.best
        bench.note("prompt_search.prompts", born)
        bench.note("prompt_search.chosen_on", choice.items)
        return best

    def _sizes(self, one: Single, bench: Bench) -> list[Size]:
        """Draws to breed from; none where demonstrations are picked for each input, or no example is short enough."""
        short = any(length(example_shot(one, example)) <= self.characters for example in bench.train)
        return sizes(one, bench, self.most, self.texts) if short and isinstance(one.shots, tuple) else []

    def _prompt(self, asked: Single, bench: Bench, genes: Genes) -> Single:
        prompt = asked
        if genes.size:
            each, labels = genes.size
            seed = f"prompt_search {bench.seed} {genes.number}"
            prompt = replace(prompt, shots=draw(asked, bench, seed, each, self.characters, labels))
        return worded(prompt, bench, genes.wording) if genes.wording != PLAIN else prompt
