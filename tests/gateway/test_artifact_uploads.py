"""Large files in parts: in any order, as often as need be, resumed by whoever begins the same upload again."""

import asyncio
import os
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from orchestrator.artifacts.model import MOST_BYTES, PART_BYTES
from tests.gateway.conftest import Api
from tests.gateway.files import PAGE, PNG, begin, listed, path_of, send, send_part, sent
from tests.running import RunningServer


@pytest.fixture(scope="module")
def content() -> bytes:
    """Three parts, the last of one byte."""
    return os.urandom(2 * PART_BYTES + 1)


def parts(server: RunningServer, begun: Any) -> list[Path]:
    return list((server.data_dir / "artifacts" / "parts" / begun["artifactId"]).glob("*"))


async def begun(api: Api, execution_id: str, content: bytes, name: str = "a.log", **fields: Any) -> Any:
    answer = await begin(api, execution_id, content, name, **fields)
    assert answer.status == 201, answer.raw
    return answer.json


async def complete(api: Api, upload: Any) -> Any:
    answer = await api.post(f"{path_of(upload)}/complete")
    assert answer.status == 200, answer.raw
    return answer.json


async def test_parts_come_in_any_order_and_more_than_once(api: Api, server: RunningServer) -> None:
    execution_id, content = await api.created(), os.urandom(2 * PART_BYTES + 1)
    upload = await begun(api, execution_id, content, test="logs in", attempt=2)
    assert (upload["status"], upload["url"]) == ("uploading", None)
    assert upload["parts"] == {"partBytes": PART_BYTES, "number": 3, "missing": [1, 2, 3]}

    answer = await send_part(api, upload, 3, content)
    assert (answer.status, answer.json) == (200, {"artifactId": upload["artifactId"], "part": 3, "size": 1})
    assert (await send_part(api, upload, 2, b"?" * len(content))).status == 200
    assert (await send_part(api, upload, 2, content)).status == 200
    assert (await api.get(path_of(upload))).json["parts"]["missing"] == [1]
    early = await api.post(f"{path_of(upload)}/complete")
    assert (early.status, list(early.fields)) == (409, ["parts[1]"])
    assert await listed(api, execution_id) == []
    assert (await send_part(api, upload, 1, content)).status == 200

    artifact = await complete(api, upload)

    assert (artifact["artifactId"], artifact["status"], artifact["parts"]) == (upload["artifactId"], "stored", None)
    assert (artifact["test"], artifact["attempt"]) == ("logs in", 2)
    assert (await api.get(artifact["url"])).raw == content
    assert parts(server, upload) == []
    assert (await complete(api, upload))["artifactId"] == upload["artifactId"]
    assert (await send_part(api, upload, 1, content)).status == 409


async def test_the_same_upload_begun_again_goes_on(api: Api, content: bytes) -> None:
    execution_id = await api.created()
    first = await begun(api, execution_id, content, "again.log")
    await send_part(api, first, 2, content)

    again = await begun(api, execution_id, content, "again.log")

    assert (again["artifactId"], again["parts"]["missing"]) == (first["artifactId"], [1, 3])
    others = [await begun(api, execution_id, content, **other) for other in ({"name": "b.log"}, {"attempt": 1})]
    assert first["artifactId"] not in [other["artifactId"] for other in others]


async def test_bytes_that_are_there_need_not_be_sent(api: Api, stranger: Api) -> None:
    content = os.urandom(100)
    execution_id = await api.created()
    await sent(api, execution_id, content)

    upload = await begun(api, await api.created(), content, "b.log")

    assert upload["status"] == "stored"
    assert (await api.get(upload["url"])).raw == content
    # What another tenant has is not given away, nor even that it is there.
    assert (await begun(stranger, await stranger.created(), content))["status"] == "uploading"


async def test_bytes_that_are_there_are_not_an_image_because_a_name_says_so(api: Api) -> None:
    execution_id, content = await api.created(), PAGE + os.urandom(8)
    await sent(api, execution_id, content, "page.html")
    answer = await begin(api, execution_id, content, "a.png")
    assert (answer.status, list(answer.fields)) == (422, ["body"])
    assert await listed(api, execution_id) == ["page.html"]


async def test_a_whole_with_another_hash_is_void(api: Api, server: RunningServer) -> None:
    execution_id, content = await api.created(), os.urandom(PART_BYTES + 5)
    upload = await begun(api, execution_id, content)
    await send_part(api, upload, 1, b"?" * PART_BYTES)
    await send_part(api, upload, 2, content)

    answer = await api.post(f"{path_of(upload)}/complete")

    assert (answer.status, answer.error["code"]) == (422, "WRONG_HASH")
    assert (await api.get(path_of(upload))).status == 404
    assert (parts(server, upload), await listed(api, execution_id)) == ([], [])


