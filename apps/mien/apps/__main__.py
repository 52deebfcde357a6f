"""`python -m mien.apps` is the `mien` command."""

import sys

from mien.apps.cli import main

if __name__ == "__main__":
    sys.exit(main())
