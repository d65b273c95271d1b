"""CLIP's byte-pair vocabulary and tokenizer, for exported models.

Published model folders have their own `tokenizer.json`; exports write theirs with `clip_tokenizer()`.
"""

import gzip
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

START = "<|startoftext|>"
END = "<|endoftext|>"

_END_OF_WORD = "</w>"
# Special tokens, English contractions, words, single digits, runs of anything else but space.
_PRETOKENS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def clip_tokenizer() -> "Tokenizer":
    """Build the tokenizer of CLIP text towers with 49,408 tokens, without padding or truncation.

    Its ids are those of `openai/clip-vit-base-patch32`. Text is normalised to Unicode NFC and lower case,
    with one space for runs of whitespace, and put between a start (49406) and an end (49407) token. Source:
    https://github.com/openai/CLIP, `clip/simple_tokenizer.py`, and transformers' `CLIPTokenizer`.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import BPE

    merges = read_merges()
    vocabulary = clip_vocabulary(merges)
    tokenizer = Tokenizer(
        BPE(
            vocab=vocabulary,
            merges=merges,
            unk_token=END,
            continuing_subword_prefix="",
            end_of_word_suffix=_END_OF_WORD,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PRETOKENS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(
        (END, vocabulary[END]), (START, vocabulary[START]), trim_offsets=False, add_prefix_space=False
    )
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in (START, END)])
    return tokenizer


def read_merges() -> list[tuple[str, str]]:
    """Read the 48,894 merges of byte-pair encoding, ordered by rank."""
    packed = (files(__package__) / "bpe_simple_vocab_16e6.txt.gz").read_bytes()
    _heading, *lines = gzip.decompress(packed).decode().splitlines()
    pairs = (line.split(" ") for line in lines)
    return [(left, right) for left, right in pairs]


def clip_vocabulary(merges: list[tuple[str, str]]) -> dict[str, int]:
    """Map 49,408 tokens to ids: bytes, bytes that end a word, merged pairs, the two special tokens."""
    single = _byte_characters()
    tokens = [*single, *(letter + _END_OF_WORD for letter in single), *(a + b for a, b in merges), START, END]
    return {token: index for index, token in enumerate(tokens)}


def _byte_characters() -> list[str]:
    """GPT-2's printable characters for the 256 bytes: printable bytes stand for themselves and come first."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = 256 - len(printable)
    return [chr(code) for code in (*printable, *range(256, 256 + others))]
