"""All that decides behaviour, as data.

A Candidate is what methods make, `predict` runs, the log records and a user ships. It holds no code and no live model:
models are named, what is large is a blob. Nobody may ask which method made a candidate; ask what parts it has.
"""

from .data import blobs_of, changed_parts, constraint_of, from_dict, identity, labels_of, models_of, parts_of, to_dict
from .parts import (
    AnswerBy,
    Calibration,
    Candidate,
    Cascade,
    Constant,
    Decoding,
    FindBy,
    Function,
    Guarantee,
    Head,
    Nearest,
    Passages,
    Prediction,
    Shot,
    Single,
    Stage,
    Steps,
    Template,
    Vote,
)

__all__ = [
    "AnswerBy",
    "Calibration",
    "Candidate",
    "Cascade",
    "Constant",
    "Decoding",
    "FindBy",
    "Function",
    "Guarantee",
    "Head",
    "Nearest",
    "Passages",
    "Prediction",
    "Shot",
    "Single",
    "Stage",
    "Steps",
    "Template",
    "Vote",
    "blobs_of",
    "changed_parts",
    "constraint_of",
    "from_dict",
    "identity",
    "labels_of",
    "models_of",
    "parts_of",
    "to_dict",
]
