"""The quickstart's client in Java's form: `python -m examples.word_count.client [SENTENCE ...]`."""

import hosting.interrupts  # noqa: F401  First: Ctrl-C then ends the other imports quietly.

import logging
import sys
from collections.abc import Sequence

from hosting.arguments import Parser
from hosting.clients import connect
from hosting.exits import Exit
from hosting.outputs import output_of
from hosting.program import start

DEFAULT_SENTENCES = [
    "A worker takes one sentence and counts the words it finds.",
    "Five workers count five sentences in the time of the longest one.",
    "The orchestrator waits until every count has arrived and adds them up.",
    "If a worker dies in the middle, another one counts its sentence again.",
    "Nothing is lost, and no sentence is counted twice in the sum.",
]
TIMEOUT_SECONDS = 60.0


def main(argv: Sequence[str] | None = None) -> int:
    """Schedule the orchestration, wait for it and print what the Java client does.

    Returns:
        0. Anything else that happens ends the process with a line and a status of Exit.
    """
    logger = start("client", level=logging.WARNING)
    parser = Parser(description="Let a worker count the words of sentences.")
    parser.add_argument("sentences", nargs="*", metavar="SENTENCE", help="default: five of them")
    sentences: list[str] = parser.parse_args(argv).sentences or DEFAULT_SENTENCES

    with connect(logger, TIMEOUT_SECONDS, worker="examples.word_count.worker") as client:
        instance_id = client.schedule_new_orchestration("FanOutFanIn_WordCount", input=sentences)
        print(f"Started new orchestration instance: {instance_id}")

        state = client.wait_for_orchestration_completion(instance_id, timeout=TIMEOUT_SECONDS)
        output = output_of(client, state)
        print(f"Orchestration completed: {state.runtime_status}")
        print(f"Output: {output}")
    return Exit.COMPLETED


if __name__ == "__main__":
    sys.exit(main())
