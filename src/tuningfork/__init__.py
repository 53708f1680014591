"""tuningfork: prompt the model, or fine-tune it? Race both on your own examples and say which, with honest statistics.

    import tuningfork
    run = tuningfork.compare("task.yaml", budget="light")
    run.verdict, run.leaderboard(), run.recommended.predict(["..."])

The names below are the public surface, a list that someone chose. Each is fetched when first asked for, so that
`import tuningfork` loads neither numpy nor torch. Everything else may be imported from its own file, and may change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import compare
    from .candidate import Candidate, Constant, Function, Prediction, Single
    from .data.taskfile import load_task, write_task
    from .decide import Verdict
    from .errors import (
        BudgetSpent,
        DataError,
        MethodError,
        ModelError,
        TaskError,
        TuningforkError,
        UnknownName,
        UserError,
    )
    from .log import RunLog
    from .method import Bench, Method, chain
    from .methods import open_method
    from .metrics import Metric, open_metric
    from .model import Model
    from .models import open_model
    from .models.fake import FakeModel
    from .probes import Probe
    from .runs import Run, Trial
    from .task import Budget, Columns, Example, Message, Prompt, Sources, Split, Task

_WHERE = {
    "Bench": "method",
    "Budget": "task",
    "BudgetSpent": "errors",
    "Candidate": "candidate",
    "Columns": "task",
    "Constant": "candidate",
    "DataError": "errors",
    "Example": "task",
    "FakeModel": "models.fake",
    "Function": "candidate",
    "Message": "task",
    "Method": "method",
    "MethodError": "errors",
    "Metric": "metrics",
    "Model": "model",
    "ModelError": "errors",
    "Prediction": "candidate",
    "Probe": "probes",
    "Prompt": "task",
    "Run": "runs",
    "RunLog": "log",
    "Single": "candidate",
    "Sources": "task",
    "Split": "task",
    "Task": "task",
    "TaskError": "errors",
    "Trial": "runs",
    "TuningforkError": "errors",
    "UnknownName": "errors",
    "UserError": "errors",
    "Verdict": "decide",
    "chain": "method",
    "compare": "api",
    "load_task": "data.taskfile",
    "open_method": "methods",
    "open_metric": "metrics",
    "open_model": "models",
    "write_task": "data.taskfile",
}

__version__ = "0.1.0"
__all__ = [
    "Bench",
    "Budget",
    "BudgetSpent",
    "Candidate",
    "Columns",
    "Constant",
    "DataError",
    "Example",
    "FakeModel",
    "Function",
    "Message",
    "Method",
    "MethodError",
    "Metric",
    "Model",
    "ModelError",
    "Prediction",
    "Probe",
    "Prompt",
    "Run",
    "RunLog",
    "Single",
    "Sources",
    "Split",
    "Task",
    "TaskError",
    "Trial",
    "TuningforkError",
    "UnknownName",
    "UserError",
    "Verdict",
    "chain",
    "compare",
    "load_task",
    "open_method",
    "open_metric",
    "open_model",
    "write_task",
]


def __getattr__(name: str) -> Any:
    """Fetch a public name from its file, once."""
    if name not in _WHERE:
        raise AttributeError(f"module 'tuningfork' has no attribute {name!r}")
    value = getattr(import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
