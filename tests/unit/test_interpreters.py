"""What “python” means to a command."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest

from scheduler.runner import StartError, interpreter_of_task, own_interpreter, with_python
from scheduler.runner.environment import allowed_environment

NEEDS_ENVIRONMENT = pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="runs in no virtual environment")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a virtual environment with a package of its own, and with a pip."""
    folder = tmp_path_factory.mktemp("task") / ".venv"
    venv.create(folder, symlinks=True, with_pip=False)
    library = next(folder.glob("lib/python*/site-packages"))
    (library / "only_here.py").write_text("")
    pip = folder / "bin" / "pip"
    pip.write_text("#!/bin/sh\necho pip of the task\n")
    pip.chmod(0o755)
    return folder


def run(env: Mapping[str, str], command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(["/bin/sh", "-c", command], env=dict(env), cwd=cwd, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_python_is_the_interpreter_that_runs_this_with_its_packages(tmp_path: Path) -> None:
    env = with_python(allowed_environment(os.environ), own_interpreter(tmp_path / "it's").folder)

    said = run(
        env,
        "python -c 'import sys, django; print(sys.prefix, sys.executable)' && python - a 'b c' <<E\n"
        "import sys; print(sys.argv)\nE",
    )

    assert said == f"{sys.prefix} {sys.executable}\n['-', 'a', 'b c']\n"


def test_folder_holds_python_alone_and_is_healed(tmp_path: Path) -> None:
    folder = own_interpreter(tmp_path).folder
    file = folder / "python"
    first = file.read_text()

    assert [path.name for path in folder.iterdir()] == ["python"]
    for damage in (file.unlink, lambda: file.chmod(0o600), lambda: file.write_text("#!/bin/sh\nexit 9\n")):
        damage()
        assert own_interpreter(tmp_path).folder == folder
        assert file.read_text() == first and os.access(file, os.X_OK)


@NEEDS_ENVIRONMENT
@pytest.mark.parametrize("shape", ["{bin}:/usr/bin:/bin", "/usr/bin:{bin}/:/bin", "/usr/bin:{link}:/bin"])
def test_own_virtual_environment_is_not_in_path_however_it_is_written(tmp_path: Path, shape: str) -> None:
    link = tmp_path / "link"
    link.symlink_to(Path(sys.executable).parent)
    server = {"PATH": shape.format(bin=Path(sys.executable).parent, link=link), "VIRTUAL_ENV": sys.prefix}

    env = allowed_environment(server)

    assert env == {"PATH": "/usr/bin:/bin"}


@NEEDS_ENVIRONMENT
def test_pip_of_a_task_does_not_reach_the_packages_of_schedsite(tmp_path: Path) -> None:
    server = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    env = with_python(allowed_environment(server), own_interpreter(tmp_path).folder)

    which = run(env, "command -v pip; command -v pip3; command -v python3")
    refused = run(env, "python -m pip install --no-index nothing-of-that-name; echo $?")
    asked = run(env, "python -m pip --version")

    assert str(Path(sys.prefix).resolve()) not in which and sys.prefix not in which
    assert "this interpreter runs Schedsite" in refused and "set task_python to .venv" in refused
    assert refused.startswith("2\n")
    assert asked.startswith("pip ") or "No module named pip" in asked


@NEEDS_ENVIRONMENT
@pytest.mark.parametrize(
    ("arguments", "is_refused"),
    [
        ("-m pip install x", True),
        ("-mpip install x", True),
        ("-I -u -m pip -q --no-index uninstall -y x", True),
        ("-Im pip install x", True),
        ("-m pip list", False),
        ("-m venv --help", False),
        ("-m timeit -n 1 install", False),
        ("-c 1 -m pip install x", False),
        ("script.py -m pip install x", False),
        ("- -m pip install x", False),
        ("", False),
        ("-V", False),
    ],
)
def test_own_interpreter_refuses_to_change_its_packages_and_nothing_else(
    tmp_path: Path, arguments: str, is_refused: bool
) -> None:
    (tmp_path / "script.py").write_text("")
    env = with_python(allowed_environment(os.environ), own_interpreter(tmp_path / "root").folder)

    said = run(env, f"python {arguments} </dev/null", cwd=tmp_path)

    assert ("this interpreter runs Schedsite" in said) == is_refused


def test_pip_asks_for_a_virtual_environment_where_schedsite_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)

    env = allowed_environment({"PATH": "/usr/local/bin:/bin"})

    assert env == {"PATH": "/usr/local/bin:/bin", "PIP_REQUIRE_VIRTUALENV": "1"}


@pytest.mark.parametrize("named", [".venv", ".venv/", ".venv/bin/python", "absolute"])
def test_virtual_environment_of_a_task_comes_first(environment: Path, tmp_path: Path, named: str) -> None:
    text = str(environment) if named == "absolute" else named

    found = interpreter_of_task(text, cwd=environment.parent, root=tmp_path)
    env = with_python({"PATH": "/usr/bin:/bin"}, found.folder, found.virtual_environment)

    said = run(env, "python -c 'import sys, only_here; print(sys.prefix)'; pip; echo $VIRTUAL_ENV")
    assert said == f"{environment}\npip of the task\n{environment}\n"


def test_interpreter_of_a_task_is_python_and_nothing_else_of_its_folder_comes_first(tmp_path: Path) -> None:
    other = tmp_path / "bin" / "python3.99"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho other $*\n")
    other.chmod(0o755)
    (other.parent / "ls").write_text("#!/bin/sh\necho not me\n")
    (other.parent / "ls").chmod(0o755)

    found = interpreter_of_task("bin/python3.99", cwd=tmp_path, root=tmp_path / "root")
    env = with_python({"PATH": "/usr/bin:/bin"}, found.folder, found.virtual_environment)

    assert run(env, "python a b; ls -d /") == "other a b\n/\n"
    assert "VIRTUAL_ENV" not in env


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("gone", "task_python is {cwd}/gone, which does not exist"),
        ("gone/bin/python", "task_python is {cwd}/gone/bin/python, which does not exist"),
        ("folder", "task_python is the folder {cwd}/folder, which has no bin/python"),
        ("broken", "task_python is the folder {cwd}/broken, which has no bin/python"),
        ("file", "task_python is {cwd}/file, which may not be executed"),
    ],
)
def test_python_that_cannot_be_used_is_named(tmp_path: Path, named: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken" / "bin").mkdir(parents=True)
    (tmp_path / "broken" / "bin" / "python").symlink_to("/gone/python3")
    (tmp_path / "file").write_text("")

    with pytest.raises(StartError) as caught:
        interpreter_of_task(named, cwd=tmp_path, root=tmp_path / "root")

    assert str(caught.value) == f"could not start: {reason.format(cwd=tmp_path)}"


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StartError) as caught:
        own_interpreter(tmp_path / "file")

    folder = tmp_path / "file" / "schedsite"
    assert (
        str(caught.value)
        == f"could not start: the folder {folder} for python cannot be created: Not a directory"
    )
