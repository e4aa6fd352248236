"""Files as they are sent: one as the body itself, or several as a form (RFC 7578)."""

from collections.abc import Iterator
from email.message import Message

import msgspec
from aiohttp import web

from gateway.middleware import bodies
from orchestrator.errors import BadRequest, FieldError, UnsupportedMedia, ValidationFailed

FORM = "multipart/form-data"
MOST_FILES = 10_000
_OTHER_FORMS = ("multipart/", "application/x-www-form-urlencoded")
_ONLY = "body"
_LONGEST_NAME = 1000
_DISPOSITION = "Content-Disposition"


class SentFile(msgspec.Struct, frozen=True):
    """A file; its name is the client's, and good for nothing but to tell it from others."""

    name: str
    content: bytes


async def read(request: web.Request, limit: int) -> list[SentFile]:
    """The files of a request.

    Raises:
        TooLarge, UnsupportedMedia, BadRequest: as `bodies.whole`; or it is another kind of form, or a broken one.
        ValidationFailed: there are too many.
    """
    kind = Message()
    kind["Content-Type"] = request.headers.get("Content-Type", "")
    media = kind.get_content_type()
    if media != FORM:
        if media.startswith(_OTHER_FORMS):
            wanted = FieldError("Content-Type", f"Must be {FORM}, or that of a file")
            raise UnsupportedMedia(f"Send files as {FORM}, or one as the body itself", (wanted,))
        return [SentFile(_ONLY, await bodies.whole(request, limit))]
    boundary = kind.get_boundary()
    if not boundary:
        raise BadRequest("The form's Content-Type has no boundary")
    return list(parts(await bodies.whole(request, limit), boundary))


def parts(raw: bytes, boundary: str) -> Iterator[SentFile]:
    """The files of a form.

    Raises:
        ValidationFailed: there are too many.
        BadRequest: it is cut off, or is no form of this boundary.
    """
    delimiter = b"\r\n--" + boundary.encode("utf-8", "surrogateescape")
    _, *pieces = (b"\r\n" + raw).split(delimiter, MOST_FILES + 2)
    if len(pieces) > MOST_FILES + 1:
        raise ValidationFailed(FieldError("files", f"Must be at most {MOST_FILES}"))
    for part in pieces:
        if part.startswith(b"--"):
            return
        head, separator, content = part.partition(b"\r\n\r\n")
        if not separator:
            break
        yield SentFile(_name(head.decode("utf-8", "replace")), content)
    raise BadRequest("The form is cut off, or is not one")


def _name(head: str) -> str:
    """The name of a part's file, else of its field."""
    part = Message()
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            part[_DISPOSITION] = value.strip()
    found = part.get_filename() or str(part.get_param("name", "", _DISPOSITION))
    return found.replace("\0", "")[:_LONGEST_NAME]
