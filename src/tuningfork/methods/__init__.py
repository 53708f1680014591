"""One file a method, and the menu of them.

A name is one method (`few_shot`), several in a row (`few_shot+calibrate`), or an outsider's: one that a package brings
through the entry point group `tuningfork.methods`, or `module:attribute` (a Method, or a class whose instance is one).
Settings stand in brackets: `lora(rank=16, dora=true)`. Methods hold no torch and know no race: they take a candidate
and a bench and return a better candidate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from ..errors import TaskError, UnknownName
from ..method import Family, Method, Need, WithSettings, chain
from ..model import Capability
from ..spec import fits, parse
from ..task import Task
from .contender import open_contender

__all__ = ["MENU", "MethodInfo", "auto", "menu", "open_contender", "open_method"]

MENU = {
    "majority": "majority:Majority",
    "label_similarity": "label_similarity:LabelSimilarity",
    "zero_shot": "zero_shot:ZeroShot",
    "one_shot": "one_shot:OneShot",
    "few_shot": "few_shot:FewShot",
    "many_shot": "many_shot:ManyShot",
    "nearest_shots": "nearest_shots:NearestShots",
    "retrieve": "retrieve:Retrieve",
    "instructions": "instructions:Instructions",
    "calibrate": "calibrate:Calibrate",
    "prompt_search": "prompt_search:PromptSearch",
    "reflect": "reflect:Reflect",
    "ensemble": "ensemble:Ensemble",
    "self_consistency": "self_consistency:SelfConsistency",
    "steps": "steps:PromptSteps",
    "reasoning": "reasoning:Reasoning",
    "reasoning_shots": "reasoning_shots:ReasoningShots",
    "head": "head:FitHead",
    "lora": "lora:Lora",
    "full": "full:Full",
    "last_layers": "last_layers:LastLayers",
    "ia3": "ia3:Ia3",
    "bottleneck": "bottleneck:Bottleneck",
    "bias": "bias:Bias",
    "prompt_tuning": "prompt_tuning:PromptTuning",
    "p_tuning": "p_tuning:PTuning",
    "prefix_tuning": "prefix_tuning:PrefixTuning",
    "contrastive": "contrastive:Contrastive",
    "continued_pretraining": "continued_pretraining:ContinuedPretraining",
    "distil": "distil:Distil",
    "context_distil": "context_distil:ContextDistil",
    "transfer": "transfer:Transfer",
    "vote": "vote:VoteOfKnown",
    "cascade": "cascade:CascadeOfKnown",
}

MEDIUM_SECONDS, HEAVY_SECONDS = 900.0, 3600.0
"""From these budgets on a race tries more roads of training."""


VOTE_EXAMPLES, CASCADE_EXAMPLES = 200, 1100
"""Below so many train examples a quarter of them shows too little. A cascade that loses nothing needs 258 to be shown
to lose less than a point (`stats.ltt`)."""


@dataclass(frozen=True)
class MethodInfo:
    """A line of the menu. `about` is the first line of the method's docstring."""

    name: str
    family: Family
    needs: frozenset[Need]
    uses: frozenset[Capability]
    about: str


def open_method(spec: str) -> Method:
    """The method that `spec` names, chains (`a+b`) included. Raises UnknownName with the menu, or TaskError."""
    parts = [part.strip() for part in re.split(r"\+(?![^(]*\))", spec)]
    return chain(*(_set(part) for part in parts))


def menu() -> list[MethodInfo]:
    """Every method, outsiders' included, in the order in which a race tries them."""
    return [*(_info(_open(name)) for name in MENU), *(_outside_info(name) for name in sorted(_outsiders()))]


def auto(task: Task, n_train: int) -> tuple[str, ...]:
    """The methods that are worth racing on a task with `n_train` examples to learn from; cheap ones first.

    Below 16 examples there is too little for gradient steps to learn from and to stop by, so training stays out. A
    short race would have too little time for each of many roads; a longer one tries more.
    """
    tuned = _tuned(task) if n_train >= 16 else ()
    if task.kind == "multilabel":
        asked_each = ("zero_shot", "zero_shot+calibrate", "few_shot", "few_shot+calibrate")
        return ("majority", "head", *asked_each, *("lora" for _ in tuned[:1]))
    baselines = ("majority", "label_similarity", "head") if task.kind == "classification" else ()
    return (*baselines, *_prompted(task), *tuned, *_together(task, n_train))


