"""Descriptions of all metrics, and the sources that read them; other apps add theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)

Kind = Literal["counter", "gauge", "histogram", "summary"]
Labels = tuple[str, ...]
Source = Callable[[datetime], Iterable[Metric]]

_FAMILIES: dict[str, Any] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
    "summary": SummaryMetricFamily,
}
#: In the order of the page.
CATALOGUE: dict[str, Description] = {}
SOURCES: list[Source] = []


@dataclass(frozen=True)
class Description:
    """A metric. Names follow https://prometheus.io/docs/practices/naming/ and units are base units."""

    name: str
    kind: Kind
    help: str
    labels: Labels = ()

    def of(self, values: Mapping[Labels, Any]) -> Metric:
        """Return the metric with its samples.

        Args:
            values: by the values of the labels. A number, or None where there is no sample; for a histogram, the pair
                (number and sum by upper bound, not cumulative); for a summary, the pair (number, sum).
        """
        family = _FAMILIES[self.kind](self.name, self.help, labels=self.labels)
        for labels, value in values.items():
            if self.kind == "histogram":
                family.add_metric(labels, *_cumulative(value))
            elif self.kind == "summary":
                family.add_metric(labels, count_value=value[0], sum_value=value[1])
            elif value is not None:
                family.add_metric(labels, value)
        metric: Metric = family
        return metric


def describe(name: str, kind: Kind, text: str, *labels: str) -> Description:
    """Add a metric to the catalogue and return it."""
    CATALOGUE[name] = found = Description(name, kind, text, labels)
    return found


def source(read: Source) -> Source:
    """Register a function that reads metrics; a decorator."""
    SOURCES.append(read)
    return read


def _cumulative(buckets: Mapping[float, tuple[int, float]]) -> tuple[list[tuple[str, float]], float]:
    """Return the buckets as Prometheus counts them, each with all below it, and the sum of all values."""
    found, number, total = [], 0, 0.0
    for bound in sorted(buckets):
        number += buckets[bound][0]
        total += buckets[bound][1]
        found.append(("+Inf" if bound == float("inf") else f"{bound:g}", float(number)))
    return found, total
