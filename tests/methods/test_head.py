"""What `head` fits."""

from __future__ import annotations

import warnings

import numpy as np

from tuningfork.methods.head import _fit


def test_few_examples_of_many_labels_are_fitted_without_a_warning() -> None:
    features = np.random.default_rng(0).normal(size=(30, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = _fit(features, np.arange(30) % 20, 1.0)
    assert len(fitted.classes_) == 20
