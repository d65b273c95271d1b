"""Templates and labels as users write them: what is read, what is refused, and the messages."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsight.classification.prompts import SIMPLE, TemplateSet, check_labels, load_templates, read_labels
from clipsight.core.errors import LabelError
from clipsight.core.text import nfc

PLAIN_TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Z"), exclude_characters=",{}"), min_size=1
)


def test_named_sets() -> None:
    assert load_templates() == load_templates("plain") == TemplateSet("plain", ("{}",))
    assert load_templates("simple") == TemplateSet("simple", SIMPLE)
    imagenet = load_templates("imagenet").templates
    assert len(imagenet) == len(set(imagenet)) == 80
    assert set(SIMPLE) < set(imagenet) and "a photo of a {}." in imagenet
    assert all(template.count("{}") == 1 for template in (*SIMPLE, *imagenet))


def test_templates_of_a_file_and_single_ones(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("\ufeffa photo of a {}.\r\n\r\n{} in the snow\n", encoding="utf-8")
    assert load_templates(str(file)).templates == ("a photo of a {}.", "{} in the snow")
    assert load_templates(str(file), ["my {}"]).templates[-1] == "my {}"
    assert load_templates(None, ["my {}"]) == TemplateSet("given", ("my {}",))
    assert load_templates("plain", ["my {}"]).templates == ("{}", "my {}")


def test_labels_with_braces_are_inserted_unchanged() -> None:
    assert TemplateSet("x", ("a {}.", "{0} {}")).fill("{} {0} %s") == ["a {} {0} %s.", "{0} {} {0} %s"]


@pytest.mark.parametrize(
    ("template", "message"),
    [("a dog", "has no {}"), ("{} and {}", "2 times {}"), ("", "has no {}"), ("{} \udce9", "not UTF-8")],
)
def test_a_template_has_one_place_for_the_label(template: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=message):
        load_templates(None, [template])
    if template and "\udce9" not in template:
        file = tmp_path / "templates.txt"
        file.write_text(f"a {{}}\n{template}\n")
        with pytest.raises(LabelError, match=rf"templates\.txt: .*{message}"):
            load_templates(str(file))


def test_unknown_template_sets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no templates 'imagnet': choose plain, simple, imagenet"):
        load_templates("imagnet")
    empty = tmp_path / "empty.txt"
    empty.write_text(" \n\n")
    with pytest.raises(LabelError, match=r"empty\.txt is empty"):
        load_templates(str(empty))
    for name in ("x" * 5000, "a\0b", "~nobody-here/x"):
        with pytest.raises(LabelError, match="no templates"):
            load_templates(name)


def test_labels_of_a_list_and_of_a_file(tmp_path: Path) -> None:
    assert read_labels("cat, big dog ,bird") == ("cat", "big dog", "bird")
    file = tmp_path / "labels.txt"
    file.write_bytes("\ufeffcat\r\ndog, or wolf\r\n 鳥 \r\n\r\n".encode())
    assert read_labels(str(file)) == ("cat", "dog, or wolf", "鳥")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("   \n", "line 1 is blank"),
        ("cat\n \ndog\n", "line 2 is blank"),
        ("cat\n\ndog\n", "line 2 is blank"),
        ("cat\n", "at least two"),
        ("cat\ndog\ncat \n", "'cat' is there twice"),
        ("caf\xe9\ndog\n", "not UTF-8"),
    ],
)
def test_invalid_label_files_are_refused(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(LabelError, match=message) as caught:
        read_labels(str(file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("cat", "neither a file of labels nor a list"),
        ("labels.txt", "neither a file of labels nor a list"),
        ("", "label 1 is blank"),
        ("  ", "label 1 is blank"),
        ("cat,,dog", "label 2 is blank"),
        ("cat,dog,", "label 3 is blank"),
        ("cat,  ,dog", "label 2 is blank"),
        ("cat,dog,cat", "twice"),
        ("cat,\udce9", "not UTF-8"),
    ],
)
def test_invalid_label_lists_are_refused(spec: str, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        read_labels(spec)


def test_labels_passed_from_python_are_checked() -> None:
    assert check_labels([" a ", "b"]) == ("a", "b")
    for labels in ([], ["a"]):
        with pytest.raises(LabelError, match=f"at least two labels .*got {len(labels)}"):
            check_labels(labels)


@pytest.mark.slow
@given(st.lists(PLAIN_TEXT.map(nfc), min_size=2, unique=True))
def test_distinct_labels_are_read_unchanged(labels: list[str]) -> None:
    assert read_labels(",".join(labels)) == tuple(labels)
    assert read_labels(" , ".join(labels)) == tuple(labels)


@given(st.text())
def test_any_label_list_is_read_or_refused_in_one_line(spec: str) -> None:
    try:
        labels = read_labels(spec)
    except LabelError as error:
        assert "\n" not in str(error)
    else:
        assert len(set(labels)) == len(labels) >= 2
        assert all(label == label.strip() != "" for label in labels)


@given(st.text())
def test_any_template_is_read_or_refused_in_one_line(template: str) -> None:
    try:
        (read,) = load_templates(None, [template]).templates
    except LabelError as error:
        assert "\n" not in str(error) and template.count("{}") != 1
    else:
        assert read.replace("{}", "x") == template.replace("{}", "x").strip()


def test_labels_are_compared_and_returned_in_nfc(tmp_path: Path) -> None:
    (file := tmp_path / "labels.txt").write_text("cafe\u0301\nbar\n")
    assert read_labels("cafe\u0301,bar") == read_labels(str(file)) == ("caf\u00e9", "bar")
    with pytest.raises(LabelError, match="is there twice"):
        check_labels(["caf\u00e9", "cafe\u0301"])
