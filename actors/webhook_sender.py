"""One request to an endpoint: guarded, bounded in time and size, and told in a short sentence where it fails.

The guard stands where a socket is made, on the address that it is about to connect to. So it covers literal addresses,
every address of a name, and a name that tells another address than at its registration. A connection that is used
again was let through when it was made.
"""

import asyncio
import errno
import os
import re
import socket
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from orchestrator.errors import AddressRefused
from orchestrator.webhooks import schedule
from orchestrator.webhooks.addresses import Policy
from orchestrator.webhooks.model import REPLY_BYTES, Outcome

# Less than the 5 s after which common servers close an idle connection: a request that crosses their closing is lost.
KEEPALIVE_SECONDS = 4.0
NAME_SECONDS = 10
LOOKUPS = 256


class _Dial:
    """What the guard has to know of a request, and what it refused."""

    __slots__ = ("is_tls", "refusal")

    def __init__(self, *, is_tls: bool) -> None:
        self.is_tls = is_tls
        self.refusal: str | None = None


# aiohttp tells the maker of sockets the address alone, not for which request.
_dial: ContextVar[_Dial] = ContextVar("_dial")


class WebhookSender:
    """Sends requests over kept connections; made and used on one event loop.

    Args:
        policy: which addresses may be connected to.
        timeout_seconds: for a request as a whole, from the lookup of the name to the end of the reply.
        tls: what certificates are checked against; None: what the system trusts.
        resolver: looks names up; None: the system's.
    """

    def __init__(
        self,
        policy: Policy,
        timeout_seconds: float,
        *,
        tls: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._policy = policy
        self._timeout_seconds = timeout_seconds
        self._resolver = resolver or SystemResolver()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=True if tls is None else tls,
                resolver=self._resolver,
                ttl_dns_cache=NAME_SECONDS,
                keepalive_timeout=KEEPALIVE_SECONDS,
                limit=0,  # the courier counts what is under way
                socket_factory=self._guarded_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            # A reply is kept as it comes: one that would unpack to gigabytes is no danger.
            headers={"accept": "*/*", "accept-encoding": "identity"},
            auto_decompress=False,
            read_bufsize=REPLY_BYTES,
            trust_env=False,
        )

    async def send(self, url: URL, headers: Mapping[str, str], body: bytes, at: datetime) -> Outcome:
        """Send a request and read the beginning of its reply.

        The status alone decides. A reply that breaks off after it, or does not end in time, is an answer all the same.

        Args:
            url: as the policy let it through.
            headers: all of them, besides those that frame the message.
            body: the bytes that were signed.
            at: the time that was signed.
        """
        began = monotonic()
        dial = _Dial(is_tls=url.scheme == "https")
        _dial.set(dial)
        status: int | None = None
        retry_after: float | None = None
        reply = bytearray()
        failure: str | None = None
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._session.post(url, headers=headers, data=body, allow_redirects=False) as response,
            ):
                status = response.status
                if status in schedule.ASKS_TO_WAIT and "Retry-After" in response.headers:
                    now = at + timedelta(seconds=monotonic() - began)
                    retry_after = seconds_to_wait(response.headers["Retry-After"], now)
                while len(reply) < REPLY_BYTES and not response.content.at_eof():
                    reply += await response.content.read(REPLY_BYTES - len(reply))
        except TimeoutError:
            failure = f"Timed out after {self._timeout_seconds:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = _sentence(error, dial.refusal)
        return Outcome(
            at=at,
            duration_ms=round((monotonic() - began) * 1000),
            status_code=status,
            error=failure if status is None else None,
            # Postgres keeps no NUL in a text.
            reply=reply.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}"),
            retry_after=retry_after,
        )

    async def close(self) -> None:
        """Close all connections; requests under way fail."""
        await self._session.close()
        await self._resolver.close()

    def _guarded_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, (host, port, *_) = address
        dial = _dial.get()
        try:
            self._policy.check_address(str(host), int(port), is_tls=dial.is_tls)
        except AddressRefused as error:
            # The address is left out: what a name stands for within our network is not for tenants to know.
            dial.refusal = f"Not connected: {error.message}"
            raise PermissionError(errno.EACCES, error.message) from error
        return socket.socket(family, kind, protocol)


class SystemResolver(AbstractResolver):
    """The system's lookup of names, on threads of its own.

    A lookup cannot be broken off: one whose name server does not answer holds a thread for half a minute. The event
    loop's own few threads would soon all be held.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of a name.

        Raises:
            OSError: there are none, or they cannot be found out.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port, family)

    async def close(self) -> None:
        """Wait for no lookup under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, "Not a host name") from error
    return [
        ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=0)
        for kind, _, protocol, _, address in found
    ]


def seconds_to_wait(retry_after: str, now: datetime) -> float | None:
    """What a `Retry-After` header asks for: seconds, or a date (RFC 9110, 10.2.3); None if it is neither."""
    text = retry_after.strip()
    if re.fullmatch("[0-9]{1,10}", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(0.0, ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds())


def _sentence(error: Exception, refusal: str | None) -> str:
    """What went wrong, in the same words every time, so that people can group by it."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | ssl.SSLError):
        return f"TLS: {_tls_reason(error)}"
    if refusal is not None:
        return refusal
    for kind, sentence in _SENTENCES.items():
        if isinstance(error, kind):
            return sentence
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else f"Request failed: {type(error).__name__}"


_SENTENCES: dict[type[Exception], str] = {
    aiohttp.ClientConnectorDNSError: "Host name cannot be resolved",
    aiohttp.ServerDisconnectedError: "Connection closed without an answer",
    aiohttp.ClientResponseError: "The answer is not HTTP",
}


def _tls_reason(error: Exception) -> str:
    """OpenSSL's own, such as "certificate has expired"."""
    cause: object = error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    reason = getattr(cause, "reason", None)
    return reason.replace("_", " ").lower() if reason else "handshake failed"
