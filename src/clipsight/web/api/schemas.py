"""What requests to the API hold and what it answers, as OpenAPI describes them. Called by `api` only."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, model_validator

from clipsight.core.dates import end_of
from clipsight.render.tables import Format
from clipsight.search.options import SearchOptions, Sort
from clipsight.store.filters import Filters
from clipsight.web.service import query_parts

MOST_TOP = 1000
MOST_TEXT = 10_000

PhotoId = Annotated[int, Field(ge=1, le=2**63 - 1, description="The number of a photo of the library.")]
FolderId = Annotated[str, Field(max_length=64, description="The id of a folder, as GET /folders gives it.")]
Text = Annotated[str, Field(min_length=1, max_length=MOST_TEXT)]
Label = Annotated[str, Field(min_length=1, max_length=1000)]
Weight = Annotated[float, Field(allow_inf_nan=False, description="Negative to subtract.")]
Date = Annotated[
    str,
    Field(max_length=19, description="2024, 2024-05, 2024-05-31 or 2024-05-31T18:30; included as a whole."),
]
Top = Annotated[int, Field(ge=1, le=MOST_TOP, description="How many photos.")]
Offset = Annotated[int, Field(ge=0, le=100_000, description="Skip so many of the best.")]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


# -- requests --------------------------------------------------------------------------


class Upload(_Closed):
    """A picture: a file of any format that can be indexed, in base64."""

    picture: Base64Bytes
    name: str = Field("picture", max_length=255, description="What it is called in the answer.")

    def part(self, weight: float = 1.0) -> query_parts.UploadPart:
        return query_parts.UploadPart(self.picture, self.name, weight)


class QueryPart(_Closed):
    """One part of a query: a text, a photo of the library, or an uploaded picture."""

    text: Text | None = None
    photo: PhotoId | None = None
    picture: Base64Bytes | None = None
    name: str = Field("picture", max_length=255, description="What an uploaded picture is called.")
    weight: Weight = 1.0

    @model_validator(mode="after")
    def _one(self) -> "QueryPart":
        if sum(value is not None for value in (self.text, self.photo, self.picture)) != 1:
            raise ValueError("give exactly one of text, photo and picture")
        return self

    def part(self) -> query_parts.QueryPart:
        if self.text is not None:
            return query_parts.TextPart(self.text, self.weight)
        if self.photo is not None:
            return query_parts.PhotoPart(self.photo, self.weight)
        assert self.picture is not None
        return query_parts.UploadPart(self.picture, self.name, self.weight)


class _Query(_Closed):
    query: Text | None = Field(default=None, description='Words by the grammar: "flower + 2:bee - cartoon".')
    parts: list[QueryPart] = Field(
        default_factory=list, max_length=32, description="Or the parts one by one."
    )

    @model_validator(mode="after")
    def _one_form(self) -> "_Query":
        if (self.query is None) == (not self.parts):
            raise ValueError("give either query or parts")
        return self

    def asked(self) -> str | list[query_parts.QueryPart]:
        return self.query if self.query is not None else [part.part() for part in self.parts]


class _SearchFields(_Closed):
    """Fields that all search requests have."""

    top: Top = 10
    offset: Offset = 0
    min_score: float | None = Field(default=None, allow_inf_nan=False)
    sort: Sort = "score"
    sure: bool = Field(default=False, description="Only photos that really match, none if nothing does.")
    exact: bool = Field(
        default=False, description="Compare all photos, where an approximate index may miss some."
    )

    def options(self, filters: Filters, *, balance: bool = True) -> SearchOptions:
        """Options of the search, with these filters."""
        return SearchOptions(
            top=self.top,
            offset=self.offset,
            min_score=self.min_score,
            sort=self.sort,
            balance=balance,
            sure=self.sure,
            exact=self.exact,
            filters=filters,
        )


class SearchRequest(_SearchFields, _Query):
    """A search by words or parts, as JSON."""

    folders: list[FolderId] = Field(
        default_factory=list, max_length=100, description="Only photos in and below these."
    )
    labels: list[Label] = Field(
        default_factory=list, max_length=100, description="Only photos with any of these labels."
    )
    taken_from: Date | None = None
    taken_to: Date | None = None
    balance: bool = Field(default=True, description="Give words and pictures equal say in mixed queries.")

    def search_options(self) -> SearchOptions:
        """Options of the search; raises `QueryError` for a date that can't be read."""
        return self.options(_filters(self.labels, self.taken_from, self.taken_to), balance=self.balance)


