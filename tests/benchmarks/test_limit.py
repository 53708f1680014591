"""What the limit is counted from, on examples small enough to count by hand."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def limit(script: Any) -> ModuleType:
    found: ModuleType = script("limit")
    return found


@pytest.fixture
def shape(limit: ModuleType) -> Any:
    return limit.Shape(weights=1000, layers=2, hidden=8, queries=8, keys=4, vocabulary=50, bytes=2)


def test_shared_tokens_count_once(limit: ModuleType) -> None:
    # 1 2 3 is shared; 4 and 5 6 are the prompts' own. One-token choices are asked for and never read.
    phase = limit.of_scoring([[1, 2, 3, 4], [1, 2, 3, 5, 6]], [[[7], [8]], [[7], [8]]])
    assert phase.tokens == 6
    assert phase.attended == 1 + 2 + 3 + 4 + 4 + 5
    assert phase.rows == 2


def test_choices_are_a_trie_of_their_inner_tokens(limit: ModuleType) -> None:
    # After the prompt: 7 8 9, 7 8 5 and 6. Inner nodes are 7 and 7 8; asked after the prompt, after 7 and after 7 8.
    phase = limit.of_scoring([[1, 2]], [[[7, 8, 9], [7, 8, 5], [6]]])
    assert phase.tokens == 2 + 2
    assert phase.attended == 1 + 2 + 3 + 4
    assert phase.rows == 3


def test_equal_prompts_are_one(limit: ModuleType) -> None:
    choices = [[[7, 8], [9]]]
    assert limit.of_scoring([[1, 2]] * 3, choices * 3) == limit.of_scoring([[1, 2]], choices)


@pytest.mark.parametrize("seed", range(20))
def test_the_tree_has_a_node_for_each_distinct_beginning(limit: ModuleType, seed: int) -> None:
    dice = random.Random(seed)
    prompts = [[dice.randrange(3) for _ in range(dice.randint(1, 6))] for _ in range(dice.randint(1, 8))]
    beginnings = {tuple(prompt[:n]) for prompt in prompts for n in range(1, len(prompt) + 1)}
    phase = limit.of_scoring(prompts, [[[9]]] * len(prompts))
    assert phase.tokens == len(beginnings)
    assert phase.attended == sum(map(len, beginnings))
    assert phase.rows == len({tuple(prompt) for prompt in prompts})


def test_writing_reads_weights_once_a_step_and_shared_keys_once(limit: ModuleType) -> None:
    # Answers of 3 and 1 tokens after 1 2 3 and 1 2 4: reading gives each its first token, so two steps are left, both
    # for the first prompt alone. Step by step it attends to 3 + 1, then 3 + 2 tokens.
    read, write = limit.of_writing([[1, 2, 3], [1, 2, 4]], [3, 1])
    assert (read.tokens, read.attended, read.rows) == (4, 1 + 2 + 3 + 3, 2)
    assert (write.tokens, write.rows, write.reads) == (2, 2, 2)
    assert write.attended == (3 + 1) + (3 + 2)
    assert write.cached == (3 + 1) + (3 + 2)


def test_rows_that_write_together_read_their_common_keys_once(limit: ModuleType) -> None:
    # Two steps for one row, one for the other: 1 2 is read twice, 3 twice, 4 once, own tokens 1 + 2 and 1.
    _, write = limit.of_writing([[1, 2, 3], [1, 2, 4]], [3, 2])
    assert write.cached == 2 * 2 + 2 + 1 + (1 + 2) + 1
    assert write.attended == (3 + 1) + (3 + 2) + (3 + 1)


def test_nothing_written_costs_no_step(limit: ModuleType) -> None:
    _, write = limit.of_writing([[1, 2]], [0])
    assert (write.tokens, write.reads, write.cached, write.attended) == (0, 0, 0, 0)


def test_an_encoder_reads_each_text_once_and_all_of_it_at_every_token(limit: ModuleType) -> None:
    phase = limit.of_embedding([[1, 2, 3], [4, 5], [1, 2, 3]])
    assert (phase.tokens, phase.attended, phase.rows) == (5, 9 + 4, 0)


def test_operations_and_bytes(limit: ModuleType, shape: Any) -> None:
    phase = limit.Phase("read", tokens=10, attended=55, rows=3, reads=2, cached=7)
    assert phase.flops(shape) == 2 * 1000 * 10 + 2 * 8 * 50 * 3 + 4 * 8 * 2 * 55
    assert phase.bytes(shape) == 2 * ((1000 + 8 * 50) * 2 + 2 * 4 * 2 * 7)


def test_the_output_layer_is_not_read_where_nothing_is_asked(limit: ModuleType, shape: Any) -> None:
    assert limit.Phase("read", tokens=1, attended=1, rows=0).bytes(shape) == 2 * 1000


def test_the_limit_is_the_larger_of_the_two_in_each_phase(limit: ModuleType, shape: Any) -> None:
    many = limit.Phase("read", tokens=1000, attended=0, rows=0)
    few = limit.Phase("write", tokens=1, attended=0, rows=0, reads=1000)
    rates = limit.Rates({"bf16": 1.0}, 1.0)
    by_rate, by_memory = 2 * 1000 * 1000 / 1e9, 1000 * 1000 * 2 / 2**30
    assert limit.limit_seconds(shape, [many, few], rates, "bfloat16") == pytest.approx(by_rate + by_memory)
    assert [phase["bound_by"] for phase in limit.shown(shape, [many, few], rates, "bfloat16")] == [
        "matrix rate",
        "bandwidth",
    ]


def test_the_highest_rate_counts(limit: ModuleType) -> None:
    best = limit.Rates({"bf16": 1.0, "fp32": 4.0}, 2.0).best(limit.Rates({"bf16": 3.0}, 1.0))
    assert best == limit.Rates({"bf16": 3.0, "fp32": 4.0}, 2.0)


def test_shape_counts_no_embeddings(limit: ModuleType, tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    config = {"hidden_size": 8, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 1}
    (tmp_path / "config.json").write_text(json.dumps({**config, "vocab_size": 50}))
    weights = {
        "model.embed_tokens.weight": np.zeros((50, 8), np.float32),
        "model.layers.0.self_attn.q_proj.weight": np.zeros((8, 8), np.float32),
        "lm_head.weight": np.zeros((50, 8), np.float32),
        "pooler.dense.weight": np.zeros((8, 8), np.float32),
    }
    save_file(weights, tmp_path / "model.safetensors")
    assert limit.shape_of(tmp_path, "bfloat16") == limit.Shape(64, 1, 8, 8, 4, 50, 2)
