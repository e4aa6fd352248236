"""Names are relative paths that show as they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.artifacts import names
from orchestrator.errors import ValidationFailed


@pytest.mark.parametrize(
    "name",
    [
        "a.png",
        "login/failed attempt (2).png",
        ".hidden",
        "größe.log",
        "スクリーンショット.png",
        "family 👨\u200d👩\u200d👧.png",
        "a..b",
        "x" * 255,
    ],
)
def test_what_tools_write_is_kept_as_it_is(name: str) -> None:
    assert names.check(name) == name


def test_the_same_name_is_the_same_text_from_every_system() -> None:
    assert names.check("gro\u0308ße.log") == "größe.log"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../secret",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        "..",
        " / ",
        "a/.. /b",
        "C:\\a.png",
        "a\0b",
        "a\nb",
        "a\rSet-Cookie: x",
        "a\x7f",
        "a\x85b",
        "photo\u202egnp.exe",
        "\u2066a\u2069",
        "\ufeffa",
        "a\u200bb",
        "a\u2028b",
        "\ud800",
        "\ue000",
        "\uffff",
        "x" * 256,
    ],
)
def test_paths_that_lead_elsewhere_and_text_that_does_not_show_are_refused(name: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        names.check(name)
    assert [detail.field for detail in refused.value.details] == ["name"]


@given(st.text(max_size=300))
def test_a_name_fits_into_a_header_in_both_forms(name: str) -> None:
    try:
        checked = names.check(name)
    except ValidationFailed:
        return
    assert "/" not in names.last_part(checked)
    plain = names.ascii_only(names.last_part(checked))
    assert plain.isascii()
    assert plain.isprintable()
    assert not set(plain) & set('"\\%;')


def test_a_plain_name_looks_like_the_true_one() -> None:
    assert names.ascii_only("größe & 日本 (1).log") == "gro_e _ __ (1).log"
