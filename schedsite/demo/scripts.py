"""The scripts of the demonstration, so that its tasks behave the same when the installation runs them."""

from __future__ import annotations

import shlex
from pathlib import Path
from string import Template

from schedsite.demo.tasks import DemoTask, Profile
from scheduler.choices import Status

TEMPLATE = Path(__file__).with_name("script.txt")


def demo_script(task: DemoTask) -> tuple[str, str]:
    """Return the file name and text of the script that a task's command runs."""
    interpreter, name, *_arguments = shlex.split(task.spec["task_exec"])
    text = _python(task.profile)
    return name, text if interpreter == "python" else f"exec python - <<'END'\n{text}END\n"


def _python(profile: Profile) -> str:
    present = {spell.status for spell in profile.spells if spell.until == 0}
    shares = {
        "business": 1.0 if Status.BUSINESS_FAILURE in present else profile.business,
        "technical": 1.0 if Status.TECHNICAL_FAILURE in present else profile.technical,
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        seconds=profile.seconds,
        spread=profile.spread,
        exit_code=profile.exit_code,
        error=ascii(profile.error),
        **shares,
    )
