"""The client of the quickstart's Java form: `python -m examples.word_count.client [TEXT ...]`."""

import argparse
import sys

from durabletask.azuremanaged.client import DurableTaskSchedulerClient

from hosting.clients import exit_statuses
from hosting.logs import configure_logging
from hosting.scheduler import Scheduler

DEFAULT_SENTENCES = [
    "A worker takes one sentence and counts the words it finds.",
    "Five workers count five sentences in the time of the longest one.",
    "The orchestrator waits until every count has arrived and adds them up.",
    "If a worker dies in the middle, another one counts its sentence again.",
    "Nothing is lost, and no sentence is counted twice in the sum.",
]
TIMEOUT_SECONDS = 60.0


def main() -> int:
    """Schedule the orchestration, wait for it and print what the Java client prints; return 0."""
    configure_logging("client", "warning")
    parser = argparse.ArgumentParser(description="Let a worker count the words of sentences.")
    parser.add_argument("sentences", nargs="*", metavar="SENTENCE", help="default: five of them")
    sentences = parser.parse_args().sentences or DEFAULT_SENTENCES
    with exit_statuses(TIMEOUT_SECONDS) as run:
        scheduler = Scheduler.from_environment()
        client = DurableTaskSchedulerClient(**scheduler.connection(), **run.options(scheduler))

        instance_id = client.schedule_new_orchestration("FanOutFanIn_WordCount", input=sentences)
        print(f"Started new orchestration instance: {instance_id}")

        with run.waiting(client, instance_id):
            result = client.wait_for_orchestration_completion(instance_id, timeout=TIMEOUT_SECONDS)
        output = run.output_of(client, result)
        print("Orchestration completed: COMPLETED")
        print(f"Output: {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
