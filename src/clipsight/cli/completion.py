"""Shell completion of values: folders, labels and cameras of the library, names of models.

If a function returns no value, the shell completes file names.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress

import typer

from clipsight.core import paths
from clipsight.core.errors import ClipsightError, ConfigError
from clipsight.render.stdout import print_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from clipsight.store.known_values import Kind

NAME = "clipsight"
"""Name of the program, independent of how it was started."""

_VARIABLE = "_CLIPSIGHT_COMPLETE"
"""Environment variable that a shell sets to ask for completions."""

_SPECIAL = frozenset(" \t!\"#$&'()*;<>?[\\]^`{|}")
"""Characters with a special meaning in a shell."""

_SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")


def handle_script(arguments: Sequence[str]) -> bool:
    """Handle `--install-completion` and `--show-completion`; False if `arguments` begin with neither.

    In place of Typer's own options of these names, so that the shell can be named too, and an error is one
    line. Raises `ClipsightError`.
    """
    option, shell = (*arguments, "", "")[:2]
    if option not in ("--install-completion", "--show-completion"):
        return False
    from typer._completion_shared import get_completion_script, install

    shell = shell or _shell_of_parent()
    if shell not in _SHELLS:
        problem = f"there is no completion for {shell!r}" if shell else "can't tell which shell this is"
        raise ClipsightError(f"{problem}: write clipsight {option} with one of {', '.join(_SHELLS)}")
    names = {"prog_name": NAME, "complete_var": _VARIABLE}
    if option == "--show-completion":
        print(get_completion_script(**names, shell=shell))
        return True
    try:
        _, file = install(**names, shell=shell)
    except OSError as error:
        raise ClipsightError(f"can't write {error.filename}: {error.strerror}") from error
    print_line(f"{shell} completion is installed in {file}; it begins with the next terminal")
    return True


def _shell_of_parent() -> str:
    import shellingham

    try:
        return str(shellingham.detect_shell()[0])
    except shellingham.ShellDetectionFailure:
        return ""


def folders(ctx: typer.Context, incomplete: str) -> list[str]:
    """Folders of the library; below `~` if that has been typed."""
    found = _known(ctx, "folder")
    return _words(map(paths.short, found) if incomplete.startswith("~") else found)


def labels(ctx: typer.Context) -> list[str]:
    """Labels that `classify --labels` gave to photos."""
    return _words(_known(ctx, "label"))


def formats(ctx: typer.Context) -> list[str]:
    """Formats of the library's photos."""
    return _words(map(str.lower, _known(ctx, "format")))


def cameras(ctx: typer.Context) -> list[str]:
    """Cameras of the library's photos."""
    return _words(_known(ctx, "camera"))


def models() -> list[str]:
    """Names of models: the builtin one, those on this machine, and those that can be downloaded."""
    from clipsight.models.model_index import published_models

    here: list[str] = []
    with suppress(OSError):
        here = sorted(each for each in os.listdir(paths.models_folder()) if not each.startswith("."))
    return _words(dict.fromkeys(["builtin", *here, *(model.name for model in published_models())]))


def methods() -> list[str]:
    """Names of the methods of `clipsight explain`."""
    from clipsight.explain.registry import METHODS

    return list(METHODS)


def templates() -> list[str]:
    """Names of the sets of prompt templates."""
    return ["plain", "simple", "imagenet"]


def devices() -> list[str]:
    """Devices of a model."""
    return ["cpu", "cuda"]


def _known(ctx: typer.Context, kind: "Kind") -> list[str]:
    """Values of a kind in the library, which an option, the environment or the configuration file names."""
    from clipsight.core.config import read_config
    from clipsight.store.known_values import known_values
    from clipsight.store.schema import CATALOG_NAME

    library = ctx.params.get("library")
    if library is None:
        with suppress(ConfigError):
            library = read_config().library
    folder = paths.library_folder(library)
    return known_values(folder / CATALOG_NAME, kind)


class _BashWord(str):
    """A word quoted for bash; compared with what has been typed, it is the word without quotes."""

    plain: str

    def startswith(self, *arguments: object) -> bool:
        """Compare the word without quotes."""
        return self.plain.startswith(*arguments)  # type: ignore[arg-type]


def _words(values: Iterable[str]) -> list[str]:
    """The printable values, quoted for bash unless a quote has been typed."""
    printable = [value for value in values if value.isprintable()]
    typed = os.environ.get("COMP_WORDS", "").split("\n")[-1]
    is_bash = os.environ.get(_VARIABLE) == "complete_bash"
    return [_quoted(value) for value in printable] if is_bash and typed[:1] not in ("'", '"') else printable


def _quoted(value: str) -> str:
    home, rest = ("~/", value[2:]) if value.startswith("~/") else ("", value)
    word = _BashWord(home + "".join(f"\\{char}" if char in _SPECIAL else char for char in rest))
    word.plain = value
    return word
