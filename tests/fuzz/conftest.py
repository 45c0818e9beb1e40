"""Reports at the end of a run how many cases the fuzzed properties have seen."""

import os
from typing import Any

import pytest

POSIX = os.name == "posix"
collect_ignore_glob = [] if POSIX else ["test_*.py"]  # a case is limited by means of the system


def pytest_collection_finish(session: pytest.Session) -> None:
    if POSIX:
        from tests.fuzz.size import CLOCK

        CLOCK.properties = sum(hasattr(getattr(item, "obj", None), "hypothesis") for item in session.items)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not POSIX:
        return
    from tests.fuzz.size import LIMIT_S, TALLIES, TOTAL

    if not TOTAL:
        return
    write = terminalreporter.write_line
    terminalreporter.section("fuzz")
    write(f"{TOTAL:,} cases asked for, at most {LIMIT_S:g} s, seed {config.getoption('--hypothesis-seed')}")
    for tally in TALLIES.values():
        rate = tally.cases / max(tally.took_s, 1e-9)
        ended = ", ".join(f"{count:,} {outcome}" for outcome, count in tally.outcomes.most_common())
        write(f"{tally.name}: {tally.cases:,} cases in {tally.took_s:.0f} s ({rate:.0f}/s): {ended}")
    failed = [tally.name for tally in TALLIES.values() if tally.failed]
    total = sum(tally.cases for tally in TALLIES.values())
    write(f"{total:,} cases; {'failed: ' + ', '.join(failed) if failed else 'no property failed'}")
