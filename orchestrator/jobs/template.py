"""Commands with placeholders: how they are checked when a job is registered, and filled in when a shard is run.

An argument stays one argument whatever is put into it: there is no shell, and nothing is split again.
"""

import re
from collections.abc import Iterable, Mapping

from orchestrator.errors import FieldError, ValidationFailed
from orchestrator.jobs.model import Parameter

GIVEN = frozenset({"executionId", "shardId", "shards"})
"""Placeholders that every command has."""

LONGEST_VALUE = 200
MOST_REPEATS = 3

_PIECE = re.compile(r"\{\{|\}\}|\{([A-Za-z][A-Za-z0-9_]*)\}|[{}]")
_CLASS_OR_ESCAPE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_REPEAT = re.compile(r"[*+?]|\{")


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders filled in; `{{` and `}}` are braces."""
    return _PIECE.sub(lambda piece: piece[0][0] if piece[1] is None else values[piece[1]], text)


def names_in(text: str) -> list[str]:
    """The placeholders of a text, in order.

    Raises:
        ValueError: it has a brace that belongs to none.
    """
    pieces = list(_PIECE.finditer(text))
    if any(piece[0] in ("{", "}") for piece in pieces):
        raise ValueError("Write {{ and }} for braces that are no placeholder")
    return [piece[1] for piece in pieces if piece[1] is not None]


def check_text(field: str, text: str, known: Iterable[str]) -> FieldError | None:
    """What is wrong with a text of a job; None if nothing is."""
    try:
        unknown = [name for name in names_in(text) if name not in known]
    except ValueError as error:
        return FieldError(field, str(error))
    if unknown:
        return FieldError(field, f"There is no parameter {unknown[0]}; declare it under parameters")
    return None


def check_command(command: Iterable[str], parameters: Iterable[str]) -> list[FieldError]:
    """What is wrong with a command; the program itself is for the administrator alone to choose."""
    named = GIVEN | set(parameters)
    checked = (
        check_text(f"command[{index}]", argument, named if index else GIVEN) for index, argument in enumerate(command)
    )
    return [fault for fault in checked if fault is not None]


def check_parameter(field: str, name: str, parameter: Parameter) -> FieldError | None:
    """What is wrong with a declared parameter; None if nothing is."""
    if name in GIVEN:
        return FieldError(field, "Every job has this placeholder; take another name")
    fault = _pattern_fault(parameter.pattern)
    if fault is not None:
        return FieldError(f"{field}.pattern", fault)
    if parameter.default is not None and not _is_allowed(parameter, parameter.default):
        return FieldError(f"{field}.default", "Must match the pattern, and have at most 200 characters")
    return None


def _pattern_fault(pattern: str) -> str | None:
    """Why a pattern is not taken. Without groups and with few repeats, any value is matched in no time."""
    rest = _CLASS_OR_ESCAPE.sub("", pattern)
    if "(" in rest or re.search(r"\\[1-9]", pattern):
        return "Must have no groups; write alternatives as a|b, and what repeats as a class: [a-z]+"
    if len(_REPEAT.findall(rest)) > MOST_REPEATS:
        return f"Must have at most {MOST_REPEATS} repeats (*, +, ?, {{n}})"
    try:
        re.compile(pattern)
    except (re.error, OverflowError) as error:
        return f"Must be a regular expression: {error}"
    return None


def settle(
    declared: Mapping[str, Parameter], command: Iterable[str], given: Mapping[str, str], path: str
) -> dict[str, str]:
    """The parameters of a run, with defaults filled in.

    Args:
        declared: the job's parameters.
        command: of the job.
        given: what was asked for.
        path: of `given` in the request, for faults.

    Raises:
        ValidationFailed: one is missing, unknown, or not allowed; each is named.
    """
    faults = [FieldError(f"{path}.{name}", "The job has no such parameter") for name in given if name not in declared]
    settled: dict[str, str] = {}
    for name, parameter in declared.items():
        value = given.get(name, parameter.default)
        if value is None:
            faults.append(FieldError(f"{path}.{name}", "Required"))
        elif not _is_allowed(parameter, value):
            faults.append(FieldError(f"{path}.{name}", f"Must match {parameter.pattern}"))
        else:
            settled[name] = value
    makers = dict.fromkeys(_maker_of_option(argument, settled) for argument in command)
    faults += [FieldError(f"{path}.{name}", "Must not make an argument an option") for name in makers if name]
    if faults:
        raise ValidationFailed(*faults)
    return settled


def _maker_of_option(argument: str, values: Mapping[str, str]) -> str | None:
    """The parameter whose value, or whose want of one, makes an argument an option; None if none does."""
    first, end = None, 0
    for piece in _PIECE.finditer(argument):
        name = piece[1]
        if piece.start() != end or name is None:
            break
        value = values.get(name, name)  # those that every command has begin with no dash either
        if value:
            return name if value.startswith("-") else None
        first, end = first or name, piece.end()
    return first if argument.startswith("-", end) else None


def _is_allowed(parameter: Parameter, value: str) -> bool:
    return len(value) <= LONGEST_VALUE and "\0" not in value and re.fullmatch(parameter.pattern, value) is not None
