"""``python -m movinet_lite``, the same as ``movinet-lite``."""

import sys

from movinet_lite.cli import main

if __name__ == "__main__":
    sys.exit(main())
