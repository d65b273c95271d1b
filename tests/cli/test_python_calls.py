"""Every command has one equivalent Python call, with parameters of the same names."""

import inspect
from collections.abc import Iterator
from dataclasses import fields
from functools import reduce
from importlib import import_module
from typing import Any

import pytest
from typer.main import get_command

from clipsight.cli.app import app
from clipsight.indexing.indexer import IndexOptions
from clipsight.organize import OrganizeOptions
from clipsight.search.duplicates import DuplicateOptions
from clipsight.search.options import SearchOptions
from clipsight.store.filters import Filters
from clipsight.training.config import TrainConfig

CALLS = {
    "search": "clipsight.library:Library.search",
    "explain": "clipsight.library:Library.explain",
    "classify": "clipsight.library:Library.classify",
    "match": "clipsight.library:Library.match",
    "duplicates": "clipsight.library:Library.duplicates",
    "organize": "clipsight.library:Library.organize",
    "probe fit": "clipsight.probe:fit",
    "probe apply": "clipsight.probe:Probe.apply",
    "serve": "clipsight.web.server.run:serve",
    "train": "clipsight.training.train:train",
    "evaluate": "clipsight.evaluation:evaluate",
    "export-model": "clipsight.export.export:export_model",
    "index": "clipsight.library:Library.index",
    "watch": "clipsight.library:Library.watch",
    "status": "clipsight.library:Library.status",
    "where": "clipsight.maintenance.locations:locations",
    "optimize": "clipsight.library:Library.optimize",
    "check": "clipsight.library:Library.check",
    "backup": "clipsight.library:Library.backup",
    "restore": "clipsight.library:Library.restore",
    "models": "clipsight.models.registry:list_models",
    "models download": "clipsight.models.registry:locate",
    "models import": "clipsight.models.import_folder:import_folder",
    "compare-models": "clipsight.evaluation:compare_models",
    "forget": "clipsight.library:Library.forget",
    "export": "clipsight.library:Library.export",
    "import": "clipsight.library:Library.import_",
    "demo": "clipsight.demo:run_demo",
}


OPTIONS: dict[str, tuple[type, ...]] = {
    "search": (SearchOptions, Filters),
    "duplicates": (DuplicateOptions,),
    "index": (IndexOptions,),
    "organize": (OrganizeOptions,),
    "train": (TrainConfig,),
}
"""Frozen dataclasses that the call takes, whose fields are options of the command."""

OPENING = {"library", "model", "device", "threads"}
"""Parameters of `Library.open` and `Encoder`, which come before the call."""

OUTPUT = {
    "as_json",
    "as_csv",
    "html",
    "png",
    "out",
    "report",
    "null",
    "filepath_only",
    "grid",
    "preview",
    "open_photos",
}
"""Forms and files of the output: what the call returns is printed or written by the command."""

PYTHON_NAMES = {
    "search": {
        "label": "labels",
        "format_": "formats",
        "camera": "cameras",
        "min_size": "min_bytes",
        "max_size": "max_bytes",
    },
    "explain": {"cost": "settings"},
    "classify": {"arguments": "photos", "template": "templates"},
    "models import": {"folder": "source"},
    "organize": {
        "places": "folders",
        "template": "templates",
        "min_prob": "min_probability",
        **dict.fromkeys(("copy", "symlink", "hardlink"), "method"),
    },
    "probe fit": {"template": "templates"},
    "serve": {"allow_host": "allowed_hosts"},
    "train": {
        "batch_size": "batch",
        "lr": "learning_rate",
        "clip_grad": "clip_gradient",
        "zeroshot": "zero_shot",
    },
    "evaluate": {"template": "templates"},
    "export-model": {"force": "overwrite"},
}
"""Options whose Python parameter has another name: mostly the plural of what can be repeated."""

OTHER_CALLS = {
    "search": {
        "queries": "clipsight.library:Library.search_many",
        "explain": "clipsight.library:Library.explain",
        "no_indexing": "clipsight.library:Library.index",
        "server": "clipsight.web.client.remote:search",
    },
    "classify": {
        "no_indexing": "clipsight.library:Library.index",
        "compare": "clipsight.evaluation:compare_templates",
        **dict.fromkeys(
            ("organize", "by", "copy", "symlink", "hardlink", "min_prob", "dry_run"),
            "clipsight.organize:organize",
        ),
        "top": "clipsight.classification.predictions:best_labels",
    },
    "duplicates": {"no_indexing": "clipsight.library:Library.index"},
    "organize": {"undo": "clipsight.organize:undo", "no_indexing": "clipsight.library:Library.index"},
    "probe apply": {"no_indexing": "clipsight.library:Library.index", "file": "clipsight.probe:load"},
    "optimize": {"background": "os:nice"},
    "watch": {"unit": "clipsight.indexing.watch_unit:watch_unit"},
    "serve": {"browser": "webbrowser:open"},
}
"""Options that decide on another call, made before or after."""


def commands() -> Iterator[tuple[str, Any]]:
    """Each command by its words, such as "probe fit"."""
    root: Any = get_command(app)
    for name, command in root.commands.items():
        if hasattr(command, "commands"):
            if command.invoke_without_command:
                yield name, command
            yield from ((f"{name} {sub}", each) for sub, each in command.commands.items())
        else:
            yield name, command


def resolve(call: str) -> Any:
    module, _, path = call.partition(":")
    return reduce(getattr, path.split("."), import_module(module))


def test_every_command_has_a_call_and_every_call_a_command() -> None:
    assert {name for name, _ in commands()} == set(CALLS)


IN_TORCH = {"train", "export-model"}
"""Commands whose call imports PyTorch."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.torch] if name in IN_TORCH else []) for name in CALLS]
)
def test_options_are_parameters_of_the_call(name: str) -> None:
    call = resolve(CALLS[name])
    assert callable(call)
    found = {field.name for options in OPTIONS.get(name, ()) for field in fields(options)}
    found |= set(inspect.signature(call).parameters)
    renamed = PYTHON_NAMES.get(name, {})
    assert set(renamed.values()) <= found, "a parameter that the call does not have"
    others = OTHER_CALLS.get(name, {})
    assert all(callable(resolve(call)) for call in others.values())
    options = {parameter.name for parameter in dict(commands())[name].params}
    assert set(renamed) | set(others) <= options, "an option that the command does not have"
    assert options - found - OPENING - OUTPUT - set(renamed) - set(others) == set()
