"""The sender against real servers on this machine: what it answers for, what it refuses, and where it stops."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from actors.webhook_sender import SystemResolver, WebhookSender, seconds_to_wait
from orchestrator.webhooks.addresses import Policy
from orchestrator.webhooks.model import REPLY_BYTES, Outcome
from tests.certificates import DAY, Authority
from tests.receiver import Arrival, Receiver, Reply

NOW = datetime(2025, 8, 4, 12, 0, tzinfo=UTC)
HEADERS = {"webhook-id": "msg_1", "content-type": "application/json", "user-agent": "TMS-Webhooks/1"}
LOCAL = Policy((ip_network("127.0.0.0/8"),), frozenset({443}))
NOWHERE = Policy((), frozenset({443}))
TIMEOUT = 0.3

MakeSender = Callable[..., WebhookSender]


@pytest.fixture
async def make_sender() -> AsyncIterator[MakeSender]:
    """Makes senders that are closed at the test's end; it waits long unless it is told otherwise."""
    async with AsyncExitStack() as stack:

        def make(policy: Policy = LOCAL, timeout: float = 30.0, **options: object) -> WebhookSender:
            sender = WebhookSender(policy, timeout, **options)  # type: ignore[arg-type] # passed on as they come
            stack.push_async_callback(sender.close)
            return sender

        yield make


@pytest.fixture
async def sender(make_sender: MakeSender) -> WebhookSender:
    return make_sender()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


async def sent(sender: WebhookSender, url: str, body: bytes = b"{}") -> Outcome:
    return await sender.send(URL(url), HEADERS, body, NOW)


def refused(outcome: Outcome) -> str:
    """What a refusal says."""
    assert outcome.error is not None
    assert outcome.error.startswith("Not connected: ")
    return outcome.error


async def never(_arrival: Arrival) -> Reply:
    await asyncio.Event().wait()
    raise AssertionError


