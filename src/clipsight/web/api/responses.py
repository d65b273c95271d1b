"""Schemas of the responses of the HTTP API."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from clipsight.web.api.examples import add_example

_TAKEN_SOURCE = "exif, xmp, png, gps, sidecar, name, takeout, modified or mtime: see docs/indexing.md."


class _Answer(BaseModel):
    model_config = ConfigDict(json_schema_extra=add_example)


class ListedPhoto(_Answer):
    """A photo of a listing."""

    path: str
    id: int
    width: int | None
    height: int | None
    taken: str | None = Field(description="ISO 8601, local time.")
    taken_source: str | None = Field(description=_TAKEN_SOURCE)


class FoundPhoto(ListedPhoto):
    """A photo that matches a query."""

    score: float = Field(description="Cosine of the embeddings of query and photo, -1 to 1.")
    copies: list[str] = Field(default=[], description="Paths of other files with the same content, if any.")
    text: list[str] = Field(default=[], description="Lines of text in the photo with words of the query.")


class FoundPart(_Answer):
    """A part of a query: `text`, `printed`, `photo`, `upload`, or the `name` of a picture that was sent."""

    text: str | None = None
    printed: str | None = None
    photo: int | None = None
    upload: str | None = None
    name: str | None = None
    weight: float


class ListingAnswer(_Answer):
    """Photos, the newest first, and the number of all that pass the filters."""

    photos: list[ListedPhoto]
    total: int


class UploadAnswer(_Answer):
    """A kept picture, which later requests name by its id."""

    id: str


class FiltersAnswer(_Answer):
    """Values of photos that searches can be filtered by."""

    cameras: list[str]
    formats: list[str]


class LabelledAnswer(_Answer):
    """The number of photos whose labels have changed."""

    photos: int


class ForgottenAnswer(_Answer):
    """The result of dropping a folder from the library."""

    photos: int


class SearchAnswer(_Answer):
    """The output of `clipsight search --json`, and notes on how the query was understood."""

    query: str
    model: str
    matches: list[FoundPhoto]
    parts: list[FoundPart] = Field(description="The parts of the query, as it was understood.")
    notes: list[str]


class PhotoAnswer(_Answer):
    """The metadata of a photo."""

    id: int
    path: str
    size: int = Field(description="Bytes.")
    width: int | None
    height: int | None
    format: str | None
    taken: str | None
    taken_source: str | None = Field(description=_TAKEN_SOURCE)
    camera: str | None
    reachable: bool
    labels: list[str]
    latitude: float | None = Field(description="Degrees; only if requested and stored.")
    longitude: float | None
    partial: str | None = Field(
        description="The reason why only a part of the picture could be read; null if all was."
    )


class LabelProbability(_Answer):
    """A label and its probability."""

    label: str
    probability: float


class ClassifiedPhoto(_Answer):
    """A photo or upload with its labels."""

    id: int = Field(description="0 for an uploaded picture.")
    path: str = Field(description="The name of an uploaded picture.")
    labels: list[LabelProbability] = Field(description="The best labels, best first.")


class ClassifyAnswer(_Answer):
    """The result of a classification."""

    model: str
    templates: str
    scoring: str = Field(
        description="softmax: the probabilities of a photo add up to 1; sigmoid: they are independent."
    )
    photos: list[ClassifiedPhoto]
    notes: list[str]


class WordAnswer(_Answer):
    """The contribution of a word to the score."""

    word: str
    contribution: float
    stderr: float | None


class PartAnswer(_Answer):
    """The share of a part of the query in the score."""

    part: str
    share: float = Field(description="Contribution to the score: coefficient x cosine.")
    coefficient: float
    cosine: float
    words: int = Field(description="Number of the words that belong to this part.")


class RegionAnswer(_Answer):
    """A heat map over the photo."""

    of: str
    method: str
    unit: str
    seen: list[float] = Field(
        description="Left, top, right and bottom of the part that the model sees, as fractions of the photo."
    )
    heat: list[list[float]] = Field(description="Rows from the top; higher where the score comes from.")


class TextAnswer(_Answer):
    """A line of text in a photo."""

    text: str
    box: list[float] = Field(description="Left, top, right and bottom as fractions of the photo's sides.")


class ExplainAnswer(_Answer):
    """The output of `clipsight explain --json`."""

    score: float
    method: str
    words: list[WordAnswer]
    region: RegionAnswer | None
    parts: list[PartAnswer] = Field(default=[], description="Only if there are several.")
    text: list[TextAnswer] = Field(default=[], description="Lines in the photo with words of the query.")
    notes: list[str]


class EmbedAnswer(_Answer):
    """Embeddings of texts and pictures."""

    model: str
    dim: int
    vectors: list[list[float]] = Field(description="Unit vectors: those of texts, then those of pictures.")


class OpenAIEmbedding(_Answer):
    """An embedding in OpenAI's format."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class OpenAIUsage(_Answer):
    """Token counts in OpenAI's format."""

    prompt_tokens: int
    total_tokens: int


class OpenAIAnswer(_Answer):
    """Embeddings in OpenAI's format."""

    object: Literal["list"] = "list"
    data: list[OpenAIEmbedding]
    model: str
    usage: OpenAIUsage


class FolderAnswer(_Answer):
    """A folder that requests can name by its id."""

    id: str
    path: str
    photos: int | None = Field(description="null for a folder that is not indexed.")
    unreachable: int
    indexed: str | None
    exclude: list[str] = Field(description="Patterns of files and folders that are left out.")


class JobAnswer(_Answer):
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


class FailureAnswer(_Answer):
    """A file that could not be read as a photo."""

    path: str
    reason: str
    date: str


class PartialAnswer(_Answer):
    """A photo of which only a part could be read, and the reason."""

    path: str
    reason: str


class LabelAnswer(_Answer):
    """A label and the number of its photos."""

    label: str
    photos: int


class ModelAnswer(_Answer):
    """A model on disk or available for download."""

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


class StatusAnswer(_Answer):
    """The contents of the library."""

    library: str
    model: str | None
    next_model: str | None
    to_embed: int
    photos: int
    unreachable: int
    missing: int
    bytes: int
    failures: int
    partial: int
    text_read: int = Field(description="Photos in which text was looked for.")
    with_text: int = Field(description="Photos in which there was text.")
    samples: bool = Field(description="There are sample photos, which POST /index takes.")


class HealthAnswer(_Answer):
    """The result of the health check."""

    ok: bool
    photos: int | None
    model: str | None
    problems: list[str]


class Alive(_Answer):
    """The result of the public health check."""

    ok: bool
