"""The exported model is the published one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest

from llm_service.environ import SettingsError
from llm_service.retrieval import bert
from llm_service.retrieval.embedder import LocalEmbedder
from llm_service.retrieval.export import WEIGHTS, main

TEXTS = ("Who was the first Duke of Normandy?", "The dishwasher rinses at 82 degrees.", "Salt")


def test_the_graph_computes_what_a_second_writing_of_the_encoder_computes(
    original: Path, bench: Callable[[str], Any]
) -> None:
    plain = bench("plain_bert").PlainBert(original)
    graph = bert.encoder(plain.weights, bert.Shape.parse(plain.config))
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for text in TEXTS:
        ids = np.array([plain.tokenizer.encode(text).ids])
        (row,) = session.run(None, {"input_ids": ids})[0]
        assert row == pytest.approx(plain.embed(text), abs=1e-5)


async def test_eight_bits_turn_no_vector_by_more_than_a_little(
    original: Path, embedder: LocalEmbedder, bench: Callable[[str], Any]
) -> None:
    plain = bench("plain_bert").PlainBert(original)
    for text, row in zip(TEXTS, await embedder.embed(TEXTS), strict=True):
        assert float(row @ plain.embed(text)) > 0.98
        assert float(row @ row) == pytest.approx(1, abs=1e-5)


def test_the_folder_holds_the_model_its_tokenizer_and_the_licence(model: Path) -> None:
    assert {path.name for path in model.iterdir()} == {"model.onnx", "tokenizer.json", "NOTICE"}
    notice = (model / "NOTICE").read_text()
    assert "Apache License, Version 2.0" in notice
    assert "quantized to 8 bits" in notice
    assert WEIGHTS in notice
    assert (model / "model.onnx").stat().st_size < 30e6


def test_other_weights_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "model.safetensors").write_bytes(b"other weights")
    assert main([str(target), "--source", str(source)]) == 2
    assert "is not the published all-MiniLM-L6-v2" in capsys.readouterr().err
    assert not target.exists()


async def test_a_text_longer_than_the_window_is_cut(embedder: LocalEmbedder) -> None:
    long = "salt " * 600
    rows = await embedder.embed([long, f"{long} pepper"])
    assert np.array_equal(rows[0], rows[1])


async def test_what_means_the_same_is_nearer_than_what_does_not(embedder: LocalEmbedder) -> None:
    asked, same, other = await embedder.embed(
        ["How hot does it get?", "Its highest temperature", "Annual leave is 28 days"]
    )
    assert float(asked @ same) > float(asked @ other) + 0.2


async def test_a_texts_vector_does_not_depend_on_its_neighbours(embedder: LocalEmbedder) -> None:
    together = await embedder.embed(list(TEXTS))
    for text, row in zip(TEXTS, together, strict=True):
        assert np.array_equal((await embedder.embed([text]))[0], row)


def test_a_folder_without_a_model_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="python -m llm_service"):
        LocalEmbedder(tmp_path)
