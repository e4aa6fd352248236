"""The wheel has the dashboard in it, or is not built: a server without it should be nobody's surprise."""

from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DashboardHook(BuildHookInterface[BuilderConfig]):
    """Looks whether `make dashboard` has been there."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling names both
        """Refuse to build; an editable install is for those who can build the dashboard later."""
        if version != "editable" and not (Path(self.root) / "gateway" / "dashboard" / "index.html").is_file():
            self.app.abort("The dashboard is not built: run `make wheel`, or `make dashboard` before this")