def _prompted(task: Task) -> tuple[str, ...]:
    """The roads of prompting that this much time is enough for. A bare prompt gains most by calibration and least by
    being raced for it: with demonstrations it was in no final of the short races that were measured."""
    seconds = task.budget.seconds or float("inf")
    scored = task.kind == "classification"
    found = ["zero_shot", "few_shot", *["few_shot+calibrate"] * scored]
    found += ["nearest_shots", *["nearest_shots+calibrate"] * scored]
    found += ["retrieve"] * (task.data.documents is not None)
    if seconds >= MEDIUM_SECONDS:
        found += ["zero_shot+calibrate", "instructions+few_shot+calibrate"] if scored else ["instructions+few_shot"]
        found += ["prompt_search+calibrate"] * scored + ["few_shot+retrieve"] * (task.data.documents is not None)
    if seconds >= HEAVY_SECONDS:
        found += ["one_shot", "many_shot+calibrate", "ensemble"] if scored else ["many_shot", "reasoning"]
    return tuple(found)


def _tuned(task: Task) -> tuple[str, ...]:
    """The roads of training that this much time is enough for."""
    seconds = task.budget.seconds or float("inf")
    found = ["lora"]
    if seconds >= MEDIUM_SECONDS:
        found += ["prefix_tuning", "contrastive"] if task.kind == "classification" else ["prefix_tuning"]
    if seconds >= HEAVY_SECONDS:
        found += ["full", "prompt_tuning", "few_shot+lora", "context_distil"]
        if task.data.unlabelled is not None:
            found += ["distil", "continued_pretraining+lora"]
    return tuple(found)


def _together(task: Task, n_train: int) -> tuple[str, ...]:
    """Roads made of the others' candidates. They keep a quarter of train from these until the final, and what they
    choose must be shown on it, so they need time and examples."""
    seconds = task.budget.seconds or float("inf")
    found = ["vote"] * (n_train >= VOTE_EXAMPLES) + ["cascade"] * (n_train >= CASCADE_EXAMPLES)
    return tuple(found) if seconds >= HEAVY_SECONDS else ()


def _set(spec: str) -> Method:
    """One method, with the settings that stand in brackets after its name."""
    name, given = parse(spec, "method")
    method = _open(name)
    if spec == name:
        return method
    known: set[str] = {field.name for field in fields(method)} if is_dataclass(method) else set()
    for key, value in given.items():
        if key not in known:
            raise UnknownName("setting", key, sorted(known), f"the method {spec!r}")
        if not fits(value, getattr(method, key)):
            usual = getattr(method, key)
            raise TaskError(f"{key}={value!r} in the method {spec!r} can't be: as a rule it is {usual!r}.")
    return WithSettings(replace(method, **given), spec)  # type: ignore[type-var]


def _info(method: Method) -> MethodInfo:
    about = (type(method).__doc__ or "").strip().split("\n")[0]
    return MethodInfo(method.name, method.family, method.needs, method.uses, about)


def _outside_info(name: str) -> MethodInfo:
    """A menu line; a package that can't be loaded says so there and spoils nothing else."""
    try:
        return _info(_open(name))
    except TaskError as error:
        return MethodInfo(name, "yours", frozenset(), frozenset(), str(error))


def _open(name: str) -> Method:
    if name in MENU:
        module, _, attribute = MENU[name].partition(":")
        return _as_method(getattr(import_module(f".{module}", __name__), attribute), name)
    if ":" in name:
        return _as_method(_imported(name), name)
    outside = _outsiders()
    if name not in outside:
        raise UnknownName("method", name, [*MENU, *outside])
    return _as_method(_loaded(outside[name]), name)


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:  # importing runs anybody's code
        raise TaskError(
            f"The method {entry.name!r} of an installed package can't be loaded from {entry.value} "
            f"({type(error).__name__}: {error}). Update or remove that package."
        ) from error


def _imported(path: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:  # importing runs anybody's code
        raise TaskError(
            f"The method {path!r} can't be imported ({type(error).__name__}: {error}). Give `module:attribute` of an "
            "installed module, or run from its folder with PYTHONPATH=. set."
        ) from error


def _as_method(found: Any, name: str) -> Method:
    method = found() if isinstance(found, type) else found
    if not isinstance(method, Method):
        raise TaskError(
            f"{name!r} is {found!r}, which is no method: it needs name, family, needs, uses, kinds and a call. "
            "tuningfork/method.py says what each is."
        )
    return method


def _outsiders() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group="tuningfork.methods")}
