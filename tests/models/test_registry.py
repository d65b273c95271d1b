"""From names to folders: models on disk, on the hub, and errors for neither."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clipsight
from clipsight.core.errors import ModelError
from clipsight.models import registry
from clipsight.models.folder import ModelFolder, model_files
from clipsight.models.hub import HubError
from clipsight.models.model_index import published_models
from clipsight.models.registry import (
    MULTILINGUAL,
    RECOMMENDED,
    ModelName,
    builtin_folder,
    choose_auto,
    languages_of,
    list_models,
    locate,
    parse_name,
    recommended_model,
)
from tests.support.hub_server import HubServer, tiny_repository
from tests.support.tiny_models import make_model_folder
from tests.support.waiting import PATIENCE

RECOMMENDED_REPO = f"immich-app/{RECOMMENDED}"
OPENAI = "ViT-B-32__openai"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    repos = {RECOMMENDED_REPO: tiny_repository("recommended"), f"immich-app/{OPENAI}": tiny_repository()}
    with HubServer(repos) as server:
        server.connect(monkeypatch)
        yield server


@pytest.fixture
def no_builtin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(registry, "_builtin_path", lambda: tmp_path / "nowhere")


def put_model(folder: Path) -> Path:
    for name, data in tiny_repository().items():
        if name in model_files([name]):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    return folder


class Notes(list[str]):
    """Collects notes as the command line would print them."""

    def __call__(self, line: str) -> None:
        self.append(line)


# -- names -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ViT-B-32__openai", OPENAI),
        ("immich-app/ViT-B-32__openai", OPENAI),
        ("hf-hub:immich-app/ViT-B-32__openai", OPENAI),
        ("ViT-B/32", OPENAI),
        ("ViT-B-32/openai", OPENAI),
        ("ViT-B-32-quickgelu/openai", OPENAI),
        ("openai/clip-vit-base-patch32", OPENAI),
        ("hf-hub:openai/clip-vit-base-patch32", OPENAI),
        (" vit-b-32__OPENAI ", OPENAI),
        ("RN50x64", "RN50x64__openai"),
        ("ViT-L/14@336px", "ViT-L-14-336__openai"),
        ("ViT-B-32/laion2b_s34b_b79k", RECOMMENDED),
        ("ViT-B-32__laion2b_s34b_b79k", RECOMMENDED),
        ("hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", RECOMMENDED),
        ("xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k", "XLM-Roberta-Base-ViT-B-32__laion5b_s13b_b90k"),
        ("google/siglip2-base-patch16-224", "ViT-B-16-SigLIP2__webli"),
        ("ViT-H-14/dfn5b", "ViT-H-14-quickgelu__dfn5b"),
        ("M-CLIP/XLM-Roberta-Large-Vit-B-32", "XLM-Roberta-Large-Vit-B-32"),
    ],
)
def test_every_form_of_a_name(name: str, expected: str) -> None:
    assert parse_name(name) == ModelName(expected, repo=f"immich-app/{expected}")


@pytest.mark.parametrize("name", ["builtin", "Builtin", " builtin "])
def test_the_builtin_model(name: str) -> None:
    assert parse_name(name) == ModelName("builtin")


def test_another_repository_of_the_hub() -> None:
    assert parse_name("hf-hub:someone/My.Clip_2") == ModelName("someone__My.Clip_2", repo="someone/My.Clip_2")


def test_a_folders_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my model"
    folder.mkdir()
    assert parse_name(str(folder)).folder == folder
    monkeypatch.chdir(tmp_path)
    for name in ("./my model", "my model", "../" + tmp_path.name + "/my model"):
        found = parse_name(name).folder
        assert found is not None and found.samefile(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_name("~/my model").folder == folder


def test_a_published_name_takes_precedence_over_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("builtin", "ViT-B-32/openai"):
        Path(name).mkdir(parents=True)
        assert parse_name(name).folder is None
        found = parse_name(f"./{name}").folder
        assert found is not None and found.samefile(name)


def test_a_folder_in_the_models_folder_is_found_by_its_name(home: Path) -> None:
    folder = put_model(home / "models" / "my-own")
    assert parse_name("my-own") == ModelName("my-own", folder=folder)
    assert locate("my-own") == folder


def test_an_unknown_name_is_an_error_with_similar_names() -> None:
    with pytest.raises(ModelError, match=r"no model is called 'ViT-B/33'; did you mean ViT-B/32 or ViT-B/16"):
        parse_name("ViT-B/33")
    with pytest.raises(ModelError, match=r"for another repository of the hub, write hf-hub:someone/theirs"):
        parse_name("someone/theirs")


@pytest.mark.parametrize("name", ["/no/such/folder", "./none", "~/none", "../none"])
def test_a_path_that_does_not_exist(name: str) -> None:
    with pytest.raises(ModelError, match=f"no model folder at {name}"):
        parse_name(name)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("ViT-B-16/laion2b_s34b_b88k", "ViT-B-16__"),
        ("hf-hub:laion/CLIP-ViT-bigG-14-laion2B-39B-b160k", "ViT-H-14__laion2b-s32b-b79k"),
        ("MobileCLIP-S1/datacompdr", RECOMMENDED),
    ],
)
def test_a_model_that_is_not_published_as_onnx(name: str, near: str) -> None:
    with pytest.raises(
        ModelError, match=f"not published in the ONNX form .*; the nearest that are: .*{near}"
    ):
        parse_name(name)


@pytest.mark.parametrize(
    "name", ["", "auto", "\0", "a" * 5000, "hf-hub:", "hf-hub:../up", "hf-hub:a/b/c", "hf-hub:.a/b"]
)
def test_values_that_are_not_names(name: str) -> None:
    with pytest.raises(ModelError, match="no model is called"):
        parse_name(name)


@given(st.text() | st.from_regex(r"(hf-hub:)?[\w.-]*/[\w.@-]*", fullmatch=True))
@pytest.mark.slow
def test_any_text_is_a_name_or_a_clear_error(name: str) -> None:
    try:
        found = parse_name(name)
    except ModelError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 600
    else:
        assert found.name == "builtin" or found.repo or found.folder
        assert found.folder or "/" not in found.name


# -- folders ---------------------------------------------------------------------------


def test_the_builtin_folder_is_a_model() -> None:
    assert ModelFolder.read(locate("builtin")).name == "builtin"


def test_an_installation_without_the_builtin_model(no_builtin: None) -> None:
    with pytest.raises(ModelError, match="lacks the builtin model"):
        locate("builtin")


@pytest.mark.slow
def test_a_model_is_downloaded_once_and_then_found_offline(
    hub: HubServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = locate("openai/clip-vit-base-patch32", progress=False)
    assert folder == home / "models" / OPENAI
    assert ModelFolder.read(folder).embed_dim == 8
    hub.stop()
    assert locate("ViT-B/32") == folder
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert locate(OPENAI) == folder
    with pytest.raises(
        ModelError, match=f"{RECOMMENDED_REPO} is not on disk and HF_HUB_OFFLINE is set; unset it"
    ):
        locate(RECOMMENDED)


FILES = (
    "config.json, visual/model.onnx, visual/preprocess_cfg.json, textual/model.onnx, textual/tokenizer.json "
    "and what else is in visual/ and textual/"
)


def test_without_a_hub_the_error_names_the_files_and_their_folder(hub: HubServer, home: Path) -> None:
    hub.stop()
    with pytest.raises(HubError) as caught:
        locate("ViT-B/32")
    assert str(caught.value).endswith(
        f"; try again later (a download goes on where it stopped); without internet, bring from "
        f"{hub.url}/immich-app/{OPENAI} {FILES} into {home / 'models' / OPENAI} "
        f"(on a machine with internet, `clipsight models download {OPENAI}` fetches that folder)"
    )


def test_the_named_files_in_the_named_folder_are_the_model(
    hub: HubServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubError, match=f"bring from https://huggingface.co/immich-app/{OPENAI} ") as caught:
        locate(OPENAI)
    named = set(str(caught.value).partition(" bring from ")[2].replace(",", "").split())
    for file, content in tiny_repository().items():
        if file in named:
            target = home / "models" / OPENAI / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    assert ModelFolder.read(locate(OPENAI)).embed_dim == 8


def test_an_error_of_a_reachable_hub_does_not_suggest_working_offline(hub: HubServer) -> None:
    with pytest.raises(HubError, match="there is no model someone/none") as caught:
        locate("hf-hub:someone/none")
    assert "bring" not in str(caught.value)


@pytest.mark.slow
def test_a_model_of_someone_else_is_found_again_by_the_name_of_its_folder(hub: HubServer, home: Path) -> None:
    hub.repos["someone/clip"] = tiny_repository("someone")
    folder = locate("hf-hub:someone/clip")
    assert folder == home / "models" / "someone__clip"
    assert locate("someone__clip") == folder


def test_a_repository_that_holds_no_onnx_model(hub: HubServer) -> None:
    hub.repos["someone/ViT-B-32"] = {"config.json": b"{}", "model.safetensors": b"..."}
    with pytest.raises(ModelError, match=r"not in the ONNX form .*; the nearest that are: ViT-B-32"):
        locate("hf-hub:someone/ViT-B-32")


def test_without_download_no_request_is_sent(hub: HubServer) -> None:
    with pytest.raises(ModelError, match=f"the model {OPENAI} is not on disk"):
        locate(OPENAI, download=False)
    assert hub.requests == []


@pytest.mark.slow
def test_a_download_that_fails_leaves_no_model(hub: HubServer) -> None:
    hub.faults.damaged = {"visual/model.onnx"}
    with pytest.raises(ModelError, match="arrived damaged"):
        locate(OPENAI)
    with pytest.raises(ModelError, match="is not on disk"):
        locate(OPENAI, download=False)
    assert not next(model for model in list_models() if model.name == OPENAI).on_disk


# -- auto ------------------------------------------------------------------------------


def test_auto_takes_the_recommended_model_that_is_on_disk(home: Path) -> None:
    folder = put_model(home / "models" / RECOMMENDED)
    notes = Notes()
    assert choose_auto(note=notes) == (RECOMMENDED, folder)
    assert notes == [
        f"using the recommended model {RECOMMENDED}, which is on disk; "
        "for another: clipsight index --model NAME"
    ]


@pytest.mark.slow
def test_auto_downloads_the_recommended_model_when_the_hub_answers(hub: HubServer, home: Path) -> None:
    notes = Notes()
    assert choose_auto(note=notes) == (RECOMMENDED, home / "models" / RECOMMENDED)
    assert ModelFolder.read(home / "models" / RECOMMENDED).embed_dim == 8
    assert notes == [
        f"using the recommended model {RECOMMENDED}, downloaded from {hub.url}; "
        "for another: clipsight index --model NAME"
    ]


def assert_builtin(notes: Notes, chosen: tuple[str, Path], reason: str) -> None:
    assert chosen == ("builtin", locate("builtin"))
    (line,) = notes
    assert line.startswith("using builtin, the small model: ")
    assert reason in line
    assert line.endswith(f"later: clipsight index --model {RECOMMENDED}")
    assert "\n" not in line


def test_auto_is_builtin_offline(home: Path) -> None:
    notes = Notes()
    assert_builtin(notes, choose_auto(note=notes), "HF_HUB_OFFLINE is set")


def test_auto_is_builtin_when_the_hub_is_down(hub: HubServer) -> None:
    hub.stop()
    notes = Notes()
    assert_builtin(notes, choose_auto(note=notes), f"the model hub at {hub.url} can't be used now")


@pytest.mark.slow
def test_auto_is_builtin_when_the_download_fails(hub: HubServer) -> None:
    hub.faults.damaged = {"visual/model.onnx"}
    notes = Notes()
    assert_builtin(notes, choose_auto(note=notes), "visual/model.onnx of")


def test_auto_without_hub_and_without_builtin_model(hub: HubServer, no_builtin: None) -> None:
    hub.stop()
    with pytest.raises(ModelError, match=r"can't be used now .* lacks the builtin model"):
        choose_auto(note=Notes())


@pytest.mark.process
def test_auto_waits_two_seconds_for_a_hub_that_never_answers(hub: HubServer, home: Path) -> None:
    code = "from clipsight.models.registry import choose_auto; print(choose_auto(note=print)[0])"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = hub.run(code, home, HF_ENDPOINT=address)
        output, errors = process.communicate(timeout=PATIENCE)
    note, name = output.splitlines()
    assert name == "builtin", errors
    assert f"the model hub at {address} can't be used now (no answer in 2 s)" in note


@pytest.mark.process
def test_auto_ends_if_the_host_name_lookup_hangs(hub: HubServer, home: Path) -> None:
    code = (
        "import socket, threading; socket.getaddrinfo = lambda *_, **__: threading.Event().wait()\n"
        "from clipsight.models.registry import choose_auto; print(choose_auto(note=print)[0])"
    )
    process = hub.run(code, home, HF_ENDPOINT="http://hub.invalid")
    output, errors = process.communicate(timeout=PATIENCE)
    note, name = output.splitlines()
    assert name == "builtin", errors
    assert "(no answer in 2 s)" in note
    assert process.returncode == 0


# -- the list --------------------------------------------------------------------------


@pytest.mark.slow
def test_models_are_listed_builtin_first_then_on_disk_then_downloadable(hub: HubServer, home: Path) -> None:
    locate(OPENAI)
    put_model(home / "models" / "a-broken-one")
    (home / "models" / "a-broken-one" / "config.json").write_text("{}")
    put_model(home / "models" / "my-own")
    models = list_models()
    assert [model.name for model in models][:4] == ["builtin", OPENAI, "a-broken-one", "my-own"]
    assert [model.on_disk for model in models] == [True] * 4 + [False] * 57
    builtin, openai, broken, own = models[:4]
    assert builtin.size_bytes is not None and builtin.size_bytes > 1_000_000
    files = tiny_repository()
    size = sum(len(files[name]) for name in model_files(files))
    assert (openai.size_bytes, openai.license, openai.imagenet_top1) == (size, "MIT", 63.32)
    assert broken.problem is not None and "config.json has no embed_dim" in broken.problem
    assert (own.embed_dim, own.image_size, own.license, own.problem) == (8, 32, None, None)
    assert [model.name for model in models if model.recommended] == [RECOMMENDED]


def test_the_list_and_errors_recommend_by_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_TW.UTF-8")
    assert [model.name for model in list_models() if model.recommended] == [MULTILINGUAL]
    monkeypatch.setattr(registry, "_builtin_path", lambda: Path("nowhere"))
    with pytest.raises(ModelError, match=f"`model={MULTILINGUAL}`"):
        registry.builtin_folder()


def test_the_list_of_an_empty_home() -> None:
    models = list_models()
    assert [model.name for model in models] == ["builtin", *(model.name for model in published_models())]


def test_the_list_says_when_the_builtin_model_is_missing(no_builtin: None) -> None:
    builtin = list_models()[0]
    assert (builtin.name, builtin.on_disk) == ("builtin", False)
    assert builtin.problem is not None


def test_the_list_shows_an_unfinished_download(hub: HubServer, home: Path) -> None:
    hub.faults.file_status["visual/model.onnx"] = [404]
    with pytest.raises(ModelError):
        locate(OPENAI)
    shown = next(model for model in list_models() if model.name == OPENAI)
    assert not shown.on_disk
    assert 200_000 < shown.partial_bytes < 201_000


# -- the recommendation ----------------------------------------------------------------


def photos_per_second(image_ms: float) -> float:
    """On two cores: 0.95 of the floors the project measured, as docs/models.md explains."""
    encode, decode, published = 0.124, 0.035, 2.29
    return 0.95 * 2 / (encode * image_ms / published + decode)


def test_the_recommended_model_is_the_best_of_the_fast_and_free_ones() -> None:
    fit = [
        model
        for model in published_models()
        if model.commercial and model.image_ms and photos_per_second(model.image_ms) >= 10
    ]
    assert len(fit) > 5
    best = max(fit, key=lambda model: model.retrieval or 0)
    assert best.name == RECOMMENDED


def test_the_documentation_names_every_model_with_its_figures() -> None:
    page = Path(clipsight.__file__).parents[2] / "docs" / "models.md"
    if not page.is_file():
        pytest.skip("an installed package has no docs folder")
    rows = {
        line.split("|")[1].strip(" `*"): line
        for line in page.read_text().splitlines()
        if line.startswith("| `")
    }
    for model in published_models():
        for figure in (model.imagenet_top1, model.retrieval, model.image_ms):
            assert figure is None or f"{figure:g}" in rows[model.name]
        assert model.license in rows[model.name]


@pytest.mark.process
def test_names_are_understood_without_loading_huggingface_hub() -> None:
    code = (
        "import sys; from clipsight.models import registry; "
        "registry.list_models(); registry.parse_name('ViT-B/32'); "
        "registry.choose_auto(note=print); "
        "print([name for name in ('huggingface_hub', 'rich', 'onnxruntime') if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert run.stdout.splitlines()[-1] == "[]", run.stderr


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, RECOMMENDED),
        ({"LANG": "C.UTF-8"}, RECOMMENDED),
        ({"LANG": "en_GB.UTF-8"}, RECOMMENDED),
        ({"LANG": "zh_TW.UTF-8"}, MULTILINGUAL),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "de_DE"}, MULTILINGUAL),
        ({"LC_ALL": "POSIX", "LANG": "ja_JP.UTF-8"}, RECOMMENDED),
    ],
)
def test_the_recommended_model_follows_the_locale(variables: dict[str, str], name: str) -> None:
    assert recommended_model(variables) == name


def test_languages_that_a_model_reads(tmp_path: Path) -> None:
    def read(name: str, languages: list[str] | None = None) -> frozenset[str]:
        own = {} if languages is None else {"languages": languages}
        return languages_of(ModelFolder.read(make_model_folder(tmp_path / "m", name=name, clipsight=own)))

    assert "en" in languages_of(ModelFolder.read(builtin_folder()))
    assert read(RECOMMENDED) == {"en"}
    assert read("somebody's own", ["zh", "en"]) == {"en", "zh"}
    assert read(MULTILINGUAL) == read("somebody's own") == frozenset()
