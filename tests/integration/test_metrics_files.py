"""The dashboard, the alert rules and the scrape configuration name metrics that exist, with labels that they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

from tests.simulation import Engine
from tests.support.scrapes import Scrape, scrape

DEPLOY = Path(settings.BASE_DIR) / "docs" / "deploy"
NAME = re.compile(r"\b(?:schedsite|process)_[a-z_]+\b")
SELECTED = re.compile(r"\b((?:schedsite|process)_[a-z_]+)\{([^}]*)\}")
OF_PROMETHEUS = {"job", "instance", "le"}


def dashboard() -> Any:
    return json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))


def alerts() -> list[Any]:
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [one for group in groups for one in group["rules"]]


def queries() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (one["definition"] for one in dashboard()["templating"]["list"] if "definition" in one)
    yield from (rule["expr"] for rule in alerts())


def labels_of(found: Scrape) -> dict[str, set[str]]:
    """Return the names of all series, each with its labels."""
    labels: dict[str, set[str]] = {}
    for metric in found.values():
        for sample in metric.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


def test_every_metric_and_label_that_a_file_names_is_exported(busy: Engine) -> None:
    exported = labels_of(scrape())

    unknown = {name for query in queries() for name in NAME.findall(query)} - exported.keys() - {"schedsite"}
    foreign = [
        f"{name}{{{label}}}"
        for query in queries()
        for name, selector in SELECTED.findall(query)
        for label in re.findall(r"(\w+)\s*[=!]", selector)
        if label not in exported[name] | OF_PROMETHEUS
    ]

    assert unknown == set()
    assert foreign == []


def test_every_label_in_a_text_is_one_of_the_query(busy: Engine) -> None:
    exported = labels_of(scrape())
    texts = [
        (rule["expr"], text) for rule in alerts() for text in (*rule["annotations"].values(), rule["alert"])
    ]
    texts += [
        (target["expr"], target["legendFormat"])
        for panel in dashboard()["panels"]
        for target in panel.get("targets", ())
    ]

    missing = [
        f"{label}: {query}"
        for query, text in texts
        for label in re.findall(r"\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}", text)
        if label not in OF_PROMETHEUS.union(*(exported.get(name, set()) for name in NAME.findall(query)))
    ]

    assert missing == []


def test_alerts_have_a_name_a_severity_and_a_summary_of_their_own() -> None:
    rules = alerts()

    assert all(set(rule) <= {"alert", "expr", "for", "labels", "annotations"} for rule in rules)
    assert all(rule["labels"]["severity"] in ("warning", "critical") for rule in rules)
    assert len({rule["alert"] for rule in rules}) == len(rules)
    assert all(rule["annotations"]["summary"] for rule in rules)
    told = " ".join(rule["expr"] for rule in rules)
    for subject in ("dispatcher", "worker", "queue", "failing", "deliveries", "disk"):
        assert subject in told


def test_brackets_of_queries_are_balanced() -> None:
    for query in queries():
        plain = re.sub(r'"[^"]*"', "", query)
        assert all(plain.count(left) == plain.count(right) for left, right in ("()", "{}", "[]")), query


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    panels = dashboard()["panels"]
    places = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(places)) == len(places)
    assert all(x < 24 for x, _ in places)


def test_prometheus_is_told_of_the_alerts_and_where_to_ask() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))

    (job,) = config["scrape_configs"]
    assert config["rule_files"] == ["alerts.yml"]
    assert (job["job_name"], job["static_configs"]) == ("schedsite", [{"targets": ["127.0.0.1:8000"]}])
    assert 'job="schedsite"' in alerts()[0]["expr"]
