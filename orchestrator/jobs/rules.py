"""What a job may be like."""

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from orchestrator.errors import FieldError, ValidationFailed
from orchestrator.jobs import folders, template
from orchestrator.jobs.model import Definition

MOST_NAMED = 100
"""Parameters, variables or resources of one job."""

_PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_RESOURCE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,127}")
_OURS = "TMS_"
_OF_RAY = frozenset({"cpu", "gpu", "memory", "object_store_memory"})


def check(definition: Definition, allowed_folders: Iterable[str]) -> None:
    """See whether a job can be like this.

    Args:
        definition: of the job.
        allowed_folders: those that the operator allowed jobs to run in.

    Raises:
        ValidationFailed: it cannot; each field is named.
    """
    found = [*_names(definition), *_parameters(definition), *_texts(definition), *_source(definition, allowed_folders)]
    if found:
        raise ValidationFailed(*found)


def _names(definition: Definition) -> Iterator[FieldError]:
    """Of variables and resources."""
    for field, names, pattern in (
        ("parameters", definition.parameters, _PARAMETER),
        ("environment", definition.variables, _VARIABLE),
        ("resources.custom", definition.resources.custom, _RESOURCE),
    ):
        if len(names) > MOST_NAMED:
            yield FieldError(field, f"Must have at most {MOST_NAMED} entries")
        for name in names:
            if pattern.fullmatch(name) is None:
                yield FieldError(f"{field}.{name}"[:200], f"Must have a name that matches {pattern.pattern}")
    for name in definition.variables:
        if name.startswith(_OURS):
            yield FieldError(f"environment.{name}", "Variables that begin with TMS_ are the server's to set")
    for name in definition.resources.custom:
        if name.lower() in _OF_RAY:
            yield FieldError(f"resources.custom.{name}", "Use cpus and memory for these")


def _parameters(definition: Definition) -> Iterator[FieldError]:
    for name, parameter in definition.parameters.items():
        fault = template.check_parameter(f"parameters.{name}", name, parameter)
        if fault is not None:
            yield fault


def _texts(definition: Definition) -> Iterator[FieldError]:
    """Command and reports, with what stands in braces."""
    if not definition.command[0]:
        yield FieldError("command[0]", "Must not be empty")
    yield from template.check_command(definition.command, definition.parameters)
    reports = definition.reports
    if reports is not None:
        fault = template.check_text("reports", reports, template.GIVEN)
        if fault is not None:
            yield fault
        parts = PurePosixPath(reports).parts
        if not parts or parts[0].startswith("/") or ".." in parts:
            yield FieldError("reports", "Must be a glob below the folder that the command is run in")
        elif any("**" in part and part != "**" for part in parts):
            yield FieldError("reports", "Must have ** as a whole part of the path, as in out/**/*.xml")


def _source(definition: Definition, allowed_folders: Iterable[str]) -> Iterator[FieldError]:
    if definition.archive is not None and definition.folder is not None:
        yield FieldError("source", "Must be an archive or a folder, not both")
    elif definition.folder is not None and not folders.is_under(definition.folder, allowed_folders):
        yield FieldError("source.folder", "Must be a folder under one that the operator allowed (TMS_JOB_FOLDERS)")