class WordSearch(_SearchFields):
    """A search by words, as query parameters."""

    model_config = ConfigDict(extra="ignore")

    q: Text = Field(description='Words by the grammar: "flower + 2:bee - cartoon".')
    folder: list[FolderId] = Field(default=[], max_length=100)
    label: list[Label] = Field(default=[], max_length=100)
    taken_from: Date | None = None
    taken_to: Date | None = None

    def search_options(self) -> SearchOptions:
        """Options of the search; raises `QueryError` for a date that can't be read."""
        return self.options(_filters(self.label, self.taken_from, self.taken_to))


class CommandSearch(_SearchFields):
    """A search as the command `clipsight search` makes it, as query parameters."""

    model_config = ConfigDict(extra="ignore")

    q: Text
    add: list[Text] = Field(default=[], max_length=32)
    subtract: list[Text] = Field(default=[], max_length=32)
    label: list[Label] = Field(default=[], max_length=100)
    balance: bool = True
    form: Format = Format.TABLE
    width: int = Field(default=200, ge=20, le=1000)
    colour: bool = False

    def search_options(self) -> SearchOptions:
        """Options of the search."""
        return self.options(_filters(self.label), balance=self.balance)


def _filters(labels: Sequence[str], taken_from: str | None = None, taken_to: str | None = None) -> Filters:
    """Filters of a request, whose `taken_to` is included as a whole."""
    before = end_of(taken_to) if taken_to else None
    return Filters(labels=tuple(labels), after=taken_from, before=before)


class ClassifyRequest(_Closed):
    labels: list[Label] = Field(min_length=2, max_length=1000)
    photos: list[PhotoId] = Field(default=[], max_length=1000)
    pictures: list[Upload] = Field(default=[], max_length=32)
    folders: list[FolderId] = Field(
        default_factory=list, max_length=100, description="All photos in and below these."
    )
    everything: bool = Field(default=False, description="All photos of the library.")
    templates: Literal["plain", "simple", "imagenet"] = "plain"
    extra_templates: list[Annotated[str, Field(max_length=1000)]] = Field(
        default_factory=list, max_length=100
    )
    unknown: bool = Field(default=False, description="Tell photos apart that no label fits.")
    keep: bool = Field(
        default=False, description="Note the best labels in the library, for searches by label."
    )
    top: int = Field(5, ge=1, le=1000, description="How many labels of each photo.")

    @model_validator(mode="after")
    def _something(self) -> "ClassifyRequest":
        if not (self.photos or self.pictures or self.folders or self.everything):
            raise ValueError("give photos, pictures or folders, or everything: true")
        return self


class ExplainRequest(_Query):
    photo: PhotoId | None = None
    picture: Upload | None = None
    word: str | None = Field(default=None, max_length=1000, description="Show the places of this word alone.")

    @model_validator(mode="after")
    def _one_photo(self) -> "ExplainRequest":
        if (self.photo is None) == (self.picture is None):
            raise ValueError("give either photo or picture")
        return self


class IndexRequest(_Closed):
    folders: list[FolderId] = Field(
        default_factory=list, max_length=100, description="Default: all that were indexed before."
    )
    model: str = Field("auto", max_length=200, description="Switch to this model, a name of GET /models.")
    retry: bool = Field(default=False, description="Try files again that failed before.")


class EmbedRequest(_Closed):
    texts: list[Text] = Field(default=[], max_length=1000)
    pictures: list[Upload] = Field(default=[], max_length=32)

    @model_validator(mode="after")
    def _something(self) -> "EmbedRequest":
        if not (self.texts or self.pictures):
            raise ValueError("give texts or pictures")
        return self


class OpenAIRequest(BaseModel):
    """As https://platform.openai.com/docs/api-reference/embeddings; fields not named here are ignored."""

    input: Text | Annotated[list[Text], Field(min_length=1, max_length=1000)]
    model: str | None = Field(default=None, max_length=200, description="The library's model, if given.")
    encoding_format: Literal["float", "base64"] = "float"


