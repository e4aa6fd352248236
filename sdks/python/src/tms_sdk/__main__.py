"""`python -m tms_sdk` is the command `tms`."""

import sys

from tms_sdk.cli import main

if __name__ == "__main__":
    sys.exit(main())
