"""The dashboard: one page for all its views, and the files it loads, as `make` built them from `dashboards/web`.

They hold no data, so that they need no token; the page asks the API for everything, with the token of whoever looks.
"""

import gzip
from pathlib import Path

import msgspec
from aiohttp import web

from gateway.accepts import takes_gzip
from gateway.calls import HTML

PATHS = (
    *("/", "/executions", "/executions/{executionId}"),
    *("/suites", "/suites/{suite}", "/tests", "/tests/{testId}"),
    *("/webhooks", "/webhooks/{webhookId}", "/system"),
)
"""What the page's own router understands, beside the paths that have an answer for programs too (`Route.visitors`)."""

BUILT = Path(__file__).parent.parent / "dashboard"
"""Where the build puts its files; a part of the wheel."""

_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_HEADERS = {
    # Nothing comes from anywhere else, and nothing of what strangers wrote can be run.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
# The names of these files have a hash of what is in them.
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}

_NOT_BUILT = b"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>TMS</title></head>
<body>
<h1>The dashboard is not built</h1>
<p>The server works, and so does its <a href="/api/docs">API</a>. The page you are looking for is made from
<code>dashboards/web</code> by <code>make dashboard</code>, which needs the npm registry once. Start the server again
afterwards.</p>
</body>
</html>
"""


class File(msgspec.Struct, frozen=True):
    """One file, ready to be sent either way."""

    plain: bytes
    compressed: bytes
    media: str
    headers: dict[str, str]

    def answer(self, request: web.Request) -> web.Response:
        """The file as this client can take it."""
        headers = self.headers | {"Content-Type": self.media, "Vary": "Accept, Accept-Encoding"}
        if takes_gzip(request.headers.get("Accept-Encoding", "")):
            return web.Response(body=self.compressed, headers=headers | {"Content-Encoding": "gzip"})
        return web.Response(body=self.plain, headers=headers)


PAGE = web.AppKey("dashboard_page", File)
ASSETS = web.AppKey("dashboard_assets", dict[str, File])


def install(app: web.Application, built: Path = BUILT) -> None:
    """Read the files, and serve them; without them, a page that says how to make them."""
    index = built / "index.html"
    if index.is_file():
        app[PAGE] = _file(index.read_bytes(), HTML, _HEADERS)
    else:
        app[PAGE] = _file(_NOT_BUILT, HTML, {"Cache-Control": "no-cache"})
    app[ASSETS] = {
        path.name: _file(path.read_bytes(), _TYPES[path.suffix], _HEADERS | _FOR_EVER)
        for path in sorted(built.glob("assets/*"))
    }
    for path in PATHS:
        app.router.add_get(path, page)
    app.router.add_get("/assets/{name}", asset)


async def page(request: web.Request) -> web.Response:
    """The page, whatever it will show."""
    return request.config_dict[PAGE].answer(request)


async def asset(request: web.Request) -> web.Response:
    """A file that the page loads.

    Raises:
        HTTPNotFound: there is none of this name, as after an update; the page is then loaded anew.
    """
    file = request.config_dict[ASSETS].get(request.match_info["name"])
    if file is None:
        raise web.HTTPNotFound
    return file.answer(request)


def _file(plain: bytes, media: str, headers: dict[str, str]) -> File:
    return File(plain, gzip.compress(plain, mtime=0), media, headers)
