"""From texts to unit vectors: the port, and a small transformer run in this process.

`LocalEmbedder` reads a folder that `python -m llm_service.retrieval.export` made. It embeds one
text at a time: dynamic quantization scales a whole batch by its largest value, so that in a batch a
text's vector would depend on its neighbours, and a question would wait for pages that are embedded
in the background. One thread of its own computes; onnxruntime lets go of the interpreter meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from llm_service.environ import SettingsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[np.float32]"

MODEL_FILE, TOKENIZER_FILE = "model.onnx", "tokenizer.json"
WINDOW = 256
"""Tokens of a text that are read, as the model card says; the rest is cut."""
REMEMBERED = 2048
"""Questions whose vectors are kept: 3 MB."""


class EmbedderError(Exception):
    """There are no vectors to be had now; one sentence, fit for a log."""


class Embedder(Protocol):
    """Turns texts into vectors of length 1; one instance serves all requests of a process."""

    @property
    def digest(self) -> str:
        """Names the model: vectors can be compared if their digests are the same."""
        ...

    async def embed(self, texts: Sequence[str]) -> Array:
        """One row per text. Raises EmbedderError."""
        ...

    async def close(self) -> None:
        """Lets go of threads and connections."""
        ...


class LocalEmbedder:
    """The model in `folder`, loaded at once (0.1 s); remembers the vectors of that many questions.

    Raises SettingsError.
    """

    def __init__(self, folder: Path, remembered: int = REMEMBERED) -> None:
        try:
            content = (folder / MODEL_FILE).read_bytes()
            words = (folder / TOKENIZER_FILE).read_bytes()
        except OSError as error:
            raise SettingsError(
                f"EMBEDDER is {folder}, which holds no {MODEL_FILE} and {TOKENIZER_FILE}: make "
                f"them with `python -m llm_service.retrieval.export {folder}`."
            ) from error
        self.digest = hashlib.sha256(content + words).hexdigest()
        self._session, self._tokenizer = _session(content), _tokenizer(words)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedder")
        self._known: OrderedDict[str, Array] = OrderedDict()
        self._most = remembered

    async def embed(self, texts: Sequence[str]) -> Array:
        """See `Embedder`. What is asked for alone is a question, and remembered."""
        import numpy as np

        loop = asyncio.get_running_loop()
        if len(texts) == 1 and (known := self._recalled(texts[0])) is not None:
            return known[np.newaxis]
        rows = [await loop.run_in_executor(self._thread, self._computed, text) for text in texts]
        if len(texts) == 1:
            self._remember(texts[0], rows[0])
        return np.stack(rows)

    async def close(self) -> None:
        """See `Embedder`."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _computed(self, text: str) -> Array:
        import numpy as np

        ids = np.array([self._tokenizer.encode(text).ids], np.int64)
        row: Array = self._session.run(None, {"input_ids": ids})[0][0]
        return row

    def _recalled(self, text: str) -> Array | None:
        row = self._known.get(text)
        if row is not None:
            self._known.move_to_end(text)
        return row

    def _remember(self, text: str, row: Array) -> None:
        self._known[text] = row
        if len(self._known) > self._most:
            self._known.popitem(last=False)


def _session(content: bytes) -> Any:
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _tokenizer(content: bytes) -> Any:
    import tokenizers

    made = tokenizers.Tokenizer.from_buffer(content)
    made.no_padding()
    made.enable_truncation(WINDOW)
    return made