@asynccontextmanager
async def raw_server(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], **options: object
) -> AsyncIterator[int]:
    """A server of single bytes; gives its port."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, **options)  # type: ignore[arg-type] # as above
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_it_sends_the_bytes_and_headers_it_was_given_and_no_more(
    sender: WebhookSender, receiver: Receiver
) -> None:
    receiver.answer("/", Reply(202, body="grüße".encode()))
    outcome = await sent(sender, receiver.url(), b'{"a":"\xc3\xbc"}')
    assert (outcome.at, outcome.status_code, outcome.error, outcome.reply) == (NOW, 202, None, "grüße")
    assert outcome.is_success
    (arrival,) = receiver.arrivals
    assert arrival.body == b'{"a":"\xc3\xbc"}'
    framing = {"Host": URL(receiver.url()).authority, "Content-Length": "10"}
    framing |= {"accept": "*/*", "accept-encoding": "identity"}
    assert arrival.headers == HEADERS | framing


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.contract("X-095")
async def test_a_redirect_is_a_failure_and_is_not_followed(
    sender: WebhookSender, receiver: Receiver, status: int
) -> None:
    receiver.answer("/", Reply(status, headers={"Location": receiver.url("/elsewhere")}))
    outcome = await sent(sender, receiver.url())
    assert (outcome.status_code, outcome.is_success) == (status, False)
    assert [arrival.path for arrival in receiver.arrivals] == ["/"]


async def test_any_other_status_is_an_answer(sender: WebhookSender, receiver: Receiver) -> None:
    receiver.answer("/", Reply(500, body=b"oops"), Reply(410))
    first, second = await sent(sender, receiver.url()), await sent(sender, receiver.url())
    assert (first.status_code, first.error, first.reply, first.is_success) == (500, None, "oops", False)
    assert second.is_gone


async def test_connections_are_used_again(sender: WebhookSender) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n{}")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with raw_server(serve) as port:
        outcomes = [await sent(sender, f"http://127.0.0.1:{port}/") for _ in range(3)]
        await sender.close()
    assert [outcome.reply for outcome in outcomes] == ["ok", "ok", "ok"]
    assert connections == 1


async def test_a_receiver_that_hangs_is_left_after_the_timeout(make_sender: MakeSender, receiver: Receiver) -> None:
    receiver.follow("/", never)
    outcome = await sent(make_sender(timeout=TIMEOUT), receiver.url())
    assert (outcome.status_code, outcome.error) == (None, "Timed out after 0.3 s")


async def test_a_reply_is_read_up_to_its_limit_and_no_further(sender: WebhookSender) -> None:
    taken = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        size = 0
        try:
            while size < 1 << 30:
                writer.write(b"x" * 65536)
                await writer.drain()
                size += 65536
        except ConnectionError:
            taken.set_result(size)

    async with raw_server(serve) as port:
        outcome = await sent(sender, f"http://127.0.0.1:{port}/")
        assert (outcome.status_code, outcome.reply) == (200, "x" * REPLY_BYTES)
        assert await asyncio.wait_for(taken, 30) < 1 << 26, "the connection is closed soon after the limit"


async def test_a_compressed_reply_is_not_unpacked(sender: WebhookSender, receiver: Receiver) -> None:
    receiver.answer("/", Reply(200, {"Content-Encoding": "gzip"}, b"\x1f\x8b\x08 not really"))
    outcome = await sent(sender, receiver.url())
    assert outcome.is_success
    assert outcome.reply.endswith("not really")


async def test_a_reply_that_drips_is_kept_as_far_as_it_came_in_time(make_sender: MakeSender) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\ndrip")
        await reader.read()

    async with raw_server(serve) as port:
        outcome = await sent(make_sender(timeout=TIMEOUT), f"http://127.0.0.1:{port}/")
    assert (outcome.status_code, outcome.error, outcome.reply) == (200, None, "drip")


async def test_a_status_line_that_drips_is_no_answer(make_sender: MakeSender) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK and so on":
            writer.write(bytes([byte]))
            await asyncio.sleep(TIMEOUT / 10)
        await reader.read()

    async with raw_server(serve) as port:
        outcome = await sent(make_sender(timeout=TIMEOUT), f"http://127.0.0.1:{port}/")
    assert (outcome.status_code, outcome.error) == (None, "Timed out after 0.3 s")


async def test_a_nul_in_a_reply_is_replaced(sender: WebhookSender, receiver: Receiver) -> None:
    receiver.answer("/", Reply(200, body=b"a\0b\xff"))
    assert (await sent(sender, receiver.url())).reply == "a\ufffdb\ufffd"


async def test_a_closed_port_refuses(sender: WebhookSender, unused_tcp_port: int) -> None:
    outcome = await sent(sender, f"http://127.0.0.1:{unused_tcp_port}/")
    assert (outcome.status_code, outcome.error) == (None, "Connection refused")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "Connection closed without an answer"),
        (b"SSH-2.0-OpenSSH\r\n", "The answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "The answer is not HTTP"),
    ],
)
async def test_what_is_no_http_is_a_failure(sender: WebhookSender, answer: bytes, error: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(answer)

    async with raw_server(serve) as port:
        assert (await sent(sender, f"http://127.0.0.1:{port}/")).error == error


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "localhost"]
)
@pytest.mark.contract("X-095")
async def test_no_connection_is_made_to_a_private_address(make_sender: MakeSender, host: str) -> None:
    outcome = await sent(make_sender(NOWHERE), f"https://{host}/")
    assert outcome.status_code is None
    assert refused(outcome).endswith("The address is private or reserved, and TMS_WEBHOOK_ALLOW does not name it")


@pytest.mark.contract("X-095")
async def test_plain_http_goes_to_allowed_networks_alone(make_sender: MakeSender) -> None:
    assert "Must be an https URL" in refused(await sent(make_sender(NOWHERE), "http://93.184.216.34/"))


class Names(AbstractResolver):
    """Tells a name's addresses as a test wants."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked += 1
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        """There is nothing to close."""


