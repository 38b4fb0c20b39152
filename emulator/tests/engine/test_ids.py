"""Which IDs the service takes."""

from __future__ import annotations

import pytest

from dts_emulator.engine.errors import InvalidError
from dts_emulator.engine.ids import check_entity_id, check_instance_id


@pytest.mark.parametrize("good", ["x", "a b", "order/17:retry@2", "x" * 100])
def test_an_instance_id_has_up_to_100_printable_ascii_characters(good: str) -> None:
    assert check_instance_id(good) == good


@pytest.mark.parametrize("bad", ["", "x" * 101, "tab\t", "né", "@name@key", "\x7f"])
def test_any_other_instance_id_is_refused(bad: str) -> None:
    with pytest.raises(InvalidError, match="instance ID"):
        check_instance_id(bad)


@pytest.mark.parametrize("good", ["@counter@a", "@counter@", "@c@a@b", "@n@" + "k" * 97])
def test_an_entity_id_is_a_name_and_a_key(good: str) -> None:
    assert check_entity_id(good) == good


@pytest.mark.parametrize("bad", ["", "x", "@counter", "@@key", "@n@" + "k" * 98, "@é@key"])
def test_any_other_entity_id_is_refused(bad: str) -> None:
    with pytest.raises(InvalidError, match="entity ID"):
        check_entity_id(bad)
