"""The limit: a plain thread pool that sleeps the items' delays. `python -m benchmarks.limit N`."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.seeded import delays


def main() -> None:
    """Sleep the delays of as many items as the argument says, 1,000 at once."""
    with ThreadPoolExecutor(1000) as pool:
        list(pool.map(time.sleep, delays(int(sys.argv[1]))))


if __name__ == "__main__":
    main()
