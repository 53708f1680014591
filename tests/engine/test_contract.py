"""The contract that every model keeps, kept by models with real weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma", "mistral", "mamba", "t5", "bart", "bert", "roberta"])
def test_contract(make, tmp_path, kind):
    spec = importlib.util.spec_from_file_location("contract", Path(__file__).parents[1] / "models" / "contract.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.check_model_contract(make.open(make.model(kind, tmp_path)))