# -- answers ---------------------------------------------------------------------------


class FoundPhoto(BaseModel):
    path: str
    score: float = Field(description="The cosine of the query's and the photo's embedding, -1 to 1.")
    id: int
    width: int | None
    height: int | None
    taken: str | None = Field(description="ISO 8601, local time.")


class SearchAnswer(BaseModel):
    """As `clipsight search --json` prints it, and what the user should know of how the query was read."""

    query: str
    model: str
    matches: list[FoundPhoto]
    notes: list[str]


class PhotoAnswer(BaseModel):
    id: int
    path: str
    size: int = Field(description="Bytes.")
    width: int | None
    height: int | None
    format: str | None
    taken: str | None
    taken_source: str | None = Field(description="exif, or mtime where EXIF has no date.")
    camera: str | None
    reachable: bool
    labels: list[str]
    latitude: float | None = Field(description="Degrees; only if asked for and kept.")
    longitude: float | None


class LabelProbability(BaseModel):
    label: str
    probability: float


class ClassifiedPhoto(BaseModel):
    id: int = Field(description="0 for an uploaded picture.")
    path: str = Field(description="An uploaded picture's name.")
    labels: list[LabelProbability] = Field(description="The best labels, best first.")


class ClassifyAnswer(BaseModel):
    model: str
    templates: str
    scoring: str = Field(description="softmax: a photo's probabilities add up to 1; sigmoid: each by itself.")
    photos: list[ClassifiedPhoto]
    notes: list[str]


class WordAnswer(BaseModel):
    word: str
    contribution: float
    stderr: float | None


class PartAnswer(BaseModel):
    part: str
    share: float = Field(description="What it adds to the score: coefficient x cosine.")
    coefficient: float
    cosine: float
    words: int = Field(description="How many of the words are this part's.")


class RegionAnswer(BaseModel):
    of: str
    method: str
    unit: str
    seen: list[float] = Field(description="Left, top, right, bottom of what the model sees, in shares.")
    heat: list[list[float]] = Field(description="Rows from above; higher where the score is made.")


class ExplainAnswer(BaseModel):
    """As `clipsight explain --json` prints it."""

    score: float
    method: str
    words: list[WordAnswer]
    region: RegionAnswer | None
    parts: list[PartAnswer] = Field(default=[], description="Only where there are several.")
    notes: list[str]


class EmbedAnswer(BaseModel):
    model: str
    dim: int
    vectors: list[list[float]] = Field(description="Unit length; those of texts, then those of pictures.")


class OpenAIEmbedding(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class OpenAIUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class OpenAIAnswer(BaseModel):
    object: Literal["list"] = "list"
    data: list[OpenAIEmbedding]
    model: str
    usage: OpenAIUsage


class FolderAnswer(BaseModel):
    id: str
    path: str
    photos: int | None = Field(description="None for a folder that is not indexed.")
    unreachable: int
    indexed: str | None


class JobAnswer(BaseModel):
    """An indexing run; counts are files, times are seconds since 1970."""

    id: str
    state: Literal["running", "done", "failed", "stopped"]
    what: str
    model: str
    scanned: int
    done: int
    total: int | None
    embedded: int
    recognised: int
    failed: int
    started: float
    finished: float | None
    notes: list[str]
    error: str | None


class FailureAnswer(BaseModel):
    path: str
    reason: str
    date: str


class LabelAnswer(BaseModel):
    label: str
    photos: int


class ModelAnswer(BaseModel):
    name: str
    on_disk: bool
    in_use: bool
    recommended: bool
    multilingual: bool | None
    license: str | None
    commercial: bool | None
    embed_dim: int | None
    size_bytes: int | None
    retrieval: float | None
    imagenet_top1: float | None
    problem: str | None


class StatusAnswer(BaseModel):
    library: str
    model: str | None
    next_model: str | None
    to_embed: int
    photos: int
    unreachable: int
    missing: int
    bytes: int
    failures: int


class HealthAnswer(BaseModel):
    ok: bool
    photos: int | None
    model: str | None
    problems: list[str]


class Alive(BaseModel):
    ok: bool
