"""Scrapes of `/metrics`, as Prometheus reads them."""

from __future__ import annotations

from typing import Any

from django.test import Client
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


class Scrape(dict[str, Metric]):
    """The metrics of an answer by name, as Prometheus reads them."""

    def value(self, name: str, **labels: str) -> float | None:
        for metric in self.values():
            for sample in metric.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return None

    def values_of(self, name: str, label: str) -> dict[str, float]:
        metric = self[name.removesuffix("_total")]
        return {sample.labels[label]: sample.value for sample in metric.samples if sample.name == name}


def read(answer: Any) -> Scrape:
    assert answer.status_code == 200, answer.content
    return Scrape({one.name: one for one in text_string_to_metric_families(answer.content.decode())})


def scrape(**more: Any) -> Scrape:
    return read(Client(SERVER_NAME="localhost").get("/metrics", **more))
