"""Fetching a file: whole or in part, by token or by URL; and nothing in it can run as ours."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.gateway.conftest import Api
from tests.gateway.files import PAGE, PNG, sent

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
HEADS = {"a.jpg": b"\xff\xd8\xff\xe0", "a.gif": b"GIF89a", "a.webp": b"RIFF\0\0\0\0WEBP", "a.mp4": b"\0\0\0\x18ftyp"}


@pytest.mark.parametrize(
    ("name", "content", "shown_as"),
    [
        ("a.png", PNG, "image/png"),
        ("a.jpg", HEADS["a.jpg"], "image/jpeg"),
        ("a.gif", HEADS["a.gif"] + PAGE, "image/gif"),  # a polyglot: a picture and a page
        ("a.webp", HEADS["a.webp"], "image/webp"),
        ("a.mp4", HEADS["a.mp4"], "video/mp4"),
        ("a.webm", b"\x1a\x45\xdf\xa3", "video/webm"),
        ("a.log", PAGE, "text/plain; charset=utf-8"),
        ("a.json", b'{"a": "<script>"}', "text/plain; charset=utf-8"),
        ("a.html", PAGE, None),
        ("a.htm", PAGE, None),
        ("a.svg", SVG, None),
        ("a.xml", SVG, None),
        ("a.png.html", PAGE, None),
        ("a.pdf", b"%PDF-1.7", None),
        ("trace.zip", b"PK\3\4", None),
    ],
)
async def test_a_browser_shows_what_it_can_only_show_and_saves_the_rest(
    api: Api, name: str, content: bytes, shown_as: str | None
) -> None:
    artifact = await sent(api, await api.created(), content, name)

    answer = await api.with_token(None).get(artifact["url"])

    assert (answer.status, answer.raw) == (200, content)
    assert answer.headers["Content-Type"] == (shown_as or "application/octet-stream")
    assert answer.headers["Content-Disposition"].startswith("inline" if shown_as else "attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    saved = await api.with_token(None).get(artifact["url"] + "&download=1")
    assert saved.headers["Content-Disposition"].startswith("attachment")
    assert saved.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("login/failed.png", "inline; filename=\"failed.png\"; filename*=UTF-8''failed.png"),
        ('a"; x=".png', "inline; filename=\"a__ x__.png\"; filename*=UTF-8''a%22%3B%20x%3D%22.png"),
        ("größe.png", "inline; filename=\"gro_e.png\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.png"),
    ],
)
async def test_a_file_is_saved_under_its_name(api: Api, name: str, disposition: str) -> None:
    artifact = await sent(api, await api.created(), PNG, name)
    assert (await api.get(artifact["url"])).headers["Content-Disposition"] == disposition


async def test_a_part_of_a_file_is_fetched(api: Api) -> None:
    content = bytes(range(256)) * 40_000
    artifact = await sent(api, await api.created(), content, "trace.zip")
    whole = await api.get(artifact["url"])
    assert (whole.headers["Accept-Ranges"], whole.headers["Content-Length"]) == ("bytes", str(len(content)))
    tag = whole.headers["ETag"]
    assert tag == f'"{artifact["sha256"]}"'

    for asked, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=5000000-", 5_000_000, len(content)),
        ("bytes=-7", len(content) - 7, len(content)),
    ):
        answer = await api.get(artifact["url"], headers={"Range": asked, "If-Range": tag})
        assert (answer.status, answer.raw) == (206, content[start:end])
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(content)}"
        assert answer.headers["Content-Security-Policy"].startswith("sandbox")
    for headers in ({"Range": "bytes=0-1,5-6"}, {"Range": "bytes=0-0", "If-Range": '"other"'}, {"Range": "x"}):
        assert (await api.get(artifact["url"], headers=headers)).status == 200
    beyond = await api.get(artifact["url"], headers={"Range": f"bytes={len(content)}-"})
    assert (beyond.status, beyond.error["code"]) == (416, "RANGE_NOT_SATISFIABLE")
    assert beyond.headers["Content-Range"] == f"bytes */{len(content)}"


async def test_what_a_browser_has_already_is_not_sent_again(api: Api) -> None:
    artifact = await sent(api, await api.created(), PNG, "a.png")
    for known in (f'"{artifact["sha256"]}"', f'"x", W/"{artifact["sha256"]}"', "*"):
        answer = await api.get(artifact["url"], headers={"If-None-Match": known})
        assert (answer.status, answer.raw) == (304, b"")
    assert (await api.get(artifact["url"], headers={"If-None-Match": '"x"'})).status == 200


async def test_a_url_opens_one_file_for_some_minutes(api: Api) -> None:
    execution_id = await api.created()
    artifact, other = [await sent(api, execution_id, content) for content in (b"one", b"other")]
    url = urlsplit(artifact["url"])
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert 590 <= int(query["expires"]) - datetime.now(UTC).timestamp() <= 600
    assert api.token not in artifact["url"]

    nobody = api.with_token(None)
    for path, changed in (
        (url.path, {"expires": str(int(query["expires"]) + 1)}),
        (url.path, {"expires": "x"}),
        (url.path, {"expires": "-1"}),
        (url.path, {"signature": query["signature"].swapcase()}),
        (url.path, {"signature": query["signature"][:-1]}),
        (url.path, {"signature": ""}),
        (urlsplit(other["url"]).path, {}),
    ):
        answer = await nobody.get(path, params=query | changed)
        assert answer.status in ({401} if changed != {"expires": "-1"} else {401, 422}), (path, changed)
    assert (await nobody.get(url.path)).status == 401
    # A credential that is shown decides alone.
    assert (await api.with_token("nope").get(artifact["url"])).status == 401
    # The URL opens the file and nothing beside it.
    for path in (f"/api/executions/{execution_id}", f"/artifacts/{execution_id}"):
        assert (await nobody.get(path, params=query)).status == 401
    by_token = await api.get(url.path)
    assert (by_token.status, by_token.raw) == (200, b"one")
