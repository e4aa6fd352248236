"""Where webhooks may go: to public addresses over https, and to the networks that the operator allows.

A URL is checked when it is registered, as far as it can be seen there. What counts is the second check: on the address
that a connection is really made to, after names were resolved.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

import msgspec

from orchestrator.errors import AddressRefused
from orchestrator.webhooks.model import LONGEST_URL

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

DEFAULT_PORTS: Final = {"https": 443, "http": 80}
LAST_PORT: Final = 65535

# Not reachable from everywhere, or not one host (IANA's registries of special-purpose addresses). They stand here
# because what `ipaddress` calls global is not the same in all versions of Python.
_SPECIAL_IPV4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",  # public in form, but inside Azure it answers to the machine alone, as 169.254.169.254 does
    )
)
_PUBLIC_IPV6: Final = IPv6Network("2000::/3")
_SPECIAL_IPV6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocols' own, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")

_LOOPBACKS: Final = (IPv4Address("127.0.0.1"), IPv6Address("::1"))

_CHARACTERS: Final = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
_URL: Final = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?]*)(?P<target>.*)", re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>[0-9]{0,5}))?")
_NAME: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
# Whatever ends like this is an IPv4 address to some program, in one of its older spellings.
_NUMBER_AT_THE_END: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")

_PRIVATE: Final = "The address is private or reserved, and TMS_WEBHOOK_ALLOW does not name it"
_PLAIN: Final = "Must be an https URL; plain http is for addresses that TMS_WEBHOOK_ALLOW names"


class Policy(msgspec.Struct, frozen=True):
    """What an operator decided.

    Attributes:
        allow: networks that may be reached though they are private, at any port and without TLS.
        ports: which ports of all other addresses.
    """

    allow: tuple[Network, ...]
    ports: frozenset[int]

    def check_url(self, url: str) -> str:
        """The URL as it is to be requested: scheme and host in lower case, no port where it is the scheme's own.

        Raises:
            AddressRefused: webhooks cannot go there; the message suits the field `url`.
        """
        parts = _parts(url)
        if isinstance(parts.host, str):
            self._check_name(parts.host, parts.port, parts.scheme)
        else:
            self._check(parts.host, parts.port, is_tls=parts.scheme == "https")
        host = f"[{parts.host}]" if isinstance(parts.host, IPv6Address) else parts.host
        port = "" if parts.port == DEFAULT_PORTS[parts.scheme] else f":{parts.port}"
        return f"{parts.scheme}://{host}{port}{parts.target}"

    def check_address(self, host: str, port: int, *, is_tls: bool) -> None:
        """Check what a connection is about to be made to.

        Args:
            host: an IP address as a resolver gives it, if link-local with its zone (`fe80::1%2`).
            port: where it listens.
            is_tls: whether TLS will be spoken.

        Raises:
            AddressRefused: webhooks cannot go there.
        """
        try:
            address = ip_address(host)
        except ValueError:
            raise AddressRefused("The host has no IP address") from None
        self._check(address, port, is_tls=is_tls)

    def _check_name(self, name: str, port: int, scheme: str) -> None:
        """Refuse what no address of the name can make good; the rest is seen when its address is known."""
        if name == "localhost" or name.endswith(".localhost"):
            if not any(self._allows(address) for address in _LOOPBACKS):
                raise AddressRefused(_PRIVATE)
        elif scheme != "https":
            raise AddressRefused(_PLAIN)
        elif port not in self.ports and not self.allow:
            raise AddressRefused(self._wrong_port())

    def _check(self, address: Address, port: int, *, is_tls: bool) -> None:
        if self._allows(address):
            return
        if not _is_public(address):
            raise AddressRefused(_PRIVATE)
        if not is_tls:
            raise AddressRefused(_PLAIN)
        if port not in self.ports:
            raise AddressRefused(self._wrong_port())

    def _allows(self, address: Address) -> bool:
        reached = _reached(address)
        return any(reached in network for network in self.allow)

    def _wrong_port(self) -> str:
        return f"The port must be one of: {', '.join(map(str, sorted(self.ports)))}"


class _Parts(msgspec.Struct, frozen=True):
    """A URL taken apart; `target` is path and query as they were written."""

    scheme: str
    host: Address | str
    port: int
    target: str


def _parts(url: str) -> _Parts:
    """Take a URL apart, strictly: what two programs could read in two ways is refused."""
    if len(url) > LONGEST_URL:
        raise AddressRefused(f"Must have at most {LONGEST_URL} characters")
    if not _CHARACTERS.fullmatch(url):
        raise AddressRefused("Must be plain ASCII; write other characters as %XX, those of a host's name as xn--…")
    if "#" in url:
        raise AddressRefused("Must not have a fragment (#…), which is never sent")
    whole = _URL.fullmatch(url)
    if whole is None:
        raise AddressRefused("Must be an https URL such as https://example.com/hook")
    if "@" in whole["authority"]:
        raise AddressRefused("Must not hold a user name or password; deliveries are signed instead")
    authority = _AUTHORITY.fullmatch(whole["authority"])
    if authority is None:
        raise AddressRefused("Must name a host, and a port in digits if any")
    scheme = whole["scheme"].lower()
    port = int(authority["port"] or DEFAULT_PORTS[scheme])
    if not 1 <= port <= LAST_PORT:
        raise AddressRefused(f"The port must be from 1 to {LAST_PORT}")
    host = _ipv6(authority["ipv6"]) if authority["ipv6"] else _ipv4_or_name(authority["name"].lower())
    return _Parts(scheme, host, port, whole["target"])


def _ipv6(text: str) -> IPv6Address:
    try:
        return IPv6Address(text)
    except ValueError:
        raise AddressRefused("The host must be an IPv6 address where it stands in brackets") from None


def _ipv4_or_name(text: str) -> IPv4Address | str:
    name = text.removesuffix(".")
    if _NUMBER_AT_THE_END.fullmatch(name):
        try:
            return IPv4Address(text)
        except ValueError:
            raise AddressRefused("An IPv4 address must be four decimal numbers, such as 192.0.2.1") from None
    if not _NAME.fullmatch(name):
        raise AddressRefused("The host must be a name or an IP address")
    return name


def _reached(address: Address) -> Address:
    """What a connection to an address goes to: for an IPv4-mapped one, the IPv4 address."""
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _is_public(address: Address) -> bool:
    """Whether it is one host of the internet, reachable as such from everywhere."""
    reached = _reached(address)
    if isinstance(reached, IPv6Address) and reached in _NAT64:
        reached = IPv4Address(int(reached) & 0xFFFF_FFFF)
    if isinstance(reached, IPv4Address):
        return not any(reached in network for network in _SPECIAL_IPV4)
    return reached in _PUBLIC_IPV6 and not any(reached in network for network in _SPECIAL_IPV6)
