"""A bucket as S3 serves it: what the store of artifacts asks of it, kept in memory."""

import re
from hashlib import md5
from typing import Self
from xml.sax.saxutils import escape

from aiohttp import web

_MOMENT = "2026-11-25T12:00:00.000Z"


class Bucket:
    """A server with one bucket.

    Attributes:
        endpoint: where it answers.
        objects: by their whole names.
        uploads: of several parts that were begun and did not end.
        is_away: whether it answers all with 503.
    """

    def __init__(self, name: str) -> None:
        self.endpoint = ""
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self._name = name
        self._begun = 0

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**30)
        for method, handler in (("POST", self._post), ("PUT", self._put), ("DELETE", self._abort), ("GET", self._get)):
            app.router.add_route(method, f"/{self._name}", handler)
            app.router.add_route(method, f"/{self._name}/{{key:.*}}", handler)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.endpoint = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def _key(self, request: web.Request) -> str:
        assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 ")
        return request.match_info.get("key", "")

    async def _post(self, request: web.Request) -> web.Response:
        key, query = self._key(request), request.query
        if "delete" in query:
            names = re.findall(r"<Key>(.*?)</Key>", await request.text())
            for name in names:
                self.objects.pop(name, None)
            deleted = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in names)
            return _xml(f"<DeleteResult>{deleted}</DeleteResult>")
        if "uploads" in query:
            self._begun += 1
            self.uploads[str(self._begun)] = {}
            about = f"<Bucket>b</Bucket><Key>{escape(key)}</Key><UploadId>{self._begun}</UploadId>"
            return _xml(f"<InitiateMultipartUploadResult>{about}</InitiateMultipartUploadResult>")
        parts = self.uploads.pop(query["uploadId"])
        self.objects[key] = b"".join(parts[number] for number in sorted(parts))
        about = f"<Key>{escape(key)}</Key><ETag>{_tag(self.objects[key])}</ETag>"
        return _xml(f"<CompleteMultipartUploadResult>{about}</CompleteMultipartUploadResult>")

    async def _put(self, request: web.Request) -> web.Response:
        key, query, body = self._key(request), request.query, await request.read()
        if "partNumber" in query:
            self.uploads[query["uploadId"]][int(query["partNumber"])] = body
        else:
            self.objects[key] = body
        return web.Response(headers={"ETag": _tag(body)})

    async def _abort(self, request: web.Request) -> web.Response:
        self._key(request)
        del self.uploads[request.query["uploadId"]]
        return web.Response(status=204)

    async def _get(self, request: web.Request) -> web.Response:
        key = self._key(request)
        return self._part(key, request.headers["Range"]) if key else self._listed(request.query.get("prefix", ""))

    def _part(self, key: str, asked: str) -> web.Response:
        if key not in self.objects:
            return web.Response(status=404)
        content = self.objects[key]
        start, last = map(int, asked.removeprefix("bytes=").split("-"))
        headers = {
            "ETag": _tag(content),
            "Last-Modified": "Wed, 25 Nov 2026 12:00:00 GMT",
            "Content-Range": f"bytes {start}-{min(last, len(content) - 1)}/{len(content)}",
        }
        return web.Response(status=206, body=content[start : last + 1], headers=headers)

    def _listed(self, prefix: str) -> web.Response:
        found = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{_MOMENT}</LastModified><Size>{len(content)}</Size>"
            f"<ETag>{_tag(content)}</ETag></Contents>"
            for key, content in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        return _xml(f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>")


def _tag(content: bytes) -> str:
    return f'"{md5(content, usedforsecurity=False).hexdigest()}"'


def _xml(body: str) -> web.Response:
    return web.Response(text=body, content_type="application/xml")
