"""Shared beginnings as a tree: nothing is lost, nothing is added, and rows of a node stand together."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st

from tuningfork.engine import tree

PIECES = st.lists(st.sampled_from([[1] * 40, [2] * 70, [3] * 5, [4], [5, 6]]), min_size=1, max_size=6)
PROMPTS = st.lists(PIECES.map(lambda pieces: [token for piece in pieces for token in piece]), max_size=12)


@settings(max_examples=200, deadline=None)
@given(PROMPTS)
def test_a_prompt_is_its_nodes_and_its_own_tokens(prompts):
    leaves = tree.grow(prompts)
    assert sorted(index for index, _ in leaves) == list(range(len(prompts)))
    for index, node in leaves:
        line = node.line() if node else []
        shared = [token for part in line for token in part.ids]
        assert prompts[index][: len(shared)] == shared and len(shared) < len(prompts[index])
        assert [part.begin for part in line] == [sum(len(p.ids) for p in line[:i]) for i in range(len(line))]


@settings(max_examples=200, deadline=None)
@given(PROMPTS)
def test_those_of_a_node_stand_together_and_it_is_worth_its_while(prompts):
    leaves = tree.grow(prompts)
    places: dict[tree.Node, list[int]] = {}
    for place, (_, node) in enumerate(leaves):
        for part in node.line() if node else ():
            places.setdefault(part, []).append(place)
    for node, at in places.items():
        assert at == list(range(at[0], at[-1] + 1))
        assert (len(at) - 1) * len(node.ids) >= tree.WORTH


def test_beginnings_nest():
    head, left, right = [1] * 100, [2] * 100, [3] * 100
    prompts = [head + left + [7], head + left + [8], head + right + [7], head + right + [8], [9]]
    leaves = dict(tree.grow(prompts))
    assert leaves[4] is None
    assert [part.ids for part in leaves[0].line()] == [head, left] and leaves[0] is leaves[1]
    assert [part.ids for part in leaves[3].line()] == [head, right] and leaves[2] is leaves[3]
    assert leaves[0].parent is leaves[3].parent


def test_prompts_that_extend_each_other_and_equal_ones():
    prompts = [[1] * 100, [1] * 100, [1] * 200, [1] * 300]
    leaves = dict(tree.grow(prompts))
    assert leaves[0].end == 99, "its last token stays its own"
    assert leaves[3].end in (99, 199)


def test_little_in_common_is_not_worth_a_node():
    assert [node for _, node in tree.grow([[1, 2, 3, 4], [1, 2, 3, 5]])] == [None, None]
    assert tree.grow([]) == []
