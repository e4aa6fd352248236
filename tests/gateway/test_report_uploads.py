"""Reports of test tools in, as the results of a shard; and out again, as files of both formats."""

import asyncio
import gzip
from io import BytesIO
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree as ET

import aiohttp
import msgspec
import pytest

from orchestrator.executions.formats.reading import read
from orchestrator.identity.roles import Role
from tests.gateway.conftest import Answer, Api, Maintenance, TokenMaker, outcomes
from tests.running import RunningServer

JUNIT = b"""<?xml version="1.0"?><testsuites><testsuite name="s">
<testcase classname="shop.CartTest" name="adds" time="0.5"/>
<testcase classname="shop.CartTest" name="fails"><failure message="no">at CartTest.java:12</failure></testcase>
<testcase classname="shop.CartTest" name="flaky"><flakyFailure message="cold" time="0.1"/>
<system-out>[[ATTACHMENT|shots/1.png]]</system-out></testcase>
</testsuite></testsuites>"""
MORE = b'<testsuite><testcase classname="shop.MoreTest" name="waits" time="1"><skipped/></testcase></testsuite>'
CTRF = msgspec.json.encode({
    "reportFormat": "CTRF",
    "specVersion": "0.0.0",
    "results": {
        "tool": {"name": "jest"},
        "summary": {"start": 1000, "stop": 3000},
        "tests": [{"name": "works", "status": "passed", "duration": 5, "labels": {"owner": "ann"}, "colour": 1}],
    },
})  # fmt: skip


async def upload(
    api: Api, execution_id: str, *files: tuple[str, bytes], shard: str = "1", headers: dict[str, str] | None = None
) -> Answer:
    boundary = uuid4().hex
    head = '--{}\r\nContent-Disposition: form-data; name="files"; filename="{}"\r\n\r\n'
    parts = [head.format(boundary, name).encode() + content + b"\r\n" for name, content in files]
    form = BytesIO(b"".join(parts) + f"--{boundary}--\r\n".encode())
    sent = {"Content-Type": f"multipart/form-data; boundary={boundary}"} | (headers or {})
    return await api.post(f"/api/executions/{execution_id}/reports", raw=form, headers=sent, params={"shardId": shard})


async def listed(api: Api, execution_id: str, **params: str) -> list[dict[str, Any]]:
    answer = await api.get(f"/api/executions/{execution_id}/tests", params=params)
    tests: list[dict[str, Any]] = answer.json["tests"]
    return tests


async def test_files_of_both_formats_are_one_submission_of_the_shard(api: Api) -> None:
    execution_id = await api.created(shards=1)

    answer = await upload(api, execution_id, ("TEST-Cart.xml", JUNIT), ("told.txt", CTRF), ("größe.json", MORE))

    assert answer.status == 201, answer.raw
    body = answer.json
    submission_id = body["submissionId"]
    assert body == {
        "executionId": execution_id,
        "shardId": "1",
        "submissionId": submission_id,
        "processedAt": body["processedAt"],
        "results": {"total": 5, "passed": 3, "failed": 1, "skipped": 1, "flaky": 1},
        "files": [
            {"file": name, "format": form, "status": "accepted", "tests": number, "submissionId": submission_id} | more
            for name, form, number, more in (
                ("TEST-Cart.xml", "junit", 3, {}),
                ("told.txt", "ctrf", 1, {"warnings": [
                    "Left out of account: results.tests[0]: Object contains unknown field `colour`"]}),
                ("größe.json", "junit", 1, {}),
            )
        ],
    }  # fmt: skip
    state = await api.state(execution_id)
    assert (state["status"], state["results"]) == ("completed", body["results"])
    assert (state["shardResults"][0]["status"], state["shardResults"][0]["duration"]) == ("failed", 3500)
    tests = await listed(api, execution_id)
    assert [(test["title"], test["file"], test["status"]) for test in tests] == [
        ("adds", "shop.CartTest", "passed"),
        ("fails", "shop.CartTest", "failed"),
        ("flaky", "shop.CartTest", "passed"),
        ("works", None, "passed"),
        ("waits", "shop.MoreTest", "skipped"),
    ]
    assert tests[1]["error"] == "no\nat CartTest.java:12"
    assert tests[2]["details"] == {
        "attempts": [{"status": "failed", "duration": 100, "error": "cold"}],
        "attachments": ["shots/1.png"],
    }
    assert tests[3]["details"] == {"properties": [{"name": "owner", "value": "ann"}]}
    artifacts = (await api.get(f"/artifacts/{execution_id}")).json["shards"]["1"]
    assert artifacts == {"screenshots": ["shots/1.png"]}


