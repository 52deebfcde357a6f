"""`python -m mien.apps.benchmark`: the full evaluation."""

import sys

from mien.apps.benchmark.command import main

if __name__ == "__main__":
    sys.exit(main())
