"""Settings come from the environment, and what is wrong with one is said by its name."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from orchestrator.config import Networks, Ports, Settings, describe
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


def test_networks_and_ports_are_written_with_commas() -> None:
    settings = Settings.from_environment(
        {"TMS_WEBHOOK_ALLOW": "127.0.0.0/8, ::1,10.1.2.3", "TMS_WEBHOOK_PORTS": "8443,443, 9000"}
    )
    assert settings.webhook_allow == tuple(map(ip_network, ["127.0.0.0/8", "::1/128", "10.1.2.3/32"]))
    assert settings.webhook_ports == Ports({443, 8443, 9000})
    assert str(settings.webhook_allow) == "127.0.0.0/8,::1/128,10.1.2.3/32"


def test_artifacts_are_kept_on_this_machine_for_good_unless_set_otherwise() -> None:
    settings = Settings()
    assert (settings.artifacts_url, settings.artifact_days) == (None, 0)
    assert (settings.artifact_bytes, settings.artifact_execution_bytes) == (512 * 1024**2, 10 * 1024**3)
    given = {"TMS_ARTIFACTS_URL": "s3://bucket/folder", "TMS_ARTIFACT_DAYS": "30", "TMS_ARTIFACT_BYTES": "1000"}
    settings = Settings.from_environment(given)
    assert (settings.artifacts_url, settings.artifact_days) == ("s3://bucket/folder", 30)
    assert settings.artifact_bytes == 1000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TMS_ARTIFACTS_URL", "/srv/artifacts"),
        ("TMS_ARTIFACTS_URL", "https://bucket"),
        ("TMS_ARTIFACTS_URL", "s3://"),
        ("TMS_ARTIFACT_BYTES", str(5 * 1024**3 + 1)),
        ("TMS_ARTIFACT_BYTES", "0"),
        ("TMS_ARTIFACT_DAYS", "-1"),
    ],
)
def test_artifacts_are_kept_where_they_can_be(name: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=name):
        Settings.from_environment({name: value})


def test_jobs_run_in_no_folder_unless_some_are_named() -> None:
    assert Settings().job_folders == ()
    settings = Settings.from_environment({"TMS_JOB_FOLDERS": "/srv/suites, /mnt/tests"})
    assert settings.job_folders == ("/srv/suites", "/mnt/tests")
    assert str(settings.job_folders) == "/srv/suites,/mnt/tests"


def test_webhooks_go_to_public_addresses_ten_times_a_second_unless_set_otherwise() -> None:
    settings = Settings()
    assert (settings.webhook_allow, settings.webhook_ports) == (Networks(), Ports({443, 8443}))
    assert (settings.webhook_rate, settings.webhook_timeout) == (10, 15)
    assert (settings.webhook_disable_after, settings.progress_seconds) == (5 * 24 * 3600, 30)
    assert Settings.from_environment({"TMS_WEBHOOK_RATE": "0"}).webhook_rate == 0


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
        ("TMS_WEBHOOK_ALLOW", "localhost"),
        ("TMS_WEBHOOK_ALLOW", "10.0.0.1/8"),
        ("TMS_JOB_FOLDERS", "suites"),
        ("TMS_JOB_FOLDERS", "/srv/../etc"),
        ("TMS_WEBHOOK_ALLOW", "10.0.0.0/8,"),
        ("TMS_WEBHOOK_PORTS", "https"),
        ("TMS_WEBHOOK_PORTS", "443,0"),
        ("TMS_WEBHOOK_PORTS", "443 8443"),
        ("TMS_WEBHOOK_RATE", "-1"),
        ("TMS_WEBHOOK_TIMEOUT", "-1"),
        ("TMS_WEBHOOK_DISABLE_AFTER", "-1"),
        ("TMS_PROGRESS_SECONDS", "-1"),
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


def test_a_default_is_shown_as_it_would_be_written() -> None:
    defaults = {name: default for name, default, _ in describe()}
    assert (defaults["TMS_WEBHOOK_PORTS"], defaults["TMS_WEBHOOK_ALLOW"]) == ("443,8443", "")
    assert Settings.from_environment(defaults) == Settings()