@pytest.mark.contract("X-095")
async def test_a_name_that_tells_another_address_later_is_refused_then(
    make_sender: MakeSender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.webhook_sender.NAME_SECONDS", 0)
    monkeypatch.setattr("actors.webhook_sender.KEEPALIVE_SECONDS", 0)
    names = Names("127.0.0.1")
    sender = make_sender(resolver=names)
    url = receiver.url().replace("127.0.0.1", "hooks.example")
    assert (await sent(sender, url)).is_success
    for addresses in (("10.0.0.1",), ("10.0.0.1", "169.254.169.254")):
        names.addresses = addresses
        refusal = refused(await sent(sender, url))
        assert not [address for address in addresses if address in refusal], "it is not for tenants to know"
    assert len(receiver.arrivals) == 1


async def test_of_several_addresses_the_allowed_one_is_taken(make_sender: MakeSender, receiver: Receiver) -> None:
    sender = make_sender(resolver=Names("10.0.0.1", "127.0.0.1"))
    assert (await sent(sender, receiver.url().replace("127.0.0.1", "hooks.example"))).is_success


async def test_a_name_is_asked_for_once_in_a_while(make_sender: MakeSender, receiver: Receiver) -> None:
    names = Names("127.0.0.1")
    sender = make_sender(resolver=names)
    url = receiver.url().replace("127.0.0.1", "hooks.example")
    await asyncio.gather(*(sent(sender, url) for _ in range(10)))
    assert names.asked == 1


@pytest.mark.parametrize("name", ["no-such-host.invalid", f"{'a' * 70}.example"])
async def test_a_name_that_is_none_is_told(make_sender: MakeSender, name: str) -> None:
    outcome = await sent(make_sender(timeout=20), f"https://{name}/")
    assert outcome.error == "Host name cannot be resolved"


async def test_the_system_resolves_names_to_all_addresses() -> None:
    resolver = SystemResolver()
    assert "127.0.0.1" in {found["host"] for found in await resolver.resolve("localhost", 80, socket.AF_INET)}
    await resolver.close()


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"])
async def test_proxies_of_the_environment_are_not_used(
    make_sender: MakeSender,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    unused_tcp_port: int,
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{unused_tcp_port}")
    assert (await sent(make_sender(), receiver.url())).is_success


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def answer_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"{}")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize(
    ("host", "age", "error"),
    [
        ("hooks.example", timedelta(0), None),
        ("hooks.example", 3 * DAY, "TLS: certificate has expired"),
        ("other.example", timedelta(0), "TLS: Hostname mismatch, certificate is not valid for 'hooks.example'."),
    ],
)
async def test_the_certificate_of_the_receiver_is_checked(
    make_sender: MakeSender, authority: Authority, host: str, age: timedelta, error: str | None
) -> None:
    sender = make_sender(tls=authority.trusted(), resolver=Names("127.0.0.1"))
    async with raw_server(answer_ok, ssl=authority.server(host, age=age)) as port:
        outcome = await sent(sender, f"https://hooks.example:{port}/")
    assert outcome.error == error


async def test_of_several_addresses_the_one_that_answered_is_told_of(
    make_sender: MakeSender, authority: Authority
) -> None:
    sender = make_sender(tls=authority.trusted(), resolver=Names("10.0.0.1", "127.0.0.1"))
    async with raw_server(answer_ok, ssl=authority.server("hooks.example", age=3 * DAY)) as port:
        outcome = await sent(sender, f"https://hooks.example:{port}/")
    assert outcome.error == "TLS: certificate has expired"


async def test_a_certificate_of_an_unknown_authority_is_refused(make_sender: MakeSender, authority: Authority) -> None:
    sender = make_sender(resolver=Names("127.0.0.1"))
    async with raw_server(answer_ok, ssl=authority.server("hooks.example")) as port:
        outcome = await sent(sender, f"https://hooks.example:{port}/")
    assert outcome.error == "TLS: unable to get local issuer certificate"


async def test_a_receiver_without_tls_is_told(sender: WebhookSender, receiver: Receiver) -> None:
    outcome = await sent(sender, receiver.url().replace("http", "https"))
    assert outcome.error in {"TLS: wrong version number", "TLS: record layer failure"}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Mon, 04 Aug 2025 12:00:30 GMT", 30.0),
        ("Mon, 04 Aug 2025 11:00:00 GMT", 0.0),
        ("Mon, 04 Aug 2025 12:00:30 -0000", 30.0),
        ("-5", None),
        ("1.5", None),
        ("9" * 5000, None),
        ("soon", None),
        ("Mon, 04 Aug 2025 12:00:30 +99999999999999999999", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert seconds_to_wait(header, NOW) == seconds


async def test_what_the_answer_asks_to_wait_is_told(sender: WebhookSender, receiver: Receiver) -> None:
    receiver.answer("/", Reply(429, {"Retry-After": "7"}))
    assert (await sent(sender, receiver.url())).retry_after == 7.0


async def test_what_an_answer_asks_to_wait_matters_only_where_it_is_obeyed(
    sender: WebhookSender, receiver: Receiver
) -> None:
    receiver.answer("/", Reply(200, {"Retry-After": "7"}))
    outcome = await sent(sender, receiver.url())
    assert (outcome.is_success, outcome.retry_after) == (True, None)
