"""A worker with the chain, or a change to it under its name: `ENDPOINT TASKHUB [CODE]`."""

from __future__ import annotations

import signal
import sys
import threading

from durabletask.azuremanaged.worker import DurableTaskSchedulerWorker

from tests.replay import chains
from tests.replay.programme import CHANGES


def main(endpoint: str, task_hub: str, code: str) -> None:
    """Run the worker until SIGTERM."""
    known = {"chain": chains.chain, **{one.registered_as: one.code for one in CHANGES}}
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with DurableTaskSchedulerWorker(
        host_address=endpoint, taskhub=task_hub, token_credential=None, secure_channel=False
    ) as worker:
        if code:
            known[code].__name__ = "chain"
            worker.add_orchestrator(known[code])
        worker.start()
        while not stop.wait(0.2):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
