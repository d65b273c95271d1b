import pytest

pytest.importorskip("gradio", reason="the page needs clipsight[web]")

from clipsight.core.errors import (
    ClipsightError,
    LabelError,
    LibraryError,
    ModelError,
    PhotoError,
    QueryError,
)
from clipsight.web.page.problems import told
from clipsight.web.page.texts import ALL, ENGLISH, SIMPLIFIED, TRADITIONAL
from clipsight.web.service.errors import BusyError, NoModelError, NotFoundError, UploadError

KINDS = [
    (QueryError, "查詢", "查询"),
    (PhotoError, "圖片", "图片"),
    (UploadError, "圖片", "图片"),
    (LabelError, "標籤", "标签"),
    (ModelError, "模型", "模型"),
    (LibraryError, "相片庫", "照片库"),
    (NotFoundError, "找不到", "找不到"),
    (BusyError, "稍後", "稍后"),
    (NoModelError, "加入資料夾", "加入文件夹"),
    (ClipsightError, "相片庫", "照片库"),
]


@pytest.mark.parametrize(("kind", "traditional", "simplified"), KINDS)
def test_what_can_not_be_done_is_told_in_the_readers_language(
    kind: type[ClipsightError], traditional: str, simplified: str
) -> None:
    assert traditional in told(kind("why"), TRADITIONAL)
    assert simplified in told(kind("why"), SIMPLIFIED)


@pytest.mark.parametrize("kind", [kind for kind, *_ in KINDS])
def test_the_errors_own_words_are_told_whole(kind: type[ClipsightError]) -> None:
    reason = "a {strange} name.jpg: 100 % of it"
    assert told(kind(reason), ENGLISH) == reason
    assert all(reason in told(kind(reason), texts) for texts in ALL)
