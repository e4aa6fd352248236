"""What a client wants in answer."""

import pytest

from gateway.accepts import preferred, takes_gzip

OFFERED = ("application/json", "application/xml", "application/ctrf+json")


@pytest.mark.parametrize(
    ("accepted", "media"),
    [
        ("*/*", "application/json"),
        ("", "application/json"),
        ("text/html", "application/json"),
        ("application/xml", "application/xml"),
        ("Application/XML; charset=utf-8", "application/xml"),
        ("application/*", "application/json"),
        ("application/ctrf+json", "application/ctrf+json"),
        ("application/json;q=0.5, application/xml;q=0.9", "application/xml"),
        ("application/xml;q=0.5, */*;q=0.8", "application/json"),
        ("application/json;q=0, */*", "application/xml"),
        ("application/xml;q=none", "application/json"),
    ],
)
def test_the_best_liked_media_type_is_given(accepted: str, media: str) -> None:
    assert preferred(accepted, OFFERED) == media


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip; q=0", False), ("gzip;q=0.000", False), ("identity", False)],
)
def test_gzip_is_taken_unless_its_weight_is_nothing(accepted: str, takes: bool) -> None:  # noqa: FBT001 - pytest gives it
    assert takes_gzip(accepted) is takes
