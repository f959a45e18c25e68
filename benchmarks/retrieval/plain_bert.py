"""The same encoder written a second time, plainly in numpy: what the exported graph is checked
against, and the yardstick of its speed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from llm_service.retrieval.bert import read_safetensors

Array = NDArray[np.float32]
erf = np.vectorize(math.erf, otypes=[np.float32])


class PlainBert:
    """The model in `folder`, as it is published; one text at a time."""

    def __init__(self, folder: Path, window: int = 256) -> None:
        self.weights = read_safetensors((folder / "model.safetensors").read_bytes())
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_bytes())
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(window)

    def embed(self, text: str) -> Array:
        """The mean of the last layer's tokens, of length 1."""
        ids = self.tokenizer.encode(text).ids
        weights, at = self.weights, "embeddings."
        tokens = (
            weights[f"{at}word_embeddings.weight"][ids]
            + weights[f"{at}position_embeddings.weight"][: len(ids)]
            + weights[f"{at}token_type_embeddings.weight"][0]
        )
        tokens = self._norm(tokens, f"{at}LayerNorm")
        for layer in range(self.config["num_hidden_layers"]):
            tokens = self._layer(tokens, f"encoder.layer.{layer}.")
        mean = tokens.mean(axis=0)
        found: Array = mean / np.linalg.norm(mean)
        return found

    def _layer(self, tokens: Array, at: str) -> Array:
        mixed = self._linear(
            self._attention(tokens, f"{at}attention.self."), f"{at}attention.output.dense"
        )
        tokens = self._norm(tokens + mixed, f"{at}attention.output.LayerNorm")
        wide = self._linear(tokens, f"{at}intermediate.dense")
        wide = wide * 0.5 * (1 + erf(wide / math.sqrt(2)))
        return self._norm(tokens + self._linear(wide, f"{at}output.dense"), f"{at}output.LayerNorm")

    def _attention(self, tokens: Array, at: str) -> Array:
        heads = self.config["num_attention_heads"]
        width = tokens.shape[1] // heads
        query, key, value = (
            self._linear(tokens, f"{at}{name}").reshape(-1, heads, width).transpose(1, 0, 2)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(width)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (shares / shares.sum(axis=-1, keepdims=True)) @ value
        joined: Array = mixed.transpose(1, 0, 2).reshape(tokens.shape)
        return joined

    def _linear(self, value: Array, name: str) -> Array:
        return value @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _norm(self, value: Array, name: str) -> Array:
        centred = value - value.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(variance + self.config["layer_norm_eps"])
        found: Array = scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]
        return found
