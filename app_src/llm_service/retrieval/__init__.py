"""Finding passages: BM25 and embeddings, where the vectors are kept, and how the index is renewed.

`Retrieval` is what the service searches; `settings.build` makes the `Reindexer` that fills it.
"""

from llm_service.retrieval.embedder import Embedder, EmbedderError, LocalEmbedder
from llm_service.retrieval.grounding import grounded
from llm_service.retrieval.index import Index
from llm_service.retrieval.reindex import Reindexer, Source
from llm_service.retrieval.retrieval import Retrieval
from llm_service.retrieval.settings import (
    RetrievalSettings,
    build,
    build_embedder,
    from_environ,
)

__all__ = [
    "Embedder",
    "EmbedderError",
    "Index",
    "LocalEmbedder",
    "Reindexer",
    "Retrieval",
    "RetrievalSettings",
    "Source",
    "build",
    "build_embedder",
    "from_environ",
    "grounded",
]
