"""`python -m llmops_localcloud.model_provider [--seed N]`: serves until standard input closes.

The first line on standard output is the address. A parent that ends, however it ends, closes the
pipe, so that no provider outlives what it was started for.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys

from aiohttp import web

from llmops_localcloud.model_provider.server import Provider


async def serve(provider: Provider) -> None:
    """Serves on a free port of 127.0.0.1 until standard input ends."""
    runner = web.AppRunner(provider.application(), access_log=None)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        await web.SockSite(runner, listening).start()
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        await _end_of_input()
        await runner.cleanup()


async def _end_of_input() -> None:
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(1024):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same times")
    asyncio.run(serve(Provider(parser.parse_args().seed)))


if __name__ == "__main__":
    main()
