"""Webhooks go to public addresses over https, and to what the operator allows, however an address is written."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from orchestrator.errors import AddressRefused
from orchestrator.webhooks import addresses
from orchestrator.webhooks.addresses import Policy
from orchestrator.webhooks.model import LONGEST_URL

STRICT = Policy(allow=(), ports=frozenset({443, 8443}))
LOCAL = Policy(allow=(ip_network("127.0.0.0/8"), ip_network("::1")), ports=frozenset({443}))

PRIVATE_IPV4 = [
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
PRIVATE_IPV6 = [ip_network(text) for text in ("::/64", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8")]

private_ipv4 = st.one_of([st.ip_addresses(network=network) for network in PRIVATE_IPV4]).map(IPv4Address)
private_ipv6 = st.one_of([st.ip_addresses(network=network) for network in PRIVATE_IPV6]).filter(
    lambda ip: IPv6Address(ip).ipv4_mapped is None
)


def refused(url: str, policy: Policy = STRICT) -> bool:
    try:
        policy.check_url(url)
    except AddressRefused:
        return True
    return False


def connection_refused(host: str, port: int = 443, *, policy: Policy = STRICT, is_tls: bool = True) -> bool:
    try:
        policy.check_address(host, port, is_tls=is_tls)
    except AddressRefused:
        return True
    return False


@st.composite
def spellings(draw: st.DrawFn, addresses: st.SearchStrategy[IPv4Address] = private_ipv4) -> str:
    """An IPv4 address as `inet_aton` reads it: one to four parts, each decimal, octal or hexadecimal."""
    number = int(draw(addresses))
    leading = draw(st.integers(0, 3))
    parts = [(number >> 8 * (3 - place)) & 0xFF for place in range(leading)] + [number & (1 << 8 * (4 - leading)) - 1]
    written = [draw(st.sampled_from(["{:d}", "0{:o}", "00{:o}", "0x{:x}", "0X{:X}", "0x00{:x}"])) for _ in parts]
    return ".".join(form.format(part) for form, part in zip(written, parts, strict=True))


@pytest.mark.parametrize(
    ("given_url", "requested"),
    [
        ("https://your-ci-system.com/webhooks/tms", "https://your-ci-system.com/webhooks/tms"),
        ("HTTPS://Example.COM/Hook?Key=A%2fb", "https://example.com/Hook?Key=A%2fb"),
        ("https://example.com", "https://example.com"),
        ("https://example.com:443/", "https://example.com/"),
        ("https://example.com:/", "https://example.com/"),
        ("https://example.com:8443/", "https://example.com:8443/"),
        ("https://example.com./", "https://example.com/"),
        ("https://xn--bcher-kva.example/a@b", "https://xn--bcher-kva.example/a@b"),
        ("https://my_host.example//a/../b?c=d?e", "https://my_host.example//a/../b?c=d?e"),
        ("https://example.com?x=1", "https://example.com?x=1"),
        ("https://93.184.216.34/", "https://93.184.216.34/"),
        ("https://[2606:2800:220:1:0:0:0:1]/", "https://[2606:2800:220:1::1]/"),
        ("https://1.example/", "https://1.example/"),
    ],
)
def test_public_https_urls_pass_and_have_one_form(given_url: str, requested: str) -> None:
    assert STRICT.check_url(given_url) == requested
    assert STRICT.check_url(requested) == requested


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "ASCII"),
        ("hook", "https URL"),
        ("example.com/hook", "https URL"),
        ("//example.com/hook", "https URL"),
        ("ftp://example.com/", "https URL"),
        ("file:///etc/passwd", "https URL"),
        ("https:/example.com/", "https URL"),
        ("https:example.com", "https URL"),
        ("https:///hook", "name a host"),
        ("https://:443/", "name a host"),
        ("https://./", "must be a name"),
        ("https://a..example/", "must be a name"),
        ("https://%65xample.com/", "must be a name"),
        (f"https://{'a' * 64}.example/", "must be a name"),
        (f"https://{'a.' * 127}example/", "must be a name"),
        ("http://example.com/x", "https URL"),
        ("http://93.184.216.34/", "https URL"),
        ("https://user@example.com/", "user name"),
        ("https://user:password@example.com/", "user name"),
        ("https://example.com:pass@127.0.0.1/", "user name"),
        ("https://example.com/#fragment", "fragment"),
        ("https://example.com/#", "fragment"),
        ("https://example.com#@127.0.0.1/", "fragment"),
        ("https://example.com\\@127.0.0.1/", "ASCII"),
        ("https://example.com/\r\nHost: 127.0.0.1", "ASCII"),
        ("https://exam\tple.com/", "ASCII"),
        (" https://example.com/", "ASCII"),
        ("https://bücher.example/", "ASCII"),
        ("https://１２７.0.0.1/", "ASCII"),  # noqa: RUF001 - fullwidth digits are the point
        ("https://example.com/%zz", "ASCII"),
        ("https://example.com/" + LONGEST_URL * "x", "at most"),
        ("https://example.com:22/", "443, 8443"),
        ("https://93.184.216.34:22/", "443, 8443"),
        ("https://example.com:0/", "from 1 to 65535"),
        ("https://example.com:65536/", "from 1 to 65535"),
        ("https://example.com:443:443/", "name a host"),
        ("https://example.com:+443/", "name a host"),
        ("https://[::1]example.com/", "name a host"),
        ("https://example.com[::1]/", "name a host"),
        ("https://[example.com]/", "name a host"),
        ("https://[fe80::1%25eth0]/", "name a host"),
        ("https://[1::2::3]/", "IPv6"),
        ("https://[93.184.216.34]/", "IPv6"),
        ("https://localhost/", "private"),
        ("https://LOCALHOST./", "private"),
        ("https://tms.localhost/", "private"),
        ("https://169.254.169.254/latest/meta-data/", "private"),
        ("https://168.63.129.16/", "private"),
        ("https://100.100.100.200/", "private"),
        ("https://[fd00:ec2::254]/", "private"),
        ("https://[::]/", "private"),
        ("https://192.0.2.1/", "private"),
        ("https://2130706433/", "four decimal"),
        ("https://127.1/", "four decimal"),
        ("https://0177.0.0.1/", "four decimal"),
        ("https://0x7f.0.0.1/", "four decimal"),
        ("https://127.0.0.1./", "four decimal"),
        ("https://93.184.216.034/", "four decimal"),
        ("https://256.1.1.1/", "four decimal"),
        ("https://example.0x7f/", "four decimal"),
    ],
)
def test_everything_else_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(AddressRefused, match=why):
        STRICT.check_url(url)


@given(spellings())
def test_no_spelling_of_a_private_ipv4_address_passes(host: str) -> None:
    assert socket.inet_aton(host), "it is a spelling"
    assert refused(f"https://{host}/")
    assert refused(f"https://{host}./")
    assert refused(f"http://{host}/")


@given(st.text("0123456789abcdefxX.", min_size=1, max_size=16))
@example("0x7f000001")
@example("127.1")
@example("1.1.1.1")
def test_a_host_that_passes_is_no_other_address_to_the_system(host: str) -> None:
    try:
        seen = IPv4Address(socket.inet_aton(host))
    except OSError:
        return
    if not refused(f"https://{host}/"):
        assert str(seen) == host


@given(
    private_ipv4,
    st.sampled_from(["::ffff:0:0", "64:ff9b::", "64:ff9b:1::", "::", "::ffff:0:0:0"]),
    st.booleans(),
)
def test_no_ipv6_address_with_a_private_ipv4_one_at_its_end_passes(ip: IPv4Address, prefix: str, whole: bool) -> None:  # noqa: FBT001 - drawn
    address = IPv6Address(int(IPv6Address(prefix)) | int(ip))
    assert refused(f"https://[{address.exploded if whole else address.compressed}]/")
    assert connection_refused(str(address))


@given(private_ipv4)
def test_no_mixed_notation_hides_one_either(ip: IPv4Address) -> None:
    for prefix in ("::ffff:", "0:0:0:0:0:FFFF:", "64:ff9b::", "::"):
        assert refused(f"https://[{prefix}{ip}]/")


@given(st.ip_addresses(v=4), st.integers(0, 2**80 - 1))
def test_6to4_is_not_a_way_around(ip: IPv4Address, rest: int) -> None:
    assert connection_refused(str(IPv6Address(0x2002 << 112 | int(ip) << 80 | rest)))


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), st.integers(0, 2**32 - 1))
def test_teredo_is_not_a_way_around(server: IPv4Address, client: IPv4Address, middle: int) -> None:
    hidden = int(client) ^ 0xFFFF_FFFF
    assert connection_refused(str(IPv6Address(0x2001_0000 << 96 | int(server) << 64 | middle << 32 | hidden)))


@given(private_ipv6)
def test_no_private_ipv6_address_passes(address: IPv6Address) -> None:
    assert refused(f"https://[{address}]/")
    assert connection_refused(str(address))
    assert connection_refused(f"{address}%1"), "with its zone, as a resolver gives a link-local one"


@given(st.ip_addresses())
def test_what_python_does_not_call_global_is_never_connected_to(address: IPv4Address | IPv6Address) -> None:
    if not address.is_global and getattr(address, "ipv4_mapped", None) is None:
        assert connection_refused(str(address))
    if address.is_multicast:
        assert connection_refused(str(address))


@pytest.mark.parametrize(
    "host",
    [
        "93.184.216.34",
        "8.8.8.8",
        "172.15.255.255",
        "172.32.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "223.255.255.255",
        "2606:2800:220:1::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
    ],
)
def test_public_addresses_are_connected_to_with_tls_at_the_listed_ports(host: str) -> None:
    assert not connection_refused(host, 443)
    assert not connection_refused(host, 8443)
    assert connection_refused(host, 80)
    assert connection_refused(host, 443, is_tls=False)


@pytest.mark.parametrize("host", ["", "example.com", "localhost", "/run/docker.sock", "0x7f.1", "2130706433"])
def test_only_a_resolved_address_is_connected_to(host: str) -> None:
    with pytest.raises(AddressRefused):
        LOCAL.check_address(host, 443, is_tls=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9000/hook",
        "https://127.8.8.8:1/hook",
        "http://[::1]:9000/hook",
        "http://[::ffff:7f00:1]:9000/hook",
        "http://localhost:9000/hook",
        "https://localhost/hook",
        "https://ci.internal:9443/hook",
    ],
)
def test_an_allowed_network_is_reached_at_any_port_and_without_tls(url: str) -> None:
    assert LOCAL.check_url(url) == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://10.0.0.1/", "private"),
        ("http://[fd00::1]/", "private"),
        ("http://93.184.216.34/", "https URL"),
        ("http://ci.internal/", "https URL"),
        ("https://93.184.216.34:9443/", "port"),
        ("https://127.1/", "four decimal"),
        ("http://user@127.0.0.1/", "user name"),
    ],
)
def test_to_allow_one_network_allows_no_other(url: str, why: str) -> None:
    with pytest.raises(AddressRefused, match=why):
        LOCAL.check_url(url)


def test_localhost_is_allowed_by_either_loopback_network() -> None:
    for network in ("127.0.0.0/8", "::1/128"):
        policy = Policy(allow=(ip_network(network),), ports=frozenset({443}))
        assert policy.check_url("http://localhost:9000/") == "http://localhost:9000/"
    assert refused("https://localhost/", Policy(allow=(ip_network("10.0.0.0/8"),), ports=frozenset({443})))


def test_connections_into_an_allowed_network_are_free_and_others_are_not() -> None:
    assert not connection_refused("127.0.0.1", 9000, policy=LOCAL, is_tls=False)
    assert not connection_refused("::1", 9000, policy=LOCAL, is_tls=False)
    assert not connection_refused("::ffff:127.0.0.1", 9000, policy=LOCAL, is_tls=False)
    assert connection_refused("10.0.0.1", 443, policy=LOCAL)
    assert connection_refused("64:ff9b::127.0.0.1", 443, policy=LOCAL), "a translator's loopback is not ours"
    assert connection_refused("8.8.8.8", 443, policy=LOCAL, is_tls=False)


def test_a_zone_does_not_hide_that_its_network_is_allowed() -> None:
    policy = Policy(allow=(ip_network("fe80::/10"),), ports=frozenset({443}))
    assert not connection_refused("fe80::1%2", 9000, policy=policy, is_tls=False)


hosts = (
    spellings(st.ip_addresses(v=4).map(IPv4Address))
    | st.ip_addresses(v=6).map(lambda address: f"[{address}]")
    | st.text("aB1.-_", min_size=1, max_size=8)
    | st.sampled_from(["localhost", "LOCALHOST.", "[::ffff:7f00:1]", "xn--bcher-kva.example", "a@b", "[::1]a", "a%2eb"])
)
ports = st.sampled_from(["", "", ":", ":443", ":80", ":00443", ":0x1bb", ":65535", ":65536", ":1:2"])


@given(st.sampled_from(["https", "HTTPS", "http"]), hosts, ports, st.text("/a?.:@[]&=", max_size=8))
def test_the_client_reads_a_url_that_passed_as_it_was_read_here(scheme: str, host: str, port: str, target: str) -> None:
    everywhere = Policy(allow=(ip_network("0.0.0.0/0"), ip_network("::/0")), ports=frozenset({443}))
    try:
        url = everywhere.check_url(f"{scheme}://{host}{port}/{target}")
    except AddressRefused:
        return
    read, checked = URL(url, encoded=True), addresses._parts(url)
    assert (read.scheme, read.raw_host, read.port) == (checked.scheme, str(checked.host), checked.port)
    assert (read.user, read.password, read.fragment) == (None, None, "")
    path, _, query = target.partition("?")
    assert (read.raw_path, read.raw_query_string) == (f"/{path}", query)
