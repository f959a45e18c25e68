"""The BERT encoder as an ONNX graph: from token ids to one unit vector per text.

The graph is built node by node from the weights, so that neither exporting nor running it needs
PyTorch. Architecture: Devlin et al., "BERT" (NAACL 2019), post-layer-norm as in the original;
pooling: the mean over the tokens, then L2 norm, as the sentence-transformers model card of
all-MiniLM-L6-v2 prescribes. All texts of a batch have the same number of tokens: there is no mask.
Queries, keys and values come from one product, and the embedding of segment 0, the only one used,
is in those of the positions. Attention is onnxruntime's own operator (`MultiHeadAttention` of
com.microsoft, which divides by the square root of a head's width) in the place of twelve.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
"""The oldest that opset 17 allows: what runs the file may be older than what wrote it."""
OWN = "com.microsoft"
"""The domain of onnxruntime's own operators."""

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of an encoder, as its `config.json` names them."""

    layers: int
    heads: int
    width: int
    epsilon: float

    @classmethod
    def parse(cls, config: Mapping[str, Any]) -> Shape:
        """The sizes in a BERT `config.json`."""
        return cls(
            int(config["num_hidden_layers"]),
            int(config["num_attention_heads"]),
            int(config["hidden_size"]),
            float(config["layer_norm_eps"]),
        )


def read_safetensors(content: bytes) -> dict[str, Array]:
    """The 32-bit float tensors in a safetensors file.

    Its format: the header's length (8 bytes, little-endian), the header (JSON: name to type, shape
    and the two ends of its data), the data.
    """
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), memoryview(content)[8 + length :]
    return {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], np.float32).reshape(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] == "F32"
    }


def encoder(weights: Mapping[str, Array], shape: Shape) -> ModelProto:
    """The graph: `input_ids` (int64, texts x tokens) to `embedding` (texts x width)."""
    graph = _Graph(weights, shape)
    tokens = _embedded(graph)
    for layer in range(shape.layers):
        tokens = _layer(graph, f"encoder.layer.{layer}", tokens)
    _pooled(graph, tokens)
    return graph.model()


class _Graph:
    """Collects nodes and constants; every method gives the name of its result."""

    def __init__(self, weights: Mapping[str, Array], shape: Shape) -> None:
        self.weights, self.shape = weights, shape
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, value: NDArray[Any]) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def scalar(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def numbers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self.several(kind, 1, *inputs, **attributes)[0]

    def several(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        names = [f"{kind}_{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names

    def result(self, name: str, value: str) -> None:
        self._nodes.append(helper.make_node("Identity", [value], [name]))

    def pair(self, name: str) -> tuple[Array, Array]:
        return self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]

    def linear(self, value: str, weight: Array, bias: Array) -> str:
        """`value` times `weight` (outputs x inputs, as PyTorch stores it) plus `bias`."""
        product = self.add("MatMul", value, self.constant(weight.T))
        return self.add("Add", product, self.constant(bias))

    def norm(self, value: str, name: str) -> str:
        scale, bias = map(self.constant, self.pair(name))
        epsilon = self.shape.epsilon
        return self.add("LayerNormalization", value, scale, bias, axis=-1, epsilon=epsilon)

    def model(self) -> ModelProto:
        ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["texts", "tokens"])
        size: list[str | int | None] = ["texts", self.shape.width]
        output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, size)
        graph = helper.make_graph(self._nodes, "encoder", [ids], [output], self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(OWN, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _embedded(graph: _Graph) -> str:
    """Word, position and segment, summed and normalized."""
    weights = graph.weights
    positions = (
        weights["embeddings.position_embeddings.weight"]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    words = graph.constant(weights["embeddings.word_embeddings.weight"])
    length = graph.add("Slice", graph.add("Shape", "input_ids"), *map(graph.numbers, (1, 2, 0)))
    start = graph.numbers(0)
    placed = graph.add("Slice", graph.constant(positions), start, length, start)
    summed = graph.add("Add", graph.add("Gather", words, "input_ids", axis=0), placed)
    return graph.norm(summed, "embeddings.LayerNorm")


def _layer(graph: _Graph, at: str, tokens: str) -> str:
    mixed = _attention(graph, f"{at}.attention", tokens)
    tokens = graph.norm(graph.add("Add", mixed, tokens), f"{at}.attention.output.LayerNorm")
    wide = _gelu(graph, graph.linear(tokens, *graph.pair(f"{at}.intermediate.dense")))
    narrow = graph.linear(wide, *graph.pair(f"{at}.output.dense"))
    return graph.norm(graph.add("Add", narrow, tokens), f"{at}.output.LayerNorm")


def _attention(graph: _Graph, at: str, tokens: str) -> str:
    """Each token's mixture of all tokens' values, head by head."""
    pairs = [graph.pair(f"{at}.self.{name}") for name in ("query", "key", "value")]
    weights, biases = zip(*pairs, strict=True)
    together = graph.linear(tokens, np.concatenate(weights), np.concatenate(biases))
    parts = graph.several("Split", 3, together, axis=-1)
    mixed = graph.add("MultiHeadAttention", *parts, num_heads=graph.shape.heads, domain=OWN)
    return graph.linear(mixed, *graph.pair(f"{at}.output.dense"))


def _gelu(graph: _Graph, value: str) -> str:
    """x * (1 + erf(x / sqrt 2)) / 2 (Hendrycks and Gimpel, 2016)."""
    inner = graph.add("Div", value, graph.scalar(math.sqrt(2)))
    one = graph.add("Add", graph.add("Erf", inner), graph.scalar(1))
    return graph.add("Mul", graph.add("Mul", value, one), graph.scalar(0.5))


def _pooled(graph: _Graph, tokens: str) -> None:
    mean = graph.add("ReduceMean", tokens, axes=[1], keepdims=0)
    graph.result("embedding", graph.add("LpNormalization", mean, axis=-1, p=2))
