"""Names of artifacts: relative paths, as test tools write them. They are shown, and name no file of ours."""

import unicodedata
from typing import Final

from orchestrator.errors import FieldError, ValidationFailed

LONGEST: Final = 255
_JOINERS = frozenset("\u200c\u200d")  # of emoji, and of words of some languages
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def check(name: str) -> str:
    """The name, composed (NFC), so that the same name is the same text from every system.

    Raises:
        ValidationFailed: it is no relative path, or has characters that do not show or that turn the text around.
    """
    composed = unicodedata.normalize("NFC", name)
    fault = _fault(composed)
    if fault is not None:
        raise ValidationFailed(FieldError("name", fault))
    return composed


def last_part(name: str) -> str:
    """What the file is called without its folders."""
    return name.rpartition("/")[2]


def ascii_only(name: str) -> str:
    """The name for headers that take nothing else: letters without their marks, `_` for all that is left."""
    letters = unicodedata.normalize("NFKD", name)
    kept = (char for char in letters if not unicodedata.combining(char))
    return "".join(char if char.isascii() and (char.isalnum() or char in " ._-()[]") else "_" for char in kept)


def _fault(name: str) -> str | None:
    if len(name) > LONGEST:
        return f"Must have at most {LONGEST} characters"
    if "\\" in name or any(part.strip() in {"", ".", ".."} for part in name.split("/")):
        return "Must be a relative path such as login/failed.png, without . or .. in it"
    if any(unicodedata.category(char) in _INVISIBLE and char not in _JOINERS for char in name):
        return "Must not have control, formatting or unassigned characters"
    return None
