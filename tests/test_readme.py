"""README and docs/: their links lead somewhere, and their symptoms are messages of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.processes import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
PAGES = [PROJECT / "README.md", PROJECT / "examples/README.md", *PROJECT.glob("docs/*.md")]
MAX_WORDS = 1300  # outside code
BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)

needs_emulator = pytest.mark.skipif(
    not (PROJECT / "emulator").is_dir(), reason="there is no emulator/"
)


def section(title: str) -> str:
    """Return the text below a heading of README."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def block(title: str, *words: str) -> list[str]:
    """Return the lines of the block in a section of README that has these words."""
    (found,) = (each for each in BLOCK.findall(section(title)) if all(w in each for w in words))
    return str(found).splitlines()


def prose(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def test_readme_stays_short() -> None:
    assert len(prose(README).split()) <= MAX_WORDS


def test_readme_names_what_was_not_run_in_its_first_paragraph() -> None:
    first = README.split("\n\n")[1]
    assert "Nothing was run in Docker, in Azure or on Windows" in " ".join(first.split())


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub forms them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading).strip().lower() for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


@needs_emulator
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", prose(page.read_text(encoding="utf-8")))
    for link in links:
        if "://" in link:
            continue
        file, _, anchor = "".join(link.split()).partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@needs_emulator
def test_the_table_of_files_lists_what_is_there() -> None:
    rows = re.findall(r"^\| (`.*?) \|", section("Files"), re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(named) > 8
    assert [name for name in named if not (PROJECT / name).exists()] == []


# The symptoms in docs/troubleshooting.md: in which file of the code, and the fixed words there.
EMULATOR = "emulator/dts_emulator"
SYMPTOMS = {
    "No module named 'durabletask'": "",
    "No module named 'dts_emulator'": "",
    "dts-emulator: command not found": "",
    "NonDeterminismError": "",
    "python3 is older than 3.10": "Makefile: is older than 3.10",
    "No scheduler answers yet at http://localhost:8080": "hosting/clients.py: No scheduler answ",
    "accepts connections but does not answer like a scheduler": "hosting/errors.py: accepts connec",
    "No worker has taken it yet": "hosting/clients.py: No worker has taken it yet",
    "Still not completed after 60 s": "hosting/clients.py: Still not completed after",
    "no longer exists: it was purged": "hosting/clients.py: it was purged",
    "Cannot use task hub 'x'": "hosting/errors.py: Cannot use",
    "The instance ID 'x' is in use": "hosting/clients.py: ' is in use",
    "Invalid endpoint": "hosting/scheduler.py: Invalid endpoint",
    "Invalid connection string": "hosting/scheduler.py: Invalid connection string",
    "needs https://": "hosting/scheduler.py: needs https://",
    "process_work_item failed for 7": "hosting/errors.py: failed for",
    "is an async function": "hosting/workers.py: is an async function",
    "The scheduler does not accept this input": "hosting/clients.py: The scheduler does not accept",
    "MAX_FAN_OUT": "hosting/errors.py: MAX_FAN_OUT",
    "Port 8080 on 127.0.0.1 is in use": f"{EMULATOR}/server.py: is in use",
    "is in use by another emulator": f"{EMULATOR}/store/file.py: is in use by another emulator",
    "TurnTooLarge": f"{EMULATOR}/engine/turns.py: TurnTooLarge",
    "The emulator cannot write to dev.db": f"{EMULATOR}/store/writer.py: The emulator cannot write",
    "This emulator serves at most 1,000 streams simultaneously": (
        f"{EMULATOR}/rpc/routing.py: This emulator serves at most"
    ),
    "The dashboard accepts no connections at present": (
        f"{EMULATOR}/dashboard/web_server.py: The dashboard accepts no connections at present"
    ),
    "Invalid task hub name 'a/b'": f"{EMULATOR}/engine/ids.py: Invalid task hub name",
    "InvalidRequest": f"{EMULATOR}/engine/turns.py: InvalidRequest",
}


def test_every_symptom_is_a_message_of_the_code() -> None:
    text = (PROJECT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (.*?) \|", text, re.MULTILINE)
    quoted = {symptom for cell in cells for symptom in re.findall(r"`([^`]+)`", cell)}
    assert quoted == set(SYMPTOMS)
    for symptom, source in SYMPTOMS.items():
        file, _, words = source.partition(": ")
        if (PROJECT / file).is_file():
            assert words in (PROJECT / file).read_text(encoding="utf-8"), symptom
            assert words in symptom


def test_the_examples_page_names_programs_that_exist() -> None:
    text = (PROJECT / "examples" / "README.md").read_text(encoding="utf-8")
    modules = set(re.findall(r"python -m (examples[.\w]+)", text))
    assert len(modules) == 4
    for module in modules:
        assert (PROJECT / (module.replace(".", "/") + ".py")).exists()
