"""Ctrl-C ends a program that has imported hosting.interrupts, wherever it meets it."""

from __future__ import annotations

import pytest

from tests.processes import needs_signals, run

PRESS = "import hosting.interrupts, signal, weakref; press = lambda *_: signal.raise_signal(2); "

PLACES = {
    "in the program": "press()",
    "in a callback of the garbage collector": "o = set(); r = weakref.ref(o, press); del o",
    "in a destructor": "C = type('C', (), {'__del__': press}); C()",
    "in an import that makes another error of it": (
        "\ntry: press()\nexcept KeyboardInterrupt: raise ImportError from None"
    ),
}


@needs_signals
def test_ctrl_c_that_an_import_does_not_let_out_ends_the_program_when_it_starts() -> None:
    lost = "import contextlib\nwith contextlib.suppress(KeyboardInterrupt): press()\n"
    begins = "from hosting.program import start; start('client'); print('goes on')"
    ended = run("-c", f"{PRESS}\n{lost}{begins}")
    assert (ended.status, ended.stdout, ended.stderr) == (130, "", "")


@needs_signals
@pytest.mark.parametrize("code", PLACES.values(), ids=PLACES)
def test_ctrl_c_ends_a_program_without_a_word(code: str) -> None:
    ended = run("-c", f"{PRESS}{code}; print('goes on')")
    assert (ended.status, ended.stdout, ended.stderr) == (130, "", "")


def test_another_error_in_a_callback_is_shown_and_the_program_goes_on() -> None:
    code = "import hosting.interrupts; C = type('C', (), {'__del__': lambda _: 1 / 0}); C()"
    ended = run("-c", f"{code}; print('goes on')")
    assert (ended.status, ended.stdout) == (0, "goes on\n")
    assert "ZeroDivisionError" in ended.stderr
