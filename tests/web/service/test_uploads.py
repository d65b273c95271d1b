"""Uploads that are kept, so that a query with one has an address."""

import io

import pytest
from PIL import Image

from clipsight.core.errors import NotFoundError, UploadError
from clipsight.web.service.query_parts import KeptPart, UploadPart
from clipsight.web.service.service import Service
from tests.support.samples import SAMPLES
from tests.support.serving import id_of


def test_a_kept_picture_searches_as_the_picture_itself(service: Service) -> None:
    data = SAMPLES["cat.png"].read_bytes()
    id_ = service.uploads.keep(UploadPart(data, "mine.png"))
    assert len(id_) == 32 and service.uploads.keep(UploadPart(data, "again.png")) == id_
    kept, sent = (list(service.search([part])) for part in (KeptPart(id_), UploadPart(data)))
    assert [match.id for match in kept] == [match.id for match in sent]
    assert kept[0].id == id_of(service, "cat.png")
    with Image.open(io.BytesIO(service.uploads.thumbnail(id_, 160))) as image:
        assert image.format == "JPEG" and max(image.size) == 160


def test_what_is_no_picture_is_not_kept(service: Service) -> None:
    with pytest.raises(UploadError, match=r"mine\.txt"):
        service.uploads.keep(UploadPart(b"no picture", "mine.txt"))
    for id_ in ("0" * 32, "", "../uploads.sqlite3"):
        with pytest.raises(NotFoundError, match="upload it again"):
            service.uploads.get(id_)
