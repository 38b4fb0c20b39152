"""The quickstart's Java form: the activity, and what a Java client gets."""

from __future__ import annotations

import json
import re

import pytest
from durabletask import task

from dts_emulator import Emulator
from examples.word_count import client
from examples.word_count import worker as example
from tests.examples.exchange import answer_to
from tests.examples.fixtures import WORD_COUNT, Exchange
from tests.processes import run, running

CONTEXT = task.ActivityContext("instance", 1)


@pytest.mark.parametrize(
    ("sentence", "words"),
    [("", 0), ("  ", 0), ("one", 1), ("one, two", 2), ("a\tb\nc\rd\fe f", 6), ("a\u00a0b", 1)],
)
def test_words_are_separated_as_in_java(sentence: str, words: int) -> None:
    assert example.CountWords(CONTEXT, sentence) == words


@pytest.mark.parametrize("exchange", WORD_COUNT, ids=lambda exchange: exchange.name)
def test_a_java_client_gets_what_a_java_worker_gives_it(
    emulator: Emulator, exchange: Exchange
) -> None:
    answer = answer_to(emulator, example.create_worker, "FanOutFanIn_WordCount", exchange.sent)
    assert answer == json.dumps(exchange.expected)


@pytest.mark.system
def test_the_programs_count_the_default_sentences(scheduler: dict[str, str]) -> None:
    with running("-m", "examples.word_count.worker", **scheduler) as worker:
        ended = run("-m", "examples.word_count.client", **scheduler)
        assert worker.stop().status == 0
    assert ended.status == 0, ended.stderr
    total = sum(len(sentence.split()) for sentence in client.DEFAULT_SENTENCES)
    assert re.fullmatch(
        r"Started new orchestration instance: \w+\n"
        r"Orchestration completed: COMPLETED\n"
        rf"Output: {total}\n",
        ended.stdout,
    )
    assert len(client.DEFAULT_SENTENCES) == 5


@pytest.mark.system
def test_other_sentences_are_arguments(scheduler: dict[str, str]) -> None:
    with running("-m", "examples.word_count.worker", **scheduler):
        ended = run("-m", "examples.word_count.client", "Two words", "and three more", **scheduler)
    assert ended.stdout.splitlines()[-1] == "Output: 5"
