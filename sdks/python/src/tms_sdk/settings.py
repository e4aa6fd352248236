"""What holds for all our commands, and what the environment tells of the server."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

DEFAULT_URL = "http://127.0.0.1:8000"
# Where results wait for a server that is away, in the folder in which the tests are run.
SPOOL = Path(".tms-spool")
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What is known of the server.

    Attributes:
        url: its address.
        token: the API token; empty where there is none.
        patience: seconds for which a runner that has nothing to do waits for a server that is away.
    """

    url: str
    token: str
    patience: float

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Read TMS_URL, TMS_TOKEN and TMS_PATIENCE; what is no number of seconds is not heeded."""
        try:
            patience = max(0.0, float(environ.get("TMS_PATIENCE", "")))
        except ValueError:
            patience = _PATIENCE_SECONDS
        return cls(environ.get("TMS_URL") or DEFAULT_URL, environ.get("TMS_TOKEN", ""), patience)
