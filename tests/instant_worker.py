"""The sample's worker with items that take no time: `python -m tests.instant_worker`."""

import sys

import worker

if __name__ == "__main__":
    worker.MIN_WORK_SECONDS = worker.MAX_WORK_SECONDS = 0
    sys.exit(worker.main())