@pytest.mark.parametrize("content_type", ["application/xml", "text/xml", "application/octet-stream"])
async def test_a_file_may_be_the_body_itself(api: Api, content_type: str) -> None:
    execution_id = await api.created(shards=1)
    path = f"/api/executions/{execution_id}/reports?shardId=1"

    answer = await api.post(path, raw=JUNIT, headers={"Content-Type": content_type})
    as_json = await api.post(path, raw=gzip.compress(CTRF), headers={"Content-Encoding": "gzip"})

    assert (answer.status, as_json.status) == (201, 201)
    assert [(file["file"], file["format"]) for file in answer.json["files"]] == [("body", "junit")]
    assert [(file["file"], file["format"]) for file in as_json.json["files"]] == [("body", "ctrf")]
    assert [test["title"] for test in await listed(api, execution_id)] == ["works"]


async def test_the_same_files_again_are_duplicates_and_change_nothing(api: Api) -> None:
    execution_id = await api.created()
    first = await upload(api, execution_id, ("a.xml", JUNIT), ("b.xml", MORE))

    again = await upload(api, execution_id, ("c.xml", JUNIT), ("d.xml", MORE))
    twice = await upload(api, execution_id, ("a.xml", JUNIT), ("b.xml", MORE), ("copy.xml", JUNIT))

    assert again.status == 201
    assert again.json["submissionId"] == first.json["submissionId"]
    assert [file["status"] for file in again.json["files"]] == ["duplicate", "duplicate"]
    assert [file["status"] for file in twice.json["files"]] == ["accepted", "accepted", "duplicate"]
    assert twice.json["results"]["total"] == 4
    assert (await api.state(execution_id))["results"]["total"] == 4


