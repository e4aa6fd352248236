"""Loads the plugin `tms` where pytest does not look for plugins by itself; `tms run` names this module with `-p`."""

import pytest

from tms_sdk import pytest_plugin


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Register the plugin under the name by which pytest may find it a second time, and then leaves it alone."""
    if not pluginmanager.is_registered(pytest_plugin):
        pluginmanager.register(pytest_plugin, "tms")
