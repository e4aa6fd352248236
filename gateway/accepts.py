"""What a client wants in answer: encodings and media types with their weights (RFC 9110, sections 12.4.2 and 12.5)."""

from collections.abc import Iterator, Sequence

from aiohttp import web

PAGE = "text/html"
OFFERED = ("application/json", "application/xml", "text/xml", "application/ctrf+json", PAGE)
"""What a report can be had in."""


def takes_gzip(accepted: str) -> bool:
    """Whether gzip is among the encodings of an `Accept-Encoding`."""
    return any(name == "gzip" and weight > 0 for name, weight in _weighted(accepted))


def preferred(accepted: str, offered: Sequence[str]) -> str:
    """The media type that an `Accept` likes best, of those that can be had.

    Args:
        accepted: the header's value.
        offered: in the order of our own liking; the first is given where the client takes none of them.
    """
    weights = dict(_weighted(accepted))

    def liking(media: str) -> float:
        # The more exact a range is, the more it counts.
        ranges = (media, f"{media.partition('/')[0]}/*", "*/*")
        return next((weights[one] for one in ranges if one in weights), 0.0)

    return max(offered, key=liking)


def wants_page(request: web.Request) -> bool:
    """Whether it likes HTML best, as browsers do and no program."""
    return preferred(request.headers.get("Accept", "*/*"), OFFERED) == PAGE


def is_visitor(request: web.Request) -> bool:
    """Whether somebody opened a link in a browser, which shows no credential."""
    return "Authorization" not in request.headers and wants_page(request)


def _weighted(header: str) -> Iterator[tuple[str, float]]:
    for one in header.lower().split(","):
        name, *parameters = (part.strip() for part in one.split(";"))
        yield name, next(map(_weight, (text for text in parameters if text.startswith("q="))), 1.0)


def _weight(parameter: str) -> float:
    try:
        return float(parameter.removeprefix("q="))
    except ValueError:
        return 0.0
