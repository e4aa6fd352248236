"""Badges: the outcome of a suite's newest finished execution as a small picture, and the URL that shows it."""

import unicodedata
from html import escape
from typing import Annotated

import msgspec
from msgspec import Meta

from orchestrator.executions.model import Environment, ExecutionStatus, ReasonCode, TestSuite
from storage.executions import Finished

Branch = Annotated[str, Meta(min_length=1, max_length=255)]

_GREEN, _RED, _GREY = "#1a7f37", "#b42318", "#57606a"
_LONGEST_LABEL = 40
_NARROW, _WIDE, _PADDING, _HEIGHT = 7, 13, 10, 20


class BadgeQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whose outcome it tells."""

    test_suite: TestSuite
    branch: Branch | None = None
    environment: Environment | None = None


class SignedBadgeQuery(msgspec.Struct, frozen=True, kw_only=True):
    """As the URL of a badge has it; what is not right in it is answered as if there were no such badge."""

    branch: str | None = None
    environment: str | None = None
    signature: str | None = None


class BadgeLink(msgspec.Struct, frozen=True):
    """Where a badge is: for all who have the URL, for ever."""

    url: str
    markdown: str


def drawn(test_suite: str, branch: str | None, newest: Finished | None) -> bytes:
    """The badge as an SVG that needs no font and no style from elsewhere."""
    label = test_suite if branch is None else f"{test_suite} {branch}"
    if len(label) > _LONGEST_LABEL:
        label = f"{label[: _LONGEST_LABEL - 1]}…"
    word, colour = _verdict(newest)
    left, right = _width(label), _width(word)
    text = '<text x="{x}" y="14" text-anchor="middle" textLength="{length}">{text}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{_HEIGHT}" role="img"'
        f' aria-label="{escape(label)}: {escape(word)}"><title>{escape(label)}: {escape(word)}</title>'
        f'<rect width="{left + right}" height="{_HEIGHT}" rx="3" fill="#24292f"/>'
        f'<path d="M{left} 0h{right - 3}a3 3 0 0 1 3 3v{_HEIGHT - 6}a3 3 0 0 1-3 3H{left}z" fill="{colour}"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f"{text.format(x=left / 2, length=left - _PADDING, text=escape(label))}"
        f"{text.format(x=left + right / 2, length=right - _PADDING, text=escape(word))}</g></svg>\n"
    ).encode()


def _verdict(newest: Finished | None) -> tuple[str, str]:
    """A word and its colour; the word alone is enough for who cannot tell colours apart."""
    match newest:
        case None:
            verdict = ("no runs", _GREY)
        case Finished(status=ExecutionStatus.CANCELLED):
            verdict = ("cancelled", _GREY)
        case Finished(failed=failed) if failed:
            verdict = (f"failing {failed}", _RED)
        case Finished(status=ExecutionStatus.FAILED):
            verdict = ("failing", _RED)
        case Finished(reason_code=ReasonCode.INCOMPLETE):
            verdict = ("incomplete", _RED)
        case Finished(total=0):
            verdict = ("no tests", _GREY)
        case _:
            verdict = ("passing", _GREEN)
    return verdict


def _width(text: str) -> int:
    return _PADDING + sum(_WIDE if unicodedata.east_asian_width(char) in "WF" else _NARROW for char in text)
