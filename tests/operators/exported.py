"""What a running server exports, and what of it an expression in PromQL speaks of."""

import re
from collections.abc import Iterator, Mapping

import msgspec
from prometheus_client.parser import text_string_to_metric_families

ADDED = frozenset({"job", "instance"})
"""Labels that Prometheus adds to all."""


class Family(msgspec.Struct, frozen=True):
    """A metric under the name that people know it by: with `_total`, without `_bucket`."""

    kind: str
    labels: frozenset[str]


class Exported:
    """All metrics of a server.

    Attributes:
        text: as Prometheus gets it.
        families: by name.
        series: labels by the name of a series, such as `tms_owner_commit_seconds_bucket`.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.families: dict[str, Family] = {}
        self.series: dict[str, frozenset[str]] = {}
        for family in text_string_to_metric_families(text):
            labels = {label for sample in family.samples for label in sample.labels}
            name = f"{family.name}_total" if family.type == "counter" else family.name
            self.families[name] = Family(family.type, frozenset(labels - {"le"}))
            for sample in family.samples:
                self.series[sample.name] = frozenset(sample.labels) | ADDED

    def unknown(self, expression: str, recorded: Mapping[str, frozenset[str]]) -> list[str]:
        """Names and labels in an expression that neither the server nor a recording rule has."""
        known = {**self.series, **recorded}
        found = []
        met: set[str] = set()
        for name, labels in selectors(expression):
            if name not in known:
                found.append(name)
                continue
            met |= known[name]
            found += [f"{name}{{{label}}}" for label in sorted(labels - known[name])]
        return found + [f"by ({label})" for label in sorted(grouped(expression) - met)]


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_NAME = re.compile(r"(?<![\w:\[.$])([a-zA-Z_:][\w:]*)(?![\w:])\s*(\(|\{[^}]*\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring"})


def selectors(expression: str) -> Iterator[tuple[str, frozenset[str]]]:
    """The series that an expression names, each with the labels that it matches."""
    plain = _GROUPING.sub(" ", _STRING.sub('""', expression))
    for name, after in _NAME.findall(plain):
        if after != "(" and name not in _WORDS:
            yield name, frozenset(_LABEL.findall(after))


def grouped(expression: str) -> set[str]:
    """The labels that an expression groups by or joins on."""
    lists = _GROUPING.findall(_STRING.sub('""', expression))
    return {label.strip() for one in lists for label in one.split(",") if label.strip()}


def outcome(expression: str) -> frozenset[str]:
    """The labels that the series of a recording rule have: those of its outermost grouping."""
    return frozenset(label.strip() for label in _GROUPING.findall(expression)[0].split(",")) - {"le"}
