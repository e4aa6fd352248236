"""Files as runners send them."""

from hashlib import sha256
from io import BytesIO
from typing import Any

from tests.gateway.conftest import Answer, Api

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100
PAGE = b"<!doctype html><html><body><script>document.title = 'ours'</script></body></html>"


async def send(api: Api, execution_id: str, content: Any, name: str = "a.log", **params: str) -> Answer:
    """A file as the body of one request; bytes, or an iterator of them."""
    return await api.post(
        f"/api/executions/{execution_id}/artifacts",
        raw=BytesIO(content) if isinstance(content, bytes) else content,
        headers={"Content-Type": "application/octet-stream"},
        params={"shardId": "1", "name": name} | params,
    )


async def sent(api: Api, execution_id: str, content: Any, name: str = "a.log", **params: str) -> Any:
    """The same, which is to be stored."""
    answer = await send(api, execution_id, content, name, **params)
    assert answer.status == 201, answer.raw
    return answer.json


async def begin(api: Api, execution_id: str, content: bytes, name: str = "a.log", **fields: Any) -> Answer:
    """The beginning of an upload in parts."""
    body = {"shardId": "1", "name": name, "size": len(content), "sha256": sha256(content).hexdigest()}
    return await api.post(f"/api/executions/{execution_id}/artifact-uploads", body | fields)


async def send_part(api: Api, begun: Any, number: int, content: bytes) -> Answer:
    size = begun["parts"]["partBytes"]
    part = content[(number - 1) * size : number * size]
    return await api.send("PUT", f"{path_of(begun)}/parts/{number}", raw=BytesIO(part))


def path_of(artifact: Any) -> str:
    return f"/api/executions/{artifact['executionId']}/artifacts/{artifact['artifactId']}"


async def listed(api: Api, execution_id: str, **params: str) -> list[str]:
    """The names of the files that are there."""
    answer = await api.get(f"/api/executions/{execution_id}/artifacts", params=params)
    assert answer.status == 200, answer.raw
    return [one["name"] for one in answer.json["artifacts"]]
