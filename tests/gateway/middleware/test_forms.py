"""Files of a form, taken apart."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.middleware import forms
from gateway.middleware.forms import SentFile
from orchestrator.errors import BadRequest, ValidationFailed

BOUNDARY = "----x"


def form(*files: tuple[str, bytes]) -> bytes:
    head = '--{}\r\nContent-Disposition: form-data; name="files"; {}\r\nContent-Type: text/xml\r\n\r\n'
    each = [head.format(BOUNDARY, disposition).encode() + content + b"\r\n" for disposition, content in files]
    return b"".join(each) + f"--{BOUNDARY}--\r\n".encode()


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('filename="a.xml"', "a.xml"),
        ('filename="größe \\"1\\".xml"', 'größe "1".xml'),
        ("filename=a.xml", "a.xml"),
        ("filename*=UTF-8''gr%C3%B6%C3%9Fe.xml", "größe.xml"),
        ('filename="../../etc/passwd"', "../../etc/passwd"),
        ("", "files"),
        ('filename=""', "files"),
    ],
)
def test_names_are_read_as_clients_write_them(disposition: str, name: str) -> None:
    (file,) = forms.parts(form((disposition, b"x")), BOUNDARY)

    assert file.name == name


@given(st.lists(st.binary()))
def test_contents_come_out_as_they_were_put_in(contents: list[bytes]) -> None:
    assume(all(BOUNDARY.encode() not in content for content in contents))
    sent = form(*(('filename="a"', content) for content in contents))

    assert list(forms.parts(sent, BOUNDARY)) == [SentFile("a", content) for content in contents]
    assert list(forms.parts(b"preamble\r\n" + sent + b"epilogue", BOUNDARY)) == [
        SentFile("a", content) for content in contents
    ]


@pytest.mark.parametrize("junk", [b"", b"x", form(("", b"x"))[:-12], b"------x\r\nno end of its head"])
def test_what_is_no_form_or_cut_off_is_a_bad_request(junk: bytes) -> None:
    with pytest.raises(BadRequest):
        list(forms.parts(junk, BOUNDARY))


def test_their_number_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "MOST_FILES", 2)

    assert len(list(forms.parts(form(*[("", b"x")] * 2), BOUNDARY))) == 2
    with pytest.raises(ValidationFailed):
        list(forms.parts(form(*[("", b"x")] * 3), BOUNDARY))
