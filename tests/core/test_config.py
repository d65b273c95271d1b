"""The configuration file: what it may contain; every error is one line with file, line and key."""

import tomllib
from dataclasses import fields
from pathlib import Path

import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.core import config, paths
from clipsight.core.config import Config, read_config
from clipsight.core.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def read(file: Path, text: str | bytes) -> Config:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_config(file)


def test_every_key(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    text = (
        'library = "~/index"\nmodel = "ViT-B/32"\ndevice = "cuda"\nthreads = 4\nquiet = true\ncolor = false\n'
    )
    found = read(file, text)
    assert found == Config("/home/ann/index", "ViT-B/32", "cuda", 4, quiet=True, color=False)
    assert found.options() == {
        "library": "/home/ann/index",
        "model": "ViT-B/32",
        "device": "cuda",
        "threads": 4,
    }
    assert {field.name for field in fields(Config)} == set(config._KEYS)


@pytest.mark.parametrize("text", ["", "\n", "# nothing\r\n", "\ufeff", b"\xef\xbb\xbf# Notepad\r\n"])
def test_a_file_without_keys(file: Path, text: str | bytes) -> None:
    assert read(file, text) == Config() and Config().options() == {}


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("librry = 1", 1, "there is no key 'librry'; did you mean library?"),
        ("\n# x\n[search]\ntop = 3", 3, "there is no key 'search'; the keys are library, model,"),
        ("threads = 2\n[[models]]", 2, "there is no key 'models'"),
        ('a.b = 1\nthreads = "x"', 1, "there is no key 'a'"),
        ('"" = 1', 1, "there is no key ''"),
        ('threads = 2\n"a\\nb" = 1', 2, "there is no key 'a\\\\nb'"),
        ('quiet = true\nx = """\nquiet = 3\n"""\n', 2, "there is no key 'x'"),
        (
            'model = "tiny"\n\nthreads = [\n 1,\n 2,\n]\n',
            3,
            "threads is [1, 2]; it has to be a whole number from 1",
        ),
        ("threads = 0", 1, "threads is 0"),
        ("threads = -1", 1, "threads is -1"),
        ("threads = 4.0", 1, "threads is 4.0"),
        ("threads = true", 1, "threads is true"),
        ('threads = "4"', 1, "threads is '4'"),
        ("threads = 99999999999999999999", 1, "threads is 99999999999999999999"),
        ("quiet = 1", 1, "quiet is 1; it has to be true or false"),
        ('color = "never"', 1, "color is 'never'"),
        ("library = 3", 1, "library is 3"),
        ('library = ""', 1, "library is ''"),
        ('library = "index"', 1, "library is 'index'; it has to be the path of a folder in quotes, absolute"),
        ('library = "/x\\u0000"', 1, "library is '/x\\x00'"),
        ('model = " "', 1, "model is ' '"),
        (
            'model = "./tiny"',
            1,
            "model is './tiny'; it has to be a name from `clipsight models` or an absolute",
        ),
        ("device = ['cpu']", 1, "device is ['cpu']"),
    ],
)
def test_invalid_keys_and_values(file: Path, text: str, line: int, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(file, text)
    assert str(error.value).startswith(f"{file}, line {line}: {told}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("library = ~/x", "line 1, library = ~/x: invalid value; texts stand in quotes"),
        ("\r\nlibrary = C:\\x", "line 2, library = C:\\x: invalid value"),
        ('threads = 2\nmodel = "a', 'line 2, model = "a: unterminated string'),
        ('threads = 2\nmodel = "a\n', "line 2, model = \"a: illegal character '\\n'"),
        ("threads = 2\nthreads = 3", "line 2, threads = 3: cannot overwrite a value"),
        ("threads", "line 1, threads: expected '=' after a key in a key/value pair"),
        ("\nmodel = [\n1,\n", "line 2, model = [: "),
        (f"\nthreads = {'9' * 5000}", f"line 2, threads = {'9' * 50}...: exceeds the limit"),
        (f"\nx = {'[' * 5000}", f"line 2, x = {'[' * 56}...: maximum recursion depth exceeded"),
        (b"threads = 2\nmodel = '\xff'", "line 2: not UTF-8 text"),
    ],
)
def test_a_file_that_is_not_toml(file: Path, text: str | bytes, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(file, text)
    assert str(error.value).startswith(f"{file}, {told}"), str(error.value)
    assert "\n" not in str(error.value)


@given(st.text(st.sampled_from("abmodel=\"'[]{}#.,\n\r\t \\u0123")))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        content = tomllib.loads(text)
    except ValueError:
        content = {"": None}
    if set(content) <= set(config._KEYS) and not content:
        assert config._parse(text, Path("c.toml")) == Config()
        return
    try:
        found = config._parse(text, Path("c.toml"))
    except ConfigError as error:
        assert str(error).startswith("c.toml, line ") and "\n" not in str(error)
    else:
        assert found.model == content["model"]


def test_files_that_can_not_be_read(file: Path) -> None:
    with pytest.raises(ConfigError, match=f"no configuration file {file}"):
        read_config(file)
    file.mkdir()
    with pytest.raises(ConfigError, match=f"can't read the configuration file {file}: Is a directory"):
        read_config(file)


@pytest.mark.parametrize("folder", [None, "", "/somewhere", "relative"])
def test_the_default_file_is_where_platformdirs_puts_it(
    folder: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLIPSIGHT_CONFIG")
    if folder is None:
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CONFIG_HOME", folder)
    assert paths.config_file() == platformdirs.user_config_path("clipsight") / "config.toml"


def test_the_default_file_need_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLIPSIGHT_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert read_config() == Config()
    (tmp_path / "clipsight").mkdir()
    (tmp_path / "clipsight" / "config.toml").write_text("threads = 3")
    assert read_config() == Config(threads=3)
    monkeypatch.setenv("CLIPSIGHT_CONFIG", str(tmp_path / "other.toml"))
    with pytest.raises(ConfigError, match="no configuration file"):
        read_config()
