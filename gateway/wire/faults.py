"""Finds every fault of a readable request, where the decoder stops at the first (X-079).

A value, as JSON has it, is walked beside the type it should have. Each fault gets its path as the client wrote it and
a sentence that says what would be right. What the decoder is needlessly strict about is put right on the way: `5.0`
where a whole number is wanted is `5`.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from msgspec import inspect

from gateway.wire.moments import is_in_range
from orchestrator.errors import FieldError

MOST_FAULTS = 100
"""Nobody reads more of them in one answer."""

REQUIRED = "Required"
_ROOT = "body"
_TIMESTAMP = "Must be a timestamp with its offset, such as 2025-08-04T12:34:56.789Z"
_TAIL = re.compile(r" - at `\$\.?(?P<path>.*)`$")


class Faults:
    """The faults of one value."""

    def __init__(self) -> None:
        self.found: list[FieldError] = []

    def add(self, path: str, message: str) -> None:
        """One more, unless there are enough."""
        if len(self.found) < MOST_FAULTS:
            self.found.append(FieldError(path or _ROOT, message))

    def walk(self, value: object, kind: inspect.Type, path: str = "") -> object:  # noqa: PLR0911 - one case a type
        """Collect the faults of a value; returns it with harmless deviations put right."""
        match kind:
            case inspect.Metadata():
                return self.walk(value, kind.type, path)
            case inspect.UnionType():
                return self._union(value, kind, path)
            case inspect.StructType():
                return self._struct(value, kind, path)
            case inspect.DictType():
                return self._dict(value, kind, path)
            case inspect.ListType() | inspect.VarTupleType():
                return self._list(value, kind, path)
            case inspect.AnyType() | inspect.RawType():
                return value
            case _:
                return self._scalar(value, kind, path)

    def _struct(self, value: object, kind: inspect.StructType, path: str) -> object:
        if not isinstance(value, dict):
            self.add(path, "Must be an object")
            return value
        right = dict(value)
        for field in kind.fields:
            place = f"{path}.{field.encode_name}" if path else field.encode_name
            if field.encode_name in value:
                right[field.encode_name] = self.walk(value[field.encode_name], field.type, place)
            elif field.required:
                self.add(place, REQUIRED)
        return right

    def _dict(self, value: object, kind: inspect.DictType, path: str) -> object:
        if not isinstance(value, dict):
            self.add(path, "Must be an object")
            return value
        return {key: self.walk(item, kind.value_type, f"{path}.{key}") for key, item in value.items()}

    def _list(self, value: object, kind: inspect.ListType | inspect.VarTupleType, path: str) -> object:
        if not isinstance(value, list):
            self.add(path, "Must be a list")
            return value
        if kind.max_length is not None and len(value) > kind.max_length:
            self.add(path, f"Must have at most {kind.max_length} entries")
        if kind.min_length is not None and len(value) < kind.min_length:
            least = "Must not be empty" if kind.min_length == 1 else f"Must have at least {kind.min_length} entries"
            self.add(path, least)
        return [self.walk(item, kind.item_type, f"{path}[{index}]") for index, item in enumerate(value)]

    def _union(self, value: object, kind: inspect.UnionType, path: str) -> object:
        choices = [_bare(choice) for choice in kind.types if not isinstance(choice, inspect.NoneType)]
        if value is None and len(choices) < len(kind.types):
            return None
        structs = [choice for choice in choices if isinstance(choice, inspect.StructType)]
        if len(structs) > 1:
            return self._tagged(value, structs, path)
        fitting = [choice for choice in choices if _fits(value, choice)]
        if fitting or len(choices) == 1:
            return self.walk(value, (fitting or choices)[0], path)
        self.add(path, f"Must be {' or '.join(_noun(choice) for choice in choices)}")
        return value

    def _tagged(self, value: object, structs: Sequence[inspect.StructType], path: str) -> object:
        if not isinstance(value, dict):
            self.add(path, "Must be an object")
            return value
        name = str(structs[0].tag_field)
        place = f"{path}.{name}" if path else name
        for struct in structs:
            if name in value and struct.tag == value[name]:
                return self._struct(value, struct, path)
        self.add(place, _one_of(struct.tag for struct in structs) if name in value else REQUIRED)
        return value

    def _scalar(self, value: object, kind: inspect.Type, path: str) -> object:
        if isinstance(kind, inspect.IntType) and isinstance(value, float) and value.is_integer():
            value = int(value)
        message = _scalar_fault(value, kind)
        if message is not None:
            self.add(path, message)
        return value


def _bare(kind: inspect.Type) -> inspect.Type:
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _scalar_fault(value: object, kind: inspect.Type) -> str | None:  # noqa: PLR0911 - one case a type
    match kind:
        case inspect.EnumType():
            words = [member.value for member in kind.cls]
            return None if isinstance(value, str) and value in words else _one_of(words)
        case inspect.LiteralType():
            return None if isinstance(value, str) and value in kind.values else _one_of(kind.values)
        case inspect.StrType():
            return _text_fault(value, kind)
        case inspect.BoolType():
            return None if isinstance(value, bool) else f"Must be {_noun(kind)}"
        case inspect.IntType() | inspect.FloatType():
            return _number_fault(value, kind)
        case inspect.DateTimeType():
            return None if _is_timestamp(value) else _TIMESTAMP
        case inspect.NoneType():
            return None if value is None else "Must be null"
        case _:
            raise TypeError(f"requests cannot hold a {kind!r}")


def _text_fault(value: object, kind: inspect.StrType) -> str | None:
    if not isinstance(value, str):
        return "Must be a string"
    if kind.min_length is not None and len(value) < kind.min_length:
        return "Must not be empty" if kind.min_length == 1 else f"Must have at least {kind.min_length} characters"
    if kind.max_length is not None and len(value) > kind.max_length:
        return f"Must have at most {kind.max_length} characters"
    return None


def _number_fault(value: object, kind: inspect.IntType | inspect.FloatType) -> str | None:
    wanted = int if isinstance(kind, inspect.IntType) else (int, float)
    if isinstance(value, bool) or not isinstance(value, wanted):
        return f"Must be {_noun(kind)}"
    low, high = kind.ge, kind.le
    if (low is None or value >= low) and (high is None or value <= high):
        return None
    if low is not None and high is not None:
        return (
            f"Must be between {low:g} and {high:g}" if isinstance(high, float) else f"Must be between {low} and {high}"
        )
    return f"Must be at least {low}" if low is not None else f"Must be at most {high}"


def _is_timestamp(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        moment = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return False
    return moment.tzinfo is not None and is_in_range(moment)


def _fits(value: object, kind: inspect.Type) -> bool:
    """Whether a value is of the JSON type that this choice of a union stands for."""
    match kind:
        case inspect.StrType() | inspect.EnumType() | inspect.LiteralType() | inspect.DateTimeType():
            return isinstance(value, str)
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType() | inspect.FloatType():
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case inspect.ListType() | inspect.VarTupleType():
            return isinstance(value, list)
        case _:
            return isinstance(value, dict)


def _noun(kind: inspect.Type) -> str:
    match kind:
        case inspect.IntType():
            return "a whole number"
        case inspect.FloatType():
            return "a number"
        case inspect.BoolType():
            return "true or false"
        case inspect.ListType() | inspect.VarTupleType():
            return "a list"
        case inspect.StructType() | inspect.DictType():
            return "an object"
        case _:
            return "a string"


def _one_of(words: Iterable[object]) -> str:
    return f"Must be one of: {', '.join(str(word) for word in words)}"


def of_decoder(error: msgspec.ValidationError) -> FieldError:
    """The decoder's own word, for what the walk does not know of."""
    message = str(error)
    tail = _TAIL.search(message)
    if tail is None:
        return FieldError(_ROOT, message)
    return FieldError(tail["path"] or _ROOT, message[: tail.start()])


def of_nul(value: object, path: str = "") -> list[FieldError]:
    """Every text with a NUL character, which the store cannot hold."""
    message = "Must not contain the NUL character"
    match value:
        case str():
            return [FieldError(path or _ROOT, message)] if "\0" in value else []
        case list():
            return [fault for index, item in enumerate(value) for fault in of_nul(item, f"{path}[{index}]")][
                :MOST_FAULTS
            ]
        case dict():
            found: list[FieldError] = []
            for key, item in value.items():
                if "\0" in key:
                    found.append(FieldError(path or _ROOT, message))
                found += of_nul(item, f"{path}.{key}" if path else key)
            return found[:MOST_FAULTS]
        case _:
            return []
