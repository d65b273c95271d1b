"""The `clipsight` program as a user meets it.

`Shell.run` calls it in this process, for another takes a second to start; `Shell.run_alone` starts one, where
its start, its end or what it leaves behind is tested.
"""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from unittest import mock

from clipsight.cli import main
from tests.support.scores import check_near_text

GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True)
class Completed:
    """Exit code and outputs of a program that has ended."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Shell:
    """Runs `clipsight` in `folder`, with a library and tiny model of its own."""

    folder: Path
    model: Path
    home: Path

    def run(
        self,
        *arguments: str | Path,
        code: int = 0,
        stdin: bytes = b"",
        encoding: str = "utf-8",
        **environment: str,
    ) -> Completed:
        """Run a command, check its exit code, and that an error is one line."""
        return _checked(self.run_any(*arguments, stdin=stdin, encoding=encoding, **environment), code)

    def run_any(
        self, *arguments: str | Path, stdin: bytes = b"", encoding: str = "utf-8", **environment: str
    ) -> Completed:
        """Run a command, with any exit code; `encoding` is that of stdout."""
        variables = {**self._variables, **environment}
        return run_program(
            *arguments, folder=self.folder, stdin=stdin, environment=variables, encoding=encoding
        )

    def run_alone(self, *arguments: str | Path, code: int = 0, **environment: str) -> Completed:
        """As `run`, in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "clipsight", *map(str, arguments)],
            cwd=self.folder,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            env={**os.environ, **self._variables, **environment},
        )
        return _checked(Completed(done.returncode, done.stdout, done.stderr), code)

    def run_redirected(self, arguments: str, redirection: str) -> Completed:
        """As `run_alone`, in a POSIX shell that redirects its outputs; of a pipeline, the last exit code."""
        done = subprocess.run(
            f"{sys.executable} -m clipsight {arguments} {redirection}",
            shell=True,
            cwd=self.folder,
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, **self._variables},
        )
        return Completed(done.returncode, done.stdout, done.stderr)

    @property
    def _variables(self) -> dict[str, str]:
        return {"CLIPSIGHT_HOME": str(self.home), "HF_HUB_OFFLINE": "1"}

    def index(self) -> None:
        """Index the photos with the tiny model."""
        self.run("index", "photos", "--model", self.model)


def _checked(done: Completed, code: int) -> Completed:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code == 2 and "Usage:" not in done.stderr:
        assert done.stderr.count("\n") == 1, done.stderr
    return done


def run_program(
    *arguments: str | Path,
    folder: Path,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    encoding: str = "utf-8",
) -> Completed:
    """Run `clipsight ARGUMENTS` in `folder` with pipes for its streams; raises what it does not handle."""
    encodings = {"stdout": encoding, "stderr": "utf-8"}
    outputs = {name: io.BytesIO() for name in encodings}
    code: object = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(_environment(environment or {}))
        stack.enter_context(_signals_restored())
        stack.enter_context(mock.patch.object(sys, "argv", ["clipsight", *map(str, arguments)]))
        stack.enter_context(mock.patch.object(os, "_exit", _exit))
        stack.enter_context(mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8")))
        for name, errors in (("stdout", "strict"), ("stderr", "backslashreplace")):
            stream = io.TextIOWrapper(outputs[name], encodings[name], errors, newline="\n")
            stack.callback(stream.detach)
            stack.enter_context(mock.patch.object(sys, name, stream))
        try:
            main()
        except (SystemExit, _Exited) as ended:
            code = ended.args[0] if ended.args else 0
        sys.stdout.flush()
        sys.stderr.flush()
    assert code is None or isinstance(code, int), code
    texts = {
        name: output.getvalue().decode(encodings[name], "surrogateescape") for name, output in outputs.items()
    }
    return Completed(code or 0, **texts)


class _Exited(BaseException):
    """The program called `os._exit`, which would end the tests as well."""


def _exit(code: int) -> NoReturn:
    raise _Exited(code)


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    with mock.patch.dict(os.environ, variables):
        time.tzset()
        yield
    time.tzset()


@contextlib.contextmanager
def _signals_restored() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def check_golden(name: str, text: str, shell: Shell) -> None:
    """Compare with tests/golden/NAME; CLIPSIGHT_WRITE_GOLDEN=1 writes it anew, to be read before commit."""
    # Columns are as wide as this machine's temporary paths.
    normal = "\n".join(re.sub(r"(?<=\S) +", " ", line).rstrip() for line in text.splitlines()) + "\n"
    normal = _without_ids(normal.replace(str(shell.folder), "/HERE"))
    file = GOLDEN / name
    if os.environ.get("CLIPSIGHT_WRITE_GOLDEN"):
        file.write_text(normal)
    check_near_text(normal, file.read_text())


def _without_ids(text: str) -> str:
    """JSON or CSV with ID for the numbers of photos, which are given out as threads finish."""
    header = text.partition("\n")[0].split(",")
    before = f"^((?:[^,\n]*,){{{header.index('id')}}})" if "id" in header else '("id": )'
    return re.sub(rf"(?m){before}\d+", r"\1ID", text)
