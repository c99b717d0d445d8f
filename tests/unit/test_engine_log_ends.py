"""What the end of a log says of how a command ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scheduler.engine.log_ends import missing_module, uncaught_exception
from tests.support.cases import each_case

CHAINED = """
try:
    {}["missing"]
except KeyError as error:
    raise RuntimeError("first line\\nsecond line") from error
"""


@each_case(
    ("script", "exception"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("print('before'); raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import json; json.loads('{')", "json.decoder.JSONDecodeError: Expecting property name"),
        ("def f(:", "SyntaxError: "),
        ("assert False", "AssertionError"),
        (CHAINED, "RuntimeError: first line"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_the_exception_that_ended_a_script_is_named(tmp_path: Path, script: str, exception: str) -> None:
    path = tmp_path / "job.py"
    path.write_text(script)

    ended = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)

    assert uncaught_exception(ended.stdout + ended.stderr).startswith(exception)


@each_case(
    "script",
    [
        "import sys; print('no rows today'); sys.exit(1)",
        "import sys; sys.exit('File \"x\", line 3')",
        "import traceback, sys\ntry: 1 / 0\nexcept Exception: traceback.print_exc()\n"
        "sys.stderr.write(''.join(f'went on {n}\\n' for n in range(9)))\nsys.exit(1)",
        "",
    ],
)
def test_other_ends_name_no_exception(tmp_path: Path, script: str) -> None:
    path = tmp_path / "job.py"
    path.write_text(script)

    ended = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)

    assert uncaught_exception(ended.stdout + ended.stderr) == ""


@each_case(
    ("script", "module"),
    [
        ("import no_such_module", "no_such_module"),
        ("import no_such_package.part", "no_such_package"),
        (
            "try:\n    import no_such_module\nexcept ImportError as error:\n    raise RuntimeError from error",
            "",
        ),
        ("from os import nothing_of_that_name", ""),
        ("import os.path.nothing", ""),
        ("import json.nothing_of_that_name", "json.nothing_of_that_name"),
        ("1 / 0", ""),
    ],
)
def test_the_module_that_python_did_not_find_is_named(tmp_path: Path, script: str, module: str) -> None:
    path = tmp_path / "job.py"
    path.write_text(script)

    ended = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)

    assert missing_module(ended.stderr) == module
