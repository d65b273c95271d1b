"""Command `clipsight models`."""

from clipsight.cli.options import JsonOption, LibraryOption, open_library


def models(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """List installed and available models.

    With size, licence and published results.
    """
    import json
    from dataclasses import asdict

    from clipsight.models.registry import list_models
    from clipsight.render import tables

    with open_library(library) as photos:
        in_use = photos.status().model
    found = list_models()
    if as_json:
        print(json.dumps([{**asdict(model), "in_use": model.name == in_use} for model in found], indent=2))
    else:
        tables.print_models(found, in_use)
