"""Sample programs in a markdown document."""

import re
from dataclasses import dataclass

from tests.running import RunningServer

# What the document's samples have in place of what a user knows.
HOST = "https://your-tms-instance.com"
API_TOKEN = "YOUR_API_TOKEN"

_FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Document:
    """A document's text."""

    text: str

    def sample(self, language: str, *contained: str) -> str:
        """The one fenced block in a language that contains all of these."""
        blocks = [code for name, code in _FENCED.findall(self.text) if name == language]
        found = [code for code in blocks if all(words in code for words in contained)]
        assert len(found) == 1, f"{len(found)} {language} samples contain {contained}"
        return str(found[0])


def filled_in(sample: str, server: RunningServer, **more: str) -> str:
    """A sample as its user runs it: with a host and token of their own, and nothing else changed.

    Args:
        sample: the code.
        server: whose host and token.
        more: further words to replace, with the words to put in their place.
    """
    for words, own in {HOST: server.url, API_TOKEN: server.token, **more}.items():
        sample = sample.replace(words, own)
    return sample
