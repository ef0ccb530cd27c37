"""Networks that were compiled, on ONNX Runtime: neither PyTorch nor transformers is imported."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np

from lookalike.errors import ModelUnavailable
from lookalike.metrics import normalised
from lookalike.models.backbones.onnx import OnnxBackbone, first_line, open_session
from lookalike.models.compiled import INT8, PICTURES, TOKENIZER, WORDS, Compiled, precision
from lookalike.models.tuning import usable_cores
from lookalike.types import ModelCard, TextBackbone, Vectors

TextEmbedder = Callable[[Sequence[str]], Vectors]


class CompiledBackbone(OnnxBackbone):
    """The network that sees."""

    def __init__(self, card: ModelCard, compiled: Compiled) -> None:
        eight = precision(card) == INT8
        # The scales of 8-bit numbers are those of a batch: alone, a picture's vector is its own.
        alone = eight or card.options.get("batch") == "1"
        super().__init__(card, str(compiled.folder / PICTURES), output="vectors", one_by_one=alone, packed=eight)


class CompiledWordsBackbone(CompiledBackbone):
    """One that reads words too. `otherwise` loads the uncompiled network, for words that were not compiled."""

    def __init__(self, card: ModelCard, compiled: Compiled, otherwise: Callable[[], TextBackbone]) -> None:
        super().__init__(card, compiled)
        self._compiled, self._otherwise = compiled, otherwise
        self._embed_texts: TextEmbedder | None = None
        self._loading = threading.Lock()

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, dim) float32 of length 1. Raises ModelUnavailable where the weights have no tokenizer."""
        if not texts:
            return np.zeros((0, self.card.dim), dtype=np.float32)
        with self._loading:
            if self._embed_texts is None:
                words = self._compiled.reads_words
                self._embed_texts = read_with(self.card, self._compiled) if words else self._otherwise().embed_texts
        return self._embed_texts(texts)


def read_with(card: ModelCard, compiled: Compiled) -> TextEmbedder:
    """Texts -> (n, dim), by the compiled tower for words. Raises ModelUnavailable."""
    try:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(compiled.folder / TOKENIZER))
    except ImportError as error:
        raise ModelUnavailable(
            f"model {card.name!r} cannot read words: tokenizers is not installed: pip install 'lookalike[torch]'"
        ) from error
    except Exception as error:  # whatever its parser raises
        raise ModelUnavailable(
            f"model {card.name!r}: {compiled.folder / TOKENIZER} cannot be used: lookalike models compile {card.name}"
        ) from error
    session = open_session(str(compiled.folder / WORDS), threads=usable_cores(), packed=False)

    def embed_texts(texts: Sequence[str]) -> Vectors:
        try:
            found = tokenizer.encode_batch(list(texts))
            tokens = np.array([[text.ids, text.attention_mask] for text in found], dtype=np.int64)
            return normalised(np.asarray(session.run(["vectors"], {"tokens": tokens})[0], dtype=np.float32))
        except Exception as error:  # neither library has a common ancestor for its errors
            raise ModelUnavailable(f"model {card.name!r} failed on words: {first_line(error)}") from error

    return embed_texts