async def test_a_key_makes_an_upload_sent_again_harmless_though_its_boundary_differs(api: Api) -> None:
    execution_id = await api.created()
    key = {"Idempotency-Key": f"upload-{execution_id}"}
    first = await upload(api, execution_id, ("a.xml", JUNIT), headers=key)
    await upload(api, execution_id, ("b.xml", MORE))

    again = await upload(api, execution_id, ("a.xml", JUNIT), headers=key)
    other = await upload(api, execution_id, ("a.xml", MORE), headers=key)
    elsewhere = await upload(api, execution_id, ("a.xml", JUNIT), shard="2", headers=key)

    assert again.json == first.json
    assert (await api.state(execution_id))["results"]["total"] == 1
    for refused in (other, elsewhere):
        assert (refused.status, refused.error["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_where_one_file_is_bad_nothing_is_stored_and_each_is_told(api: Api) -> None:
    execution_id = await api.created()

    answer = await upload(
        api, execution_id, ("a.xml", JUNIT), ("b.xml", b"<testsuite>\n<testcase>"), ("c", b"hello"), ("d.xml", MORE)
    )

    assert answer.status == 422
    assert answer.error["code"] == "VALIDATION_ERROR"
    assert answer.error["message"] == "Nothing was stored: 2 of 4 files cannot be read"
    assert answer.fields == {
        "files[1]": "b.xml: Line 2, column 11: it is cut off",
        "files[2]": "c: It is neither JUnit XML nor CTRF JSON",
    }
    rest = "Not stored, since another file of the upload cannot be read"
    assert answer.json["files"] == [
        {"file": "a.xml", "format": "junit", "status": "rejected", "tests": 0, "error": rest},
        {"file": "b.xml", "format": "junit", "status": "rejected", "tests": 0,
         "error": "Line 2, column 11: it is cut off"},
        {"file": "c", "format": None, "status": "rejected", "tests": 0,
         "error": "It is neither JUnit XML nor CTRF JSON"},
        {"file": "d.xml", "format": "junit", "status": "rejected", "tests": 0, "error": rest},
    ]  # fmt: skip
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    state = await api.state(execution_id)
    assert (state["status"], state["seq"]) == ("created", 1)


@pytest.mark.parametrize(
    "content",
    [
        b'<!DOCTYPE x [<!ENTITY e "ha"><!ENTITY f "&e;&e;">]><testsuite><testcase name="&f;"/></testsuite>',
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><testsuite><testcase name="&e;"/></testsuite>',
        b'<testsuite><testcase name="' + b"x" * 6_000_000 + b'"/></testsuite>',
        b"<testsuite>" * 100_000,
        b'{"results": {"tests": ' + b"[" * 100_000,
        b"",
    ],
)
async def test_hostile_files_are_refused(api: Api, content: bytes) -> None:
    execution_id = await api.created()

    answer = await upload(api, execution_id, ("a.xml", content))

    assert answer.status == 422
    assert list(answer.fields) == ["files[0]"]


async def test_wrong_requests_are_named(api: Api, stranger: Api, token_for: TokenMaker) -> None:
    execution_id = await api.created()
    path = f"/api/executions/{execution_id}/reports"

    assert list((await api.post(path, raw=JUNIT)).fields) == ["shardId"]
    assert list((await upload(api, execution_id)).fields) == ["files"]
    for shard in ("3", "01", "x"):
        answer = await upload(api, execution_id, ("a.xml", JUNIT), shard=shard)
        assert (answer.status, list(answer.fields)) == (422, ["shardId"])
    for form_type in ("application/x-www-form-urlencoded", "multipart/mixed; boundary=x"):
        answer = await api.post(f"{path}?shardId=1", raw=JUNIT, headers={"Content-Type": form_type})
        assert (answer.status, list(answer.fields)) == (415, ["Content-Type"])
    for form_type in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = await api.post(f"{path}?shardId=1", raw=JUNIT, headers={"Content-Type": form_type})
        assert (answer.status, answer.error["code"]) == (400, "BAD_REQUEST")
    compressed = await api.post(f"{path}?shardId=1", raw=JUNIT, headers={"Content-Encoding": "br"})
    assert compressed.status == 415
    assert (await upload(api, "exec_1", ("a.xml", JUNIT))).status == 404
    assert (await upload(stranger, execution_id, ("a.xml", JUNIT))).status == 404
    viewer = api.with_token(await token_for(Role.VIEWER))
    assert (await upload(viewer, execution_id, ("a.xml", JUNIT))).status == 403
    assert (await upload(api.with_token(None), execution_id, ("a.xml", JUNIT))).status == 401
    assert (await api.state(execution_id))["seq"] == 1


async def test_too_large_an_upload_is_refused_compressed_or_not(api: Api) -> None:
    execution_id = await api.created()
    large = b"<testsuite>" + b" " * 33 * 1024 * 1024 + b"</testsuite>"
    path = f"/api/executions/{execution_id}/reports?shardId=1"

    plain = await api.post(path, raw=BytesIO(large))
    compressed = await api.post(path, raw=gzip.compress(large), headers={"Content-Encoding": "gzip"})

    for answer in (plain, compressed):
        assert (answer.status, answer.error["code"]) == (413, "PAYLOAD_TOO_LARGE")


async def test_reports_for_a_cancelled_execution_are_a_conflict(api: Api) -> None:
    execution_id = await api.created()
    await api.delete(f"/api/executions/{execution_id}")

    assert (await upload(api, execution_id, ("a.xml", JUNIT))).status == 409


async def test_a_large_report_holds_nobody_up_and_comes_back_whole(api: Api) -> None:
    execution_id = await api.created(shards=1)
    cases = b"".join(b'<testcase classname="c" name="test %d" time="0.1"/>' % number for number in range(30_000))
    uploading = asyncio.create_task(upload(api, execution_id, ("a.xml", b"<testsuite>" + cases + b"</testsuite>")))
    looks = 0
    while not uploading.done():
        assert (await api.get("/healthz")).status == 200
        looks += 1

    answer = await uploading
    assert (answer.status, answer.json["results"]["passed"]) == (201, 30_000)
    assert looks > 1
    for suffix in (".xml", ".ctrf.json"):
        report = await api.get(f"/reports/{execution_id}{suffix}", headers={"Accept-Encoding": "gzip"})
        assert report.headers["Content-Encoding"] == "gzip"
        told = read(gzip.decompress(report.raw))
        assert [test.title for test in told.tests] == [f"test {number}" for number in range(30_000)]
        assert told.warnings == ()


async def test_reports_come_out_as_they_went_in(api: Api) -> None:
    execution_id = await api.created()
    await upload(api, execution_id, ("a.xml", JUNIT), ("b.xml", MORE))
    await upload(api, execution_id, ("c.json", CTRF), shard="2")
    sent = [test for content in (JUNIT, MORE, CTRF) for test in read(content).tests]

    junit = await api.get(f"/reports/{execution_id}.xml")
    ctrf = await api.get(f"/reports/{execution_id}.ctrf.json")
    shard = await api.get(f"/reports/{execution_id}/shard-1.xml")
    other = await api.get(f"/reports/{execution_id}/shard-2.ctrf.json")

    assert [answer.status for answer in (junit, ctrf, shard, other)] == [200] * 4
    assert (junit.headers["Content-Type"], ctrf.headers["Content-Type"]) == ("application/xml", "application/ctrf+json")
    told = read(ctrf.raw)
    assert [(test.title, test.status, test.error, test.details) for test in told.tests] == [
        (test.title, test.status, test.error, test.details) for test in sent
    ]
    assert told.warnings == ()
    assert read(junit.raw).tests[:4] == sent[:4]
    assert read(shard.raw).tests == sent[:4]
    assert [test.title for test in read(other.raw).tests] == ["works"]
    root = ET.fromstring(junit.raw)  # noqa: S314 - our own server's
    assert [suite.get("name") for suite in root] == ["shard-1", "shard-2"]
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("5", "1", "1")


@pytest.mark.parametrize("shard", ["", "/shard-1"])
async def test_accept_chooses_the_format(api: Api, shard: str) -> None:
    execution_id = await api.created()
    await api.submit(execution_id, tests=[*outcomes(2, 1), {"title": "late", "status": "passed", "retries": 2}])
    path = f"/reports/{execution_id}{shard}"

    for accepted, media in (
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/xml", "application/xml"),
        ("text/xml, */*;q=0.1", "application/xml"),
        ("application/ctrf+json", "application/ctrf+json"),
    ):
        answer = await api.get(path, headers={"Accept": accepted})
        assert (answer.status, answer.headers["Content-Type"]) == (200, media)
        if media != "application/json":
            report = read(answer.raw)
            assert [test.title for test in report.tests] == ["passed 1", "passed 2", "failed 1", "late"]
            assert [test.retries or 0 for test in report.tests] == [0, 0, 0, 2]


async def test_reports_of_others_and_of_nothing_are_not_found(api: Api, stranger: Api) -> None:
    execution_id = await api.created()

    for path in (f"{execution_id}.xml", f"{execution_id}.ctrf.json", f"{execution_id}/shard-1.xml"):
        assert (await stranger.get(f"/reports/{path}")).status == 404
        assert (await api.get(f"/reports/{path}")).status == 200
    for path in ("exec_1.xml", f"{execution_id}/shard-3.xml", f"{execution_id}/shard-01.ctrf.json", "a.b.xml"):
        assert (await api.get(f"/reports/{path}")).status == 404
    assert read((await api.get(f"/reports/{execution_id}.ctrf.json")).raw).tests == []


async def test_a_report_whose_rest_cannot_be_read_is_cut_off(
    api: Api, server: RunningServer, maintenance: Maintenance
) -> None:
    execution_id = await api.created(shards=1)
    failure = b"<failure>" + b"x" * 1000 + b"</failure>"
    cases = b"".join(b'<testcase name="%d">%b</testcase>' % (number, failure) for number in range(28_000))
    assert (await upload(api, execution_id, ("a.xml", b"<testsuite>" + cases + b"</testsuite>"))).status == 201
    headers = {"Authorization": f"Bearer {server.token}"}

    # More than connections hold by themselves, so that the server waits for its reader.
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{api.url}/reports/{execution_id}.xml", headers={"Accept-Encoding": "identity"}) as answer,
    ):
        assert answer.status == 200
        await answer.content.readany()
        async with maintenance():
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