async def test_a_page_that_calls_itself_a_video_is_void(api: Api, server: RunningServer) -> None:
    execution_id, page = await api.created(), PAGE + os.urandom(8).hex().encode()
    upload = await begun(api, execution_id, page, "a.mp4")
    await send_part(api, upload, 1, page)
    answer = await api.post(f"{path_of(upload)}/complete")
    assert (answer.status, list(answer.fields)) == (422, ["body"])
    assert (await api.get(path_of(upload))).status == 404
    assert parts(server, upload) == []


async def test_ended_many_times_at_once_it_is_one_artifact(api: Api) -> None:
    execution_id, content = await api.created(), os.urandom(PART_BYTES + 1)
    upload = await begun(api, execution_id, content)
    await asyncio.gather(*(send_part(api, upload, number, content) for number in (1, 2)))

    answers = await asyncio.gather(*(api.post(f"{path_of(upload)}/complete") for _ in range(4)))

    # One may find the parts gone that another has put together; it is told to come again.
    assert {answer.status for answer in answers} <= {200, 409, 503}
    assert (await complete(api, upload))["artifactId"] == upload["artifactId"]
    assert await listed(api, execution_id) == ["a.log"]
    assert (await api.get((await complete(api, upload))["url"])).raw == content


async def test_a_part_has_the_length_it_must_have(api: Api, content: bytes) -> None:
    upload = await begun(api, await api.created(), content, "lengths.log")
    for number, body, status in (
        ("1", content[: PART_BYTES - 1], 422),
        ("1", content[: PART_BYTES + 1], 413),
        ("3", b"", 422),
        ("3", b"xx", 413),
        ("0", b"x", 404),
        ("4", b"x", 404),
        ("01", b"x", 404),
        ("x", b"x", 404),
        ("9" * 5000, b"x", 404),
    ):
        answer = await api.send("PUT", f"{path_of(upload)}/parts/{number}", raw=BytesIO(body))
        assert answer.status == status, (number, answer.raw)
    assert (await api.get(path_of(upload))).json["parts"]["missing"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 0),
        ("size", "1"),
        ("size", MOST_BYTES + 1),
        ("sha256", "x" * 64),
        ("sha256", "A" * 64),
        ("sha256", None),
        ("name", "../a.log"),
        ("name", "a\u202eb"),
        ("kind", "x"),
        ("attempt", 0),
        ("shardId", 1),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(api: Api, field: str, value: Any) -> None:
    execution_id = await api.created()
    answer = await begin(api, execution_id, b"x", **{field: value})
    assert (answer.status, list(answer.fields)) == (422, [field])


async def test_what_is_too_large_does_not_begin(api: Api) -> None:
    execution_id = await api.created()
    assert (await begin(api, execution_id, b"x", size=512 * 1024**2 + 1)).status == 413
    for number in range(20):  # what is to come takes its room at once
        assert (await begin(api, execution_id, b"x", f"{number}.log", size=512 * 1024**2)).status == 201
    answer = await begin(api, execution_id, b"x", "one-more.log", size=512 * 1024**2)
    assert (answer.status, answer.error["code"]) == (413, "ARTIFACT_LIMIT")
    assert (await begin(api, execution_id, b"x", "0.log", size=512 * 1024**2)).status == 201


async def test_an_upload_is_given_up(api: Api, server: RunningServer, content: bytes) -> None:
    upload = await begun(api, await api.created(), content, "given-up.log")
    await send_part(api, upload, 1, content)
    assert len(parts(server, upload)) == 1
    assert (await api.delete(path_of(upload))).status == 200
    assert parts(server, upload) == []
    assert (await send_part(api, upload, 2, content)).status == 404
    assert (await api.get(f"/artifacts/{upload['executionId']}/files/{upload['artifactId']}")).status == 404


async def test_what_is_still_coming_can_be_sent_in_one_request(api: Api) -> None:
    execution_id, content = await api.created(), PNG + os.urandom(10)
    upload = await begun(api, execution_id, content, "a.png")
    answer = await send(api, execution_id, content, "a.png", sha256=sha256(content).hexdigest())
    assert (answer.json["artifactId"], answer.json["status"]) == (upload["artifactId"], "stored")
    assert (await complete(api, upload))["status"] == "stored"
