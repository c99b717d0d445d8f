"""Seeds one bug after the other into a copy of the tree, runs the tests that are to notice it, and says which did.

    make seeded-bugs BUGS="tokens sessions"     or     python -m tests.seeded_bugs tokens sessions

Arguments are parts of names of bugs; without any, all are seeded. First the tests of all chosen bugs run on the copy as
it is: what fails there already would notice everything. Then each bug is a line with its result, its seconds and the
first test that failed for it:

    noticed     the tests failed, as they should
    SURVIVED    they passed: the protection could be taken away without anybody noticing, so a test is missing
    BROKEN      they did not run, or did not end: the change is no longer one that the code takes, so the bug is to be mended
    not run     the bug needs PostgreSQL, which DATABASE_URL must name; the others are always tried on SQLite

The last line has the sum. It ends with 0 when all that were run were noticed, with 1 when not, and with 2 when the tests
fail without any bug.
"""

from __future__ import annotations

import compileall
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from py_compile import PycInvalidationMode

from tests.seeded_bugs.bugs import BUGS, Bug

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".*_cache", ".hypothesis", "images")
NOTICED, SURVIVED, BROKEN, NOT_RUN = "noticed", "SURVIVED", "BROKEN", "not run"
PATIENCE = 600  # seconds for the tests of one bug
DATABASES = {"postgres": "postgresql", "postgresql": "postgresql"}
"""Scheme of DATABASE_URL -> kind of database."""


def main(words: list[str]) -> int:
    """Seed the bugs whose names have one of the words, and return the exit code."""
    chosen = [bug for bug in BUGS if not words or any(word in bug.name for word in words)]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        (copy / ".venv").symlink_to(ROOT / ".venv")
        # By their hashes: a bug comes and goes within a second, and may have the size of what it replaces.
        compileall.compile_dir(copy, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
        if not _is_sound(chosen, copy):
            return 2
        results = [_try(bug, copy) for bug in chosen]
    counts = Counter(results)
    others = "".join(f", {counts[name]} {name}" for name in (SURVIVED, BROKEN, NOT_RUN) if counts[name])
    print(f"{counts[NOTICED]} of {len(results)} bugs were noticed{others}")
    return 0 if set(results) <= {NOTICED, NOT_RUN} else 1


def _is_sound(bugs: Sequence[Bug], copy: Path) -> bool:
    """Return whether the tests pass without any bug."""
    for database in sorted({bug.database for bug in bugs if _can_run(bug)}):
        tests = dict.fromkeys(word for bug in bugs if bug.database == database for word in bug.tests.split())
        code, output = _run(tests, database, copy, is_sound=True)
        if code != 0:
            print(f"without any bug the tests fail on {database or 'sqlite'}:\n{output[-3000:]}")
            return False
    return True


def _can_run(bug: Bug) -> bool:
    return bug.database in ("", DATABASES.get(os.environ.get("DATABASE_URL", "").partition(":")[0]))


def _try(bug: Bug, copy: Path) -> str:
    began, result, said = time.monotonic(), NOT_RUN, f"DATABASE_URL names no {bug.database}"
    if _can_run(bug):
        path = copy / bug.file
        sound = path.read_text(encoding="utf-8")
        path.write_text(sound.replace(bug.old, bug.new), encoding="utf-8")
        try:
            code, output = _run(bug.tests.split(), bug.database, copy)
        finally:
            path.write_text(sound, encoding="utf-8")
        # 1: tests failed. Any other code means that they did not run, so nothing was noticed.
        result = {0: SURVIVED, 1: NOTICED}.get(code, BROKEN)
        lines = (line for line in output.splitlines() if line.startswith(("FAILED ", "ERROR tests")))
        said = next(lines, output[-300:]).partition(" ")[2].partition(" - ")[0]
    print(f"{result:9} {time.monotonic() - began:4.0f} s  {bug.name}: {said[:200].strip()}", flush=True)
    return result


def _run(tests: Iterable[str], database: str, copy: Path, *, is_sound: bool = False) -> tuple[int, str]:
    """Run tests in the copy, on SQLite or on the database that the environment names; return exit code and output."""
    env = {**os.environ, "SCHEDULER_DATA_DIR": str(copy / "var")}
    if not is_sound:
        env["PYTHONDONTWRITEBYTECODE"] = "1"  # of code with a bug
    if not database:
        env = {name: value for name, value in env.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-m"]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, "not campaign", *tests],
        cwd=copy,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return -1, f"ERROR they did not end within {PATIENCE} s"
    return process.returncode, output


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
