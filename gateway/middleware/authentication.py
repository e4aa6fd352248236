"""Who is asking: API tokens (X-002, X-003), managed shards' and, for one route alone, webhook tokens (X-044)."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic

import msgspec
import structlog
from aiohttp import web

from gateway.paths import execution_id_of, id_of
from orchestrator.errors import NotFound, Unauthorized, Unavailable
from orchestrator.identity import shard_tokens, signed_urls, tokens, webhook_tokens
from orchestrator.identity.model import Principal
from storage import identity
from storage.identity import ApiToken
from storage.postgres import Reader

log = structlog.get_logger(__name__)

KNOWN_SECONDS = 1.0
"""How long a token is believed before the store is asked again; another server's revocation works within it."""

SHARD_GRACE = timedelta(minutes=1)
"""How long after its execution has ended a managed shard may still speak: it is told so, and closes."""

USE_NOTED_SECONDS = 60.0
MOST_KNOWN = 10_000
LONGEST_TOKEN = 512
_LONGEST_MOMENT = 12


class _Known(msgspec.Struct, frozen=True):
    token: ApiToken
    principal: Principal
    until: float


class Authentication:
    """Finds out who a request comes from.

    Args:
        reader: to look tokens up.
        key: of derived secrets.
        clock: monotonic seconds.
    """

    def __init__(self, reader: Reader, key: bytes, clock: Callable[[], float] = monotonic) -> None:
        self._reader = reader
        self._key = key
        self._clock = clock
        self._known: dict[bytes, _Known] = {}
        self._lookups: dict[bytes, asyncio.Task[_Known | None]] = {}
        self._tenants: OrderedDict[str, int] = OrderedDict()
        self._noted: dict[str, float] = {}
        self._to_note: dict[str, int] = {}
        self._used = asyncio.Event()

    async def of_request(self, request: web.Request) -> Principal:
        """Who sends a request, by its `Authorization: Bearer` header.

        Raises:
            Unauthorized: there is none, or not a valid API token in it.
            Unavailable: the store of tokens is away.
        """
        return await self.of_token(bearer(request))

    async def of_token(self, text: str) -> Principal:
        """Whose an API token is.

        Raises:
            Unauthorized: it is unknown, expired or revoked.
            Unavailable: the store of tokens is away.
        """
        execution_id = shard_tokens.execution_of(self._key, text)
        if execution_id is not None:
            return await self._of_shard(execution_id)
        digest = tokens.digest(text)
        known = self._known.get(digest)
        if known is None or known.until <= self._clock():
            known = await self._look_up(digest)
        if known is None or (known.token.expires_at is not None and known.token.expires_at <= datetime.now(UTC)):
            raise Unauthorized("This API token is unknown, expired or revoked")
        self._note(known.token)
        return known.principal

    async def of_runner(self, request: web.Request) -> Principal:
        """The runner that reports on the execution of a request's path, by its webhook token.

        Raises:
            Unauthorized: the token is not this execution's.
            NotFound: it would be, but there is no such execution.
            Unavailable: the store is away.
        """
        token = bearer(request)
        execution_id = execution_id_of(request)
        if not webhook_tokens.is_valid(self._key, execution_id, token):
            raise Unauthorized("This is not the webhookToken of this execution")
        return Principal(await self._tenant_of(execution_id), execution_id, None)

    async def of_url(self, request: web.Request) -> Principal:
        """Whoever has the signed URL of an artifact, which lets it be seen and nothing else.

        Raises:
            Unauthorized: the URL is not signed, or not for this artifact, or it has expired.
            NotFound: there is no such execution.
            Unavailable: the store is away.
        """
        execution_id, artifact_id = execution_id_of(request), id_of(request, "artifactId")
        expires, signature = request.query.get("expires", ""), request.query.get("signature", "")
        is_number = expires.isascii() and expires.isdigit() and len(expires) <= _LONGEST_MOMENT
        if not is_number or not signed_urls.opens_artifact(
            signature, self._key, execution_id, artifact_id, int(expires), datetime.now(UTC)
        ):
            raise Unauthorized("Send an API token, or ask for the artifact again: its URL works for some minutes only")
        return Principal(await self._tenant_of(execution_id), artifact_id, None)

    async def _of_shard(self, execution_id: str) -> Principal:
        """A managed shard of an execution that runs."""
        async with self._reader.nobody() as connection:
            tenant_id = await identity.tenant_of_managed(connection, execution_id, datetime.now(UTC) - SHARD_GRACE)
        if tenant_id is None:
            raise Unauthorized(f"{execution_id} has ended, and this token with it")
        return Principal(tenant_id, execution_id, None, execution_id)

    def forget(self, token_id: str) -> None:
        """Believe nothing about a token that was revoked or rotated just now."""
        self._lookups.clear()
        self._known = {digest: known for digest, known in self._known.items() if known.token.token_id != token_id}

    async def note_uses(self) -> None:
        """Write down which tokens were used since the last time.

        Raises:
            Unavailable: the store is away; it is for the next time.
        """
        used, self._to_note = self._to_note, {}
        self._used.clear()
        by_tenant: dict[int, list[str]] = {}
        for token_id, tenant_id in used.items():
            by_tenant.setdefault(tenant_id, []).append(token_id)
        try:
            for tenant_id, token_ids in by_tenant.items():
                async with self._reader.tenant(tenant_id, write=True) as connection:
                    await identity.note_use(connection, token_ids, datetime.now(UTC))
        except Unavailable:
            self._to_note = used | self._to_note
            raise

    async def keep_noting(self) -> None:
        """Write uses down a second after the first of them; runs until cancelled."""
        while True:
            await self._used.wait()
            await asyncio.sleep(KNOWN_SECONDS)
            try:
                await self.note_uses()
            except Unavailable as error:
                log.warning("uses of tokens cannot be noted yet", error=error.message)
                self._used.set()

    def _note(self, token: ApiToken) -> None:
        now = self._clock()
        if now - self._noted.get(token.token_id, -USE_NOTED_SECONDS) >= USE_NOTED_SECONDS:
            self._noted[token.token_id] = now
            self._to_note[token.token_id] = token.tenant_id
            self._used.set()

    async def _look_up(self, digest: bytes) -> _Known | None:
        """One look for all who wait for the same token."""
        task = self._lookups.get(digest)
        if task is None:
            task = self._lookups[digest] = asyncio.create_task(self._read(digest))
        try:
            known = await asyncio.shield(task)
        finally:
            is_current = self._lookups.get(digest) is task
            if is_current:
                del self._lookups[digest]
        if is_current:
            self._keep(digest, known)
        return known

    def _keep(self, digest: bytes, known: _Known | None) -> None:
        self._known.pop(digest, None)
        if known is not None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[digest] = known

    async def _read(self, digest: bytes) -> _Known | None:
        until = self._clock() + KNOWN_SECONDS
        async with self._reader.nobody() as connection:
            token = await identity.token_of(connection, digest)
        if token is None or token.revoked_at is not None:
            return None
        return _Known(token, Principal(token.tenant_id, token.token_id, token.role), until)

    async def _tenant_of(self, execution_id: str) -> int:
        tenant_id = self._tenants.get(execution_id)
        if tenant_id is None:
            async with self._reader.nobody() as connection:
                tenant_id = await identity.tenant_of_execution(connection, execution_id)
            if tenant_id is None:
                raise NotFound(f"No execution {execution_id}")
            self._tenants[execution_id] = tenant_id
            if len(self._tenants) > MOST_KNOWN:
                self._tenants.popitem(last=False)
        return tenant_id


AUTHENTICATION = web.AppKey("authentication", Authentication)


def bearer(request: web.Request) -> str:
    """The token of the `Authorization` header.

    Raises:
        Unauthorized: there is none.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > LONGEST_TOKEN or not token.isascii():
        raise Unauthorized("Send the header Authorization: Bearer, followed by a token")
    return token
