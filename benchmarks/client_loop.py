"""The floor of delivering: a bare aiohttp client that posts what was signed beforehand, and keeps no record of it."""

import asyncio
from collections.abc import Sequence

import aiohttp
import uvloop
from yarl import URL

from benchmarks import posts
from benchmarks.client import LoadFailed
from benchmarks.posts import Post

NO_CONTENT = 204


def post_all(made: Sequence[Post], in_flight: int) -> None:
    """Post all, so many at once.

    Raises:
        LoadFailed: one was not answered with 204.
    """
    uvloop.run(_post_all(made, in_flight))


async def _post_all(made: Sequence[Post], in_flight: int) -> None:
    urls = {url: URL(url) for url in {post.url for post in made}}
    signed = []
    for post in made:
        body = post.body.encode()
        signed.append((urls[post.url], posts.headers(post.message_id, body), body))
    waiting = iter(signed)

    async def work(session: aiohttp.ClientSession) -> None:
        for url, headers, body in waiting:
            async with session.post(url, data=body, headers=headers) as response:
                await response.read()
            if response.status != NO_CONTENT:
                raise LoadFailed(f"answered {response.status} instead of {NO_CONTENT}")

    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(in_flight):
            group.create_task(work(session))
