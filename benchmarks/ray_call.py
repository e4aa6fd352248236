"""The floor of asking an owner: one call of an async Ray actor with the bytes of a submission, on a Ray of its own."""

import asyncio
import logging
import os
import shutil
import tempfile
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any

PAYLOAD_BYTES = 10 * 1024
START_SECONDS = 60.0


class Echo:
    """An actor that answers at once."""

    async def handle(self, batch: bytes) -> bytes:
        """As short as an owner's answer."""
        return batch[:200]


def serve(pipe: Connection) -> None:
    """A companion's work: start a Ray, tell so; for each number told make so many calls, tell the seconds of each."""
    import ray  # noqa: PLC0415 - takes a second, and no other companion needs it

    folder = tempfile.mkdtemp(prefix="tms-br-")
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray.init(
        _node_ip_address="127.0.0.1",
        _temp_dir=folder,
        object_store_memory=128 * 1024 * 1024,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=False,
    )
    try:
        actor: Any = ray.remote(Echo).options(num_cpus=0, max_concurrency=1000).remote()
        ray.get(actor.handle.remote(b""))
        pipe.send("ready")
        while True:
            try:
                calls: int = pipe.recv()
            except EOFError:
                return
            pipe.send(asyncio.run(_call(actor, calls)))
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


async def _call(actor: Any, calls: int) -> list[float]:  # noqa: ANN401 - Ray's handles have no type of their own
    payload = os.urandom(PAYLOAD_BYTES)
    latencies = []
    for _ in range(calls):
        before = monotonic()
        await actor.handle.remote(payload)
        latencies.append(monotonic() - before)
    return latencies
