"""Templates for the reasons of pigeons."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.engine.reasons import Plural
from tests.pigeon.reasons import Code

TEMPLATES: Mapping[Code, str | Plural] = {
    Code.BIRD_LANDED: "it landed and shows %(ring)s",
    Code.CAT_LIVES_THERE: "a cat lives there",
    Code.LOFT_WITHOUT_CAT: "a loft without a cat",
}
