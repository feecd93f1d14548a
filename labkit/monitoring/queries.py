"""What Prometheus knows, asked over its HTTP API."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from labkit.errors import Unavailable, WorkFault


@dataclass(frozen=True, eq=False)
class Series:
    """One time series of an answer.

    Attributes:
        labels: What tells it from the others.
        times: Unix seconds; shape `(samples,)`.
        values: Likewise.
    """

    labels: Mapping[str, str]
    times: NDArray[np.float64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus.

    Attributes:
        url: Its base address.
    """

    url: str

    def instant(self, query: str, at: float | None = None) -> list[Series]:
        """The query's value at a time (now by default), as series of one sample.

        Raises:
            WorkFault: The query is no PromQL.
            Unavailable: It does not answer.
        """
        found = self._get("query", query=query, **({} if at is None else {"time": at}))
        if found["resultType"] == "scalar":
            return [_series({}, [found["result"]])]
        return [_series(each["metric"], [each["value"]]) for each in found["result"]]

    def value(self, query: str, at: float | None = None) -> float:
        """The one number that a query gives; not a number if it gives none.

        Raises:
            WorkFault: It is no PromQL, or gives several series.
        """
        series = self.instant(query, at)
        if len(series) > 1:
            raise WorkFault(
                f"The query {query!r} gives {len(series)} series, not one.",
                next_step="Sum them, or pick one.",
            )
        return float(series[0].values[0]) if series else math.nan

    def over(self, query: str, start: float, end: float, *, step: float = 1.0) -> list[Series]:
        """The query's values between two times, each `step` seconds.

        Raises:
            WorkFault: The query is no PromQL.
            Unavailable: It does not answer.
        """
        found = self._get("query_range", query=query, start=start, end=end, step=step)
        return [_series(each["metric"], each["values"]) for each in found["result"]]

    def targets(self) -> dict[str, str]:
        """What is scraped now: each address with `up`, `down` or `unknown`."""
        found = self._get("targets", state="active")
        return {each["scrapeUrl"]: str(each["health"]) for each in found["activeTargets"]}

    def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        found = self._get("alerts")
        return {each["labels"]["alertname"] for each in found["alerts"] if each["state"] == "firing"}

    def _get(self, what: str, **parameters: Any) -> dict[str, Any]:
        try:
            answer = httpx.get(
                f"{self.url}/api/v1/{what}", params=parameters, timeout=15, trust_env=False
            ).json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(
                "Prometheus does not answer.",
                why=f"{self.url}: {type(error).__name__}.",
                next_step="`workbook up monitoring` starts it.",
            ) from error
        if answer.get("status") != "success":
            raise WorkFault(
                f"Prometheus refuses {parameters.get('query', what)!r}.",
                why=str(answer.get("error", ""))[:300],
            )
        data: dict[str, Any] = answer["data"]
        return data


def _series(labels: Mapping[str, str], samples: list[list[Any]]) -> Series:
    pairs = np.array([[float(at), float(value)] for at, value in samples], dtype=np.float64).reshape(-1, 2)
    return Series(dict(labels), pairs[:, 0], pairs[:, 1])
