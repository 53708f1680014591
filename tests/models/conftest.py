"""Lends this room's tests the contract that every Model keeps."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def model_contract() -> Callable[..., None]:
    """`check_model_contract(model, tolerance=1e-3)` of contract.py, which lies beside this file."""
    spec = importlib.util.spec_from_file_location("model_contract", Path(__file__).with_name("contract.py"))
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    check: Callable[..., None] = module.check_model_contract
    return check
