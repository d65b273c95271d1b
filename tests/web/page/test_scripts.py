"""The page's texts, and its pure modules in node: tests/web/page/*.test.mjs."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from clipsight.web.page.languages import LANGUAGES, STATIC
from clipsight.web.server.errors import CODES

_FORM = re.compile(r"\.(zero|one|two|few|many|other)$")
_CALL = re.compile(r'\b(t|count)\(\s*"([\w.]+)"')


def _texts(code: str) -> dict[str, str]:
    pairs = json.loads(
        (STATIC / "locales" / f"{code}.json").read_text(encoding="utf-8"), object_pairs_hook=list
    )
    texts = dict(pairs)
    assert len(texts) == len(pairs), f"{code} has a text twice"
    return texts


def _placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_is_complete(code: str) -> None:
    english, other = _texts("en"), _texts(code)
    keys = {_FORM.sub("", key) for key in english}
    assert {_FORM.sub("", key) for key in other} == keys
    for key, text in other.items():
        assert text.strip(), key
        source = english.get(key) or english[_FORM.sub(".other", key)]
        wanted, found = _placeholders(source), _placeholders(text)
        assert found == wanted or (_FORM.search(key) and found | {"count"} == wanted | {"count"}), key
        assert f"{_FORM.sub('', key)}.other" in other or not _FORM.search(key), key


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_every_language_is_translated(code: str) -> None:
    english, other = _texts("en"), _texts(code)
    same = [key for key in english if other.get(key) == english[key] and len(english[key].split()) > 2]
    assert not same


def test_all_texts_that_scripts_use_exist() -> None:
    english = _texts("en")
    for script in STATIC.glob("*.js"):
        for function, key in _CALL.findall(script.read_text(encoding="utf-8")):
            assert (key if function == "t" else f"{key}.other") in english, f"{script.name} uses {key}"


def test_every_text_is_used() -> None:
    """Keys stand in scripts as strings; those that are put together begin with one of these."""
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in STATIC.glob("*.js"))
    used = set(re.findall(r'"([\w.]+)"', scripts))
    made = ("error.", "login.", "docs.", "not_found.", "sort_", "template_", "no_script")
    switches = {f"{name}_info" for name in ("sure", "duplicates", "balance")}
    for key in {_FORM.sub("", key) for key in _texts("en")}:
        assert key in used or key in switches or key.startswith(made), key


def test_errors_of_the_api_that_a_page_can_meet_have_a_sentence() -> None:
    not_of_pages = {"bad_method", "bad_range", "bad_request", "other_site", "wrong_host", "bad_prefix"}
    english = _texts("en")
    assert not [code for code in CODES if f"error.{code}" not in english and code not in not_of_pages]
    assert "error.offline" in english and "error.unknown" in english


def test_vendored_modules_are_credited() -> None:
    notice = (Path(__file__).parents[3] / "NOTICE").read_text(encoding="utf-8")
    assert "Preact 10.29.8" in notice and "htm 3.1.1" in notice


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
def test_pure_modules_in_node() -> None:
    tests = sorted(map(str, Path(__file__).parent.glob("*.test.mjs")))
    assert tests
    done = subprocess.run(
        ["node", "--test", *tests], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
