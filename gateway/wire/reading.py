"""Reads bodies and queries into structs: at full speed while they are right, with every fault named where not."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import inspect

from gateway.wire import faults
from gateway.wire.faults import Faults
from orchestrator.errors import BadRequest, FieldError, ValidationFailed

T = TypeVar("T")

FREE_BYTES = 64 * 1024
"""The longest free JSON object (metadata, reports) that is kept with an execution."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_WHOLE = re.compile(r"-?\d{1,18}")
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_SAFE_DIGITS = 18


class BodyReader(Generic[T]):
    """Reads JSON bodies of one type."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._decoder = msgspec.json.Decoder(kind)
        self._type = inspect.type_info(kind)
        # Lists whose entries are read one by one later, each by itself.
        fields = self._type.fields if isinstance(self._type, inspect.StructType) else ()
        self._later = frozenset(field.encode_name for field in fields if _holds_raw(field.type))

    def read(self, raw: bytes) -> T:
        """Decode a body.

        Raises:
            BadRequest: it is not JSON, not UTF-8, or nested too deeply.
            ValidationFailed: fields are wrong; each is named.
        """
        try:
            raw.decode()
            value = self._decoder.decode(raw)
        except msgspec.ValidationError:
            value = self._read_slowly(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _unreadable(raw, error) from None
        if b"\\u0000" in raw:
            _refuse_nul(raw, self._later)
        return value

    def _read_slowly(self, raw: bytes) -> T:
        found = Faults()
        right = found.walk(_plain(raw), self._type)
        if found.found:
            raise ValidationFailed(*found.found)
        try:
            return msgspec.convert(right, self._kind)
        except msgspec.ValidationError as error:
            raise ValidationFailed(faults.of_decoder(error)) from None


class QueryReader(Generic[T]):
    """Reads query strings into flat structs."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        info = inspect.type_info(kind)
        if not isinstance(info, inspect.StructType):
            raise TypeError(f"a query is a struct, not {kind}")
        self._type = info

    def read(self, query: Mapping[str, str]) -> T:
        """Convert a query; parameters of other names are left out of account.

        Raises:
            ValidationFailed: parameters are wrong; each is named.
        """
        found = Faults()
        given: dict[str, Any] = {}
        for field in self._type.fields:
            text = query.get(field.encode_name)
            if text is not None and not is_storable(text):
                found.add(field.encode_name, "Must be UTF-8 text without the NUL character")
            elif text is not None:
                given[field.encode_name] = _typed(text, field.type)
        right = found.walk(given, self._type)
        if found.found:
            raise ValidationFailed(*found.found)
        try:
            return msgspec.convert(right, self._kind)
        except msgspec.ValidationError as error:
            raise ValidationFailed(faults.of_decoder(error)) from None


class _Metadata(msgspec.Struct):
    metadata: msgspec.Raw = msgspec.Raw(b"null")


class _Data(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")


_metadata = msgspec.json.Decoder(_Metadata)
_data = msgspec.json.Decoder(_Data)


def metadata_text(raw: bytes) -> str | None:
    """The `metadata` of a body that was read before, as the client wrote it; None for null or none.

    Raises:
        ValidationFailed: it is too long.
    """
    return _free_text("metadata", bytes(_metadata.decode(raw).metadata))


def data_text(raw: bytes) -> str | None:
    """The `data` of a body that was read before, as the client wrote it; None for null or none.

    Raises:
        ValidationFailed: it is too long.
    """
    return _free_text("data", bytes(_data.decode(raw).data))


def _free_text(name: str, text: bytes) -> str | None:
    if len(text) > FREE_BYTES:
        raise ValidationFailed(FieldError(name, f"Must have at most {FREE_BYTES} bytes of JSON"))
    return None if text == b"null" else text.decode()


def is_storable(text: str) -> bool:
    """Whether the store can hold it: no NUL character, and no half of a surrogate pair from a header or URL."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _typed(text: str, kind: inspect.Type) -> object:
    """What JSON would have for a query's text."""
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    for one in (choice.type if isinstance(choice, inspect.Metadata) else choice for choice in kinds):
        if isinstance(one, inspect.IntType) and _WHOLE.fullmatch(text):
            return int(text)
        if isinstance(one, inspect.BoolType):
            return _BOOLEANS.get(text, text)
    return text


def _plain(raw: bytes) -> object:
    """JSON as Python has it, with numbers of any size.

    Raises:
        BadRequest: it is not JSON; the decoder may have met a wrong field before it came to the fault.
    """
    try:
        value = json.loads(raw, parse_int=_number, parse_constant=_no_json)
        if _SURROGATE.search(raw):
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise _unreadable(raw, error) from None
    return value


def _number(text: str) -> float:
    return int(text) if len(text) <= _SAFE_DIGITS else float(text)


def _no_json(text: str) -> object:
    raise ValueError(f"{text} is no JSON")


def _unreadable(raw: bytes, error: Exception) -> BadRequest:
    if not raw.strip():
        return BadRequest("The body is empty; send a JSON object")
    if isinstance(error, RecursionError):
        return BadRequest("The body is nested too deeply")
    if isinstance(error, UnicodeError):
        return BadRequest("The body is not UTF-8 text")
    return BadRequest("The body is not valid JSON")


def _holds_raw(kind: inspect.Type) -> bool:
    bare = kind.type if isinstance(kind, inspect.Metadata) else kind
    return isinstance(bare, inspect.ListType) and isinstance(bare.item_type, inspect.RawType)


def _refuse_nul(raw: bytes, later: Collection[str]) -> None:
    value = _plain(raw)
    if later and isinstance(value, dict):
        value = {name: item for name, item in value.items() if name not in later}
    found = faults.of_nul(value)
    if found:
        raise ValidationFailed(*found)
