"""Badges for READMEs, which can send no header: whoever has a badge's signed URL sees this one badge, for ever.

What it tells is the outcome of the newest finished execution of a suite, on a branch or in an environment if the URL
names one. Failures of tests in quarantine are not told.
"""

from hashlib import sha256
from http import HTTPStatus
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from gateway import paths
from gateway.calls import Call
from gateway.wire import badges as wire
from orchestrator.errors import NotFound
from orchestrator.executions.model import Environment, TestSuite
from orchestrator.identity import signed_urls
from storage import executions, quarantines

SVG = "image/svg+xml"
FRESH_SECONDS = 60


async def link(call: Call[None, wire.BadgeQuery]) -> wire.BadgeLink:
    """The URL of a badge."""
    query = call.query
    signature = signed_urls.badge_signature(
        call.services.secret_key, call.principal.tenant_id, query.test_suite, query.branch, query.environment
    )
    named = {"branch": query.branch, "environment": query.environment, "signature": signature}
    base = paths.base_url(call.request, call.services.settings.public_url)
    parameters = urlencode({name: value for name, value in named.items() if value is not None})
    url = f"{base}/badges/{query.test_suite}.svg?{parameters}"
    return wire.BadgeLink(url, f"![{query.test_suite} tests]({url})")


async def show(call: Call[None, wire.SignedBadgeQuery]) -> web.Response:
    """The badge.

    Raises:
        NotFound: the URL is not signed for this badge.
    """
    query, test_suite = call.query, call.request.match_info["testSuite"]
    tenant_id = signed_urls.tenant_of_badge(
        query.signature or "", call.services.secret_key, test_suite, query.branch, query.environment
    )
    if tenant_id is None:
        raise NotFound("There is no such badge; GET /api/badges gives the URLs of badges")
    async with call.services.reader.tenant(tenant_id) as connection:
        newest = await executions.newest_finished(
            connection,
            TestSuite(test_suite),
            None if query.environment is None else Environment(query.environment),
            query.branch,
        )
        if newest is not None and newest.failed:
            excused = await quarantines.failures(connection, newest.execution_id)
            newest = msgspec.structs.replace(newest, failed=max(0, newest.failed - excused))
    body = wire.drawn(test_suite, query.branch, newest)
    tag = sha256(body).hexdigest()[:32]
    headers = {"Content-Type": SVG, "ETag": f'"{tag}"', "Cache-Control": f"public, max-age={FRESH_SECONDS}"}
    if any(one.value in {tag, "*"} for one in call.request.if_none_match or ()):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return web.Response(body=body, headers=headers)
