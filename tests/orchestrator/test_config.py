"""Settings come from the environment, and what is wrong with one is said by its name."""

from pathlib import Path

import pytest

from orchestrator.config import Settings, describe
from orchestrator.errors import Misconfigured


def test_without_variables_it_suits_one_machine() -> None:
    settings = Settings.from_environment({})
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.data_dir == Path(".tms")
    assert settings.database_url is None


def test_variables_are_read_and_converted() -> None:
    settings = Settings.from_environment(
        {"TMS_PORT": "9000", "TMS_DATA_DIR": "/srv/tms", "TMS_PARTITIONS": "3", "TMS_REQUEST_WAIT_SECONDS": "2.5"}
    )
    assert (settings.port, settings.data_dir, settings.partitions) == (9000, Path("/srv/tms"), 3)
    assert settings.request_wait_seconds == 2.5


def test_others_variables_and_empty_ones_are_nobodys_business() -> None:
    environ = {"HOME": "/root", "TMS_PORT": "", "TMS_URL": "http://x", "TMS_TOKEN": "a client's"}
    assert Settings.from_environment(environ) == Settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TMS_PORT", "http"),
        ("TMS_PORT", "65536"),
        ("TMS_PARTITIONS", "0"),
        ("TMS_DATABASE_URL", "mysql://somewhere"),
        ("TMS_REDIS_URL", "localhost"),
        ("TMS_PUBLIC_URL", "tms.example"),
        ("TMS_SECRET_KEY", "short"),
        ("TMS_PROT", "8000"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_kept_quiet(variable: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=variable) as raised:
        Settings.from_environment({variable: value})
    if variable != "TMS_PROT":
        assert value not in raised.value.message.replace(variable, "")


def test_every_setting_is_described() -> None:
    rows = describe()
    assert [name for name, _, _ in rows] == [f"TMS_{name.upper()}" for name in Settings.__struct_fields__]
    assert all(about for _, _, about in rows)
