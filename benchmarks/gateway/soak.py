"""Does memory grow? The service under full load for a million requests; resident memory by tenths.

    python benchmarks/gateway/soak.py [--requests 1000000]

Prints the memory after each tenth and the slope of the second half, in kilobytes per 1,000
requests. The first half warms caches, pools and the allocator.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import load
import measure

SECONDS = 5
"""Between two looks at how many requests there were: their rate varies on a shared machine."""


def main() -> None:
    os.sched_setaffinity(0, {1})
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    default = Path.home() / ".cache" / "gateway-bench"
    parser.add_argument("--cache", type=Path, default=default)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, measure.upstream(asked.cache):
        scratch = Path(folder)
        target = measure.targets(asked.cache, scratch)["service"]
        body = scratch / "small.json"
        body.write_text(json.dumps(measure.BODY))
        url = f"http://127.0.0.1:{measure.PORT}{measure.CHAT}"
        script = load.script(scratch, measure.headers(target))
        with measure.running(target, body.read_bytes()) as (group, _):
            points, sent, bad = [], 0.0, 0.0
            for tenth in range(1, 11):
                while sent < asked.requests * tenth / 10:
                    row = load.wrk(url, script, body, 64, SECONDS)
                    sent, bad = sent + row["n"], bad + row["bad"]
                points.append((sent, load.megabytes(group)))
                print(f"{sent:>12,.0f} requests  {points[-1][1]:7.1f} MB", flush=True)
    slope = statistics.linear_regression(*zip(*points[5:], strict=True)).slope
    print(f"{slope * 1e6:.2f} kB per 1,000 requests in the second half; {bad:.0f} not 2xx")


if __name__ == "__main__":
    main()
