"""`python -m llmops_localcloud.loadbalancer`: started by the daemon, never by hand."""

from __future__ import annotations

import argparse
import asyncio
import signal

from .process import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--seed", type=int)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    asyncio.run(run(args.control_fd, args.speed, args.seed))


if __name__ == "__main__":
    main()
