"""Schemas of requests to the HTTP API, and their conversion to arguments of the service."""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, field_validator, model_validator

from clipsight.core.dates import end_of
from clipsight.render.tables import Format
from clipsight.search.options import SearchOptions, Sort
from clipsight.store.filters import Filters
from clipsight.web.api.examples import add_example
from clipsight.web.service import query_parts

MAX_TOP = 1000
MAX_TEXT_LENGTH = 10_000

UploadId = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="Id from POST /uploads.")]
PhotoId = Annotated[int, Field(ge=1, le=2**63 - 1, description="Id of a photo of the library.")]
FolderId = Annotated[str, Field(max_length=64, description="Id of a folder, from GET /folders.")]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_LENGTH)]
Label = Annotated[str, Field(min_length=1, max_length=1000)]
Pattern = Annotated[str, Field(min_length=1, max_length=1000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Size = Annotated[int, Field(ge=0, le=2**62)]
Weight = Annotated[float, Field(allow_inf_nan=False, description="Negative to subtract.")]
Date = Annotated[
    str,
    Field(
        max_length=19,
        description="2024, 2024-05, 2024-05-31 or 2024-05-31T18:30; the whole period is included.",
    ),
]
Top = Annotated[int, Field(ge=1, le=MAX_TOP, description="Number of photos.")]
Offset = Annotated[int, Field(ge=0, le=100_000, description="Number of best matches to skip.")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra=add_example)


class Upload(_Request):
    """A picture: a file of any indexable format, in base64."""

    picture: Base64Bytes
    name: str = Field("picture", max_length=255, description="Name in the response.")

    def part(self, weight: float = 1.0) -> query_parts.UploadPart:
        """The picture as a part of a query."""
        return query_parts.UploadPart(self.picture, self.name, weight)


class KeptUpload(_Request):
    """A picture that was uploaded before."""

    upload: UploadId
    name: str = Field("picture", max_length=255, description="Name in the response.")

    def part(self) -> query_parts.KeptPart:
        """The picture as the service takes it."""
        return query_parts.KeptPart(self.upload, self.name)


class QueryPart(_Request):
    """One part of a query: a text, a photo of the library, or a picture, sent here or uploaded before."""

    text: Text | None = None
    printed: Text | None = Field(
        default=None, description="Words to be read in photos; a negative weight leaves these photos out."
    )
    photo: PhotoId | None = None
    picture: Base64Bytes | None = None
    upload: UploadId | None = None
    name: str = Field("picture", max_length=255, description="Name of a picture in the response.")
    weight: Weight = 1.0

    @model_validator(mode="after")
    def _one(self) -> "QueryPart":
        given = (self.text, self.printed, self.photo, self.picture, self.upload)
        if sum(value is not None for value in given) != 1:
            raise ValueError("give exactly one of text, printed, photo, picture and upload")
        if self.printed is not None and not any(map(str.isalnum, self.printed)):
            raise ValueError("printed needs a letter or digit")
        return self

    def part(self) -> query_parts.GivenPart:
        """The part as an argument of the service."""
        if self.text is not None:
            return query_parts.TextPart(self.text, self.weight)
        if self.printed is not None:
            return query_parts.PrintedPart(self.printed, self.weight)
        if self.photo is not None:
            return query_parts.PhotoPart(self.photo, self.weight)
        if self.upload is not None:
            return query_parts.KeptPart(self.upload, self.name, self.weight)
        assert self.picture is not None
        return query_parts.UploadPart(self.picture, self.name, self.weight)


class _QueryRequest(_Request):
    query: Text | None = Field(
        default=None, description='Words in the query grammar: "flower + 2:bee - cartoon".'
    )
    parts: list[QueryPart] = Field(
        default_factory=list, max_length=32, description="Parts, instead of `query` or after its words."
    )

    @model_validator(mode="after")
    def _something_asked(self) -> "_QueryRequest":
        if self.query is None and not self.parts:
            raise ValueError("give query or parts")
        return self

    def all_parts(self) -> list[query_parts.GivenPart]:
        """The query as an argument of the service. Raises `QueryError` for words outside the grammar."""
        words = query_parts.parse_query(self.query) if self.query is not None else ()
        return [*words, *(part.part() for part in self.parts)]


class _SearchFields(_Request):
    """The fields that all search requests share."""

    top: Top = 10
    offset: Offset = 0
    min_score: float | None = Field(default=None, allow_inf_nan=False)
    sort: Sort = "score"
    sure: bool = Field(default=False, description="Only photos that really match; possibly none.")
    exact: bool = Field(
        default=False, description="Compare with all photos; an approximate index may miss some."
    )
    duplicates: bool = Field(default=False, description="Every copy of a photo, in place of one.")
    text: bool = Field(default=True, description="Also look for the words in the text read in photos.")
    text_only: bool = Field(default=False, description="Only photos with the words in their text.")

    def options(self, filters: Filters, *, balance: bool = True) -> SearchOptions:
        """The options of the search, with these filters."""
        return SearchOptions(
            top=self.top,
            offset=self.offset,
            min_score=self.min_score,
            sort=self.sort,
            balance=balance,
            sure=self.sure,
            duplicates=self.duplicates,
            exact=self.exact,
            text=self.text,
            text_only=self.text_only,
            filters=filters,
        )


class _BoundFields(_Request):
    """Filters by dates and sizes."""

    taken_from: Date | None = None
    taken_to: Date | None = None
    min_bytes: Size | None = Field(default=None, description="Least size of the file.")
    max_bytes: Size | None = None
    min_width: Size | None = Field(default=None, description="Least width of the upright photo in pixels.")
    max_width: Size | None = None
    min_height: Size | None = None
    max_height: Size | None = None

    def filters(self, labels: Sequence[str], cameras: Sequence[str], formats: Sequence[str]) -> Filters:
        """The filters, to the end of the period `taken_to`. Raises `QueryError` for an invalid date."""
        return Filters(
            labels=tuple(labels),
            cameras=tuple(cameras),
            formats=tuple(formats),
            after=self.taken_from,
            before=end_of(self.taken_to) if self.taken_to else None,
            **{name: getattr(self, name) for name in _SIZES},
        )


_SIZES = ("min_bytes", "max_bytes", "min_width", "max_width", "min_height", "max_height")


class SearchRequest(_SearchFields, _BoundFields, _QueryRequest):
    """A search by words or parts, as JSON."""

    folders: list[FolderId] = Field(
        default_factory=list, max_length=100, description="Only photos in and below these folders."
    )
    labels: list[Label] = Field(
        default_factory=list, max_length=100, description="Only photos with any of these labels."
    )
    cameras: list[Name] = Field(
        default_factory=list, max_length=100, description="Parts of the names of cameras, in any case."
    )
    formats: list[Name] = Field(default_factory=list, max_length=100, description="Such as jpeg or heic.")
    balance: bool = Field(
        default=True, description="Give words and pictures equal influence in mixed queries."
    )

    def search_options(self) -> SearchOptions:
        """The options of the search. Raises `QueryError` for an invalid date."""
        return self.options(self.filters(self.labels, self.cameras, self.formats), balance=self.balance)


class _FilterParameters(_BoundFields):
    """The filters of a search as query parameters."""

    folder: list[FolderId] = Field(default=[], max_length=100)
    label: list[Label] = Field(default=[], max_length=100)
    camera: list[Name] = Field(default=[], max_length=100)
    format: list[Name] = Field(default=[], max_length=100)

    def search_filters(self) -> Filters:
        """The filters, without the folders. Raises `QueryError` for an invalid date."""
        return self.filters(self.label, self.camera, self.format)


class Browse(_FilterParameters):
    """Photos to list, as query parameters."""

    top: Top = 100
    offset: Offset = 0
    duplicates: bool = Field(default=False, description="Every copy of a photo, in place of one.")


class WordSearch(_SearchFields, _FilterParameters):
    """A search by words, as query parameters."""

    q: Text = Field(description='Words in the query grammar: "flower + 2:bee - cartoon".')

    def search_options(self) -> SearchOptions:
        """The options of the search. Raises `QueryError` for an invalid date."""
        return self.options(self.search_filters())


class CommandSearch(_SearchFields):
    """A search with the options of the command `clipsight search`, as query parameters."""

    q: Text
    add: list[Text] = Field(default=[], max_length=32)
    subtract: list[Text] = Field(default=[], max_length=32)
    label: list[Label] = Field(default=[], max_length=100)
    balance: bool = True
    form: Format = Format.TABLE
    width: int = Field(default=200, ge=20, le=1000)
    colour: bool = False

    def search_options(self) -> SearchOptions:
        """The options of the search."""
        return self.options(Filters(labels=tuple(self.label)), balance=self.balance)


async def refuse_unknown_parameters(request: Request) -> None:
    """Raise `RequestValidationError` for a query parameter that a GET endpoint does not have."""
    if request.method != "GET":
        return
    known: set[str] = set()
    for parameter in request.scope["route"].dependant.query_params:
        kind = parameter.field_info.annotation
        is_model = isinstance(kind, type) and issubclass(kind, BaseModel)
        known.update(kind.model_fields if is_model else [parameter.alias])
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        message = f"unknown parameter; this endpoint has {', '.join(sorted(known)) or 'none'}"
        raise RequestValidationError([{"loc": ("query", name), "msg": message} for name in unknown])


class ClassifyRequest(_Request):
    """Photos to classify, labels and templates."""

    labels: list[Label] = Field(min_length=2, max_length=1000)
    photos: list[PhotoId] = Field(default=[], max_length=1000)
    pictures: list[Upload] = Field(default=[], max_length=32)
    uploads: list[KeptUpload] = Field(default=[], max_length=1000)
    folders: list[FolderId] = Field(
        default_factory=list, max_length=100, description="All photos in and below these folders."
    )
    everything: bool = Field(default=False, description="All photos of the library.")
    templates: Literal["plain", "simple", "imagenet"] = "plain"
    extra_templates: list[Annotated[str, Field(max_length=1000)]] = Field(
        default_factory=list, max_length=100
    )
    unknown: bool = Field(default=False, description="Recognise photos that no label fits.")
    keep: bool = Field(
        default=False, description="Store the best labels in the library, for the label filter of searches."
    )
    top: int = Field(5, ge=1, le=1000, description="Number of labels of each photo.")

    @model_validator(mode="after")
    def _something(self) -> "ClassifyRequest":
        if not (self.photos or self.pictures or self.uploads or self.folders or self.everything):
            raise ValueError("give photos, pictures, uploads or folders, or everything: true")
        return self


class ExplainRequest(_QueryRequest):
    """A query, and the photo whose score is to be explained."""

    photo: PhotoId | None = None
    picture: Upload | None = None
    upload: UploadId | None = None
    word: str | None = Field(default=None, max_length=1000, description="Heat map of this word only.")

    @model_validator(mode="after")
    def _one_photo(self) -> "ExplainRequest":
        if sum(value is not None for value in (self.photo, self.picture, self.upload)) != 1:
            raise ValueError("give exactly one of photo, picture and upload")
        return self

    def shown(self) -> "int | query_parts.UploadPart | query_parts.KeptPart":
        """The photo as the service takes it."""
        if self.picture is not None:
            return self.picture.part()
        if self.upload is not None:
            return query_parts.KeptPart(self.upload)
        assert self.photo is not None
        return self.photo


class LabelRequest(_Request):
    """A label for photos."""

    label: Label
    photos: list[PhotoId] = Field(min_length=1, max_length=10_000)

    @field_validator("label")
    @classmethod
    def _not_blank(cls, label: str) -> str:
        if not label.strip():
            raise ValueError("a label needs a letter")
        return " ".join(label.split())


class IndexRequest(_Request):
    """An indexing run."""

    folders: list[FolderId] = Field(
        default_factory=list, max_length=100, description="Default: all indexed folders."
    )
    model: str = Field("auto", max_length=200, description="Switch to this model, a name of GET /models.")
    retry: bool = Field(default=False, description="Try failed files again.")
    exclude: list[Pattern] | None = Field(
        default=None,
        max_length=100,
        description='Patterns of files and folders to leave out, such as "*.gif"; default: those of before.',
    )
    samples: bool = Field(
        default=False, description="Index the sample photos, if GET /status has any, and nothing else."
    )

    @model_validator(mode="after")
    def _samples_alone(self) -> "IndexRequest":
        if self.samples and (self.folders or self.model != "auto" or self.retry or self.exclude is not None):
            raise ValueError("samples can't be combined with other fields")
        return self


class EmbedRequest(_Request):
    """Texts and pictures to embed."""

    texts: list[Text] = Field(default=[], max_length=1000)
    pictures: list[Upload] = Field(default=[], max_length=32)

    @model_validator(mode="after")
    def _something(self) -> "EmbedRequest":
        if not (self.texts or self.pictures):
            raise ValueError("give texts or pictures")
        return self


class OpenAIRequest(BaseModel):
    """A request as in https://platform.openai.com/docs/api-reference/embeddings; other fields are ignored."""

    model_config = ConfigDict(json_schema_extra=add_example)

    input: Text | Annotated[list[Text], Field(min_length=1, max_length=1000)]
    model: str | None = Field(
        default=None, max_length=200, description="Must be the library's model, if given."
    )
    encoding_format: Literal["float", "base64"] = "float"
