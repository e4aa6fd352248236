"""Answers to those who watch over the server."""

from typing import Literal

import msgspec


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(msgspec.Struct, frozen=True):
    """Everything it needs answers."""

    status: Literal["ready"] = "ready"
