"""What prompts begin with, as a tree: each beginning that several share is a node, encoded once for all of them.

Prompts share their instruction, few-shot prompts their demonstrations, prompts with demonstrations picked for each
input whatever prefix their picks have in common; so beginnings nest. They are found on token ids, so that sharing never
changes a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

WORTH = 64
"""A node costs a few steps of its own in every layer: it must save at least so many tokens."""


@dataclass(eq=False)
class Node:
    """Tokens that several prompts have in common, after those of its parents; `begin` tokens stand before them."""

    ids: list[int]
    begin: int
    parent: Node | None

    @property
    def end(self) -> int:
        """How many tokens a prompt that follows this node has behind it."""
        return self.begin + len(self.ids)

    def line(self) -> list[Node]:
        """The node's ancestors, outermost first, and the node."""
        return [*(self.parent.line() if self.parent else ()), self]


def grow(prompts: Sequence[Sequence[int]]) -> list[tuple[int, Node | None]]:
    """For each prompt its index and the node it follows, if any. Prompts of one node stand together, the shorter first,
    and so do those of all its children. At least one token stays each prompt's own."""
    order = sorted(range(len(prompts)), key=lambda i: list(prompts[i]))
    near = [0] + [_common(prompts[a], prompts[b]) for a, b in pairwise(order)]
    leaves: list[tuple[int, Node | None]] = []
    stack: list[tuple[int, int, Node | None]] = [(0, len(order), None)]
    while stack:
        low, high, parent = stack.pop()
        if high - low == 1:
            leaves.append((order[low], parent))
        if high - low <= 1:
            continue
        level = min(near[low + 1 : high])
        begin = parent.end if parent else 0
        end = min(level, min(len(prompts[i]) for i in order[low:high]) - 1)
        node = parent
        if (high - low - 1) * (end - begin) >= WORTH:
            node = Node(list(prompts[order[low]][begin:end]), begin, parent)
        cuts = [low, *(i for i in range(low + 1, high) if near[i] <= level), high]
        groups = list(pairwise(cuts))
        alone = sorted((a for a, b in groups if b - a == 1), key=lambda a: (len(prompts[order[a]]), order[a]))
        leaves += [(order[a], node) for a in alone]
        stack += [(a, b, node) for a, b in reversed(groups) if b - a > 1]
    return leaves


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common beginning; by halving, since comparing slices is fast and comparing tokens is not."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
