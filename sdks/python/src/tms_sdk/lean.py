"""Imported first in processes of our own: httpx would load its own command line, and with it click, pygments and rich.

That is a third of the time in which the companion of a pytest process starts.
"""

import sys

sys.modules["httpx._main"] = None  # type: ignore[assignment] # None is how Python has "not to be imported"
