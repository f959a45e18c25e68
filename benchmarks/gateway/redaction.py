"""What redaction costs: microseconds of CPU per kilobyte, and against one alternation of `re`.

    python benchmarks/gateway/redaction.py [--seconds 0.5]

The texts are ordinary prose without a hit (1 and 32 KB), prose dense with dates, prices and order
numbers, and prose with an e-mail address and a card in it. The naive pattern is what such filters
are commonly made of; it finds fewer kinds and checks none.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable

from llm_service.safety import redact, warm

NAIVE = re.compile(
    r"[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}"
    r"|\b(?:\d[ -]?){13,19}\b"
    r"|\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b"
    r"|\+?\d{1,3}?[ -.]?\(?\d{2,4}\)?[ -.]?\d{3,4}[ -.]?\d{3,4}\b"
    r"|\b\d{3}-\d{2}-\d{4}\b"
)
PROSE = (
    "The undercounter dishwasher rinses at 82 degrees, and its filter is cleaned every evening. "
    "Roast the carrots with tahini and lemon until they are soft; see page 12 of the handbook. "
)
NUMBERS = "Order 4711 of 2024-01-02 10:30 cost 1,234.50 EUR and shipped on 05.01.2024 as 20240115. "
SECRETS = "Write to ann.lee@example.com about card 4111 1111 1111 1111. "


def text(sentence: str, size: int) -> str:
    """`sentence` again and again, `size` characters of it."""
    return (sentence * (size // len(sentence) + 1))[:size]


TEXTS = {
    "prose, 1 KB": text(PROSE, 1024),
    "prose, 32 KB": text(PROSE, 32 * 1024),
    "numbers, 1 KB": text(NUMBERS, 1024),
    "two hits, 1 KB": text(SECRETS + PROSE * 6, 1024),
}


def per_kilobyte(run: Callable[[str], object], sample: str, seconds: float) -> float:
    """Microseconds of CPU per KB: the fastest of several batches in `seconds`."""
    run(sample)
    best, until = float("inf"), time.perf_counter() + seconds
    batch = max(1, 64 * 1024 // len(sample))
    while time.perf_counter() < until:
        began = time.process_time()
        for _ in range(batch):
            run(sample)
        best = min(best, (time.process_time() - began) / batch)
    return best * 1e6 / (len(sample) / 1024)


def main() -> None:
    """Prints a row for each text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each figure")
    seconds = parser.parse_args().seconds
    warm()
    print(f"{'text':16} {'ours us/KB':>11} {'naive re us/KB':>15} {'ratio':>7}")
    for name, sample in TEXTS.items():
        ours = per_kilobyte(redact, sample, seconds)
        naive = per_kilobyte(lambda each: NAIVE.sub("[X]", each), sample, seconds)
        print(f"{name:16} {ours:11.2f} {naive:15.2f} {naive / ours:7.1f}")


if __name__ == "__main__":
    main()
