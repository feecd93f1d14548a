"""How often a verdict is wrong: 10,000 simulated runs of each service, at 99 % confidence."""

from __future__ import annotations

from benchmarks.simulated import services, wrong_verdicts
from benchmarks.table import Row

CASES = ((6000, 1), (20_000, 1), (3000, 3))
# Other seeds than those that the numbers in labkit/slo/bounds.py were chosen with.
FIRST_SEED = 1000


def wrong_of_ten_thousand(runs: int = 10_000, chunk: int = 1000) -> list[Row]:
    """For each service at the border, the share of wrongly passed and of wrongly failed runs, in percent."""
    rows = []
    for requests, looks in CASES:
        for name, simulator in services(requests, 0.01).items():
            parts = [
                wrong_verdicts(simulator, runs=chunk, requests=requests, looks=looks, seed=FIRST_SEED + seed)
                for seed in range(runs // chunk)
            ]
            passed, failed = (
                100 * sum(getattr(part, side) for part in parts) / len(parts) for side in ("passed", "failed")
            )
            tries = f", up to {looks} tries" if looks > 1 else ""
            label = f"{name}, {requests:,} requests{tries}"
            rows.append(Row(f"{label}: wrongly passed", [passed], "%", f"<= 1 % of {runs:,}"))
            rows.append(Row(f"{label}: wrongly failed", [failed], "%", f"<= 1 % of {runs:,}"))
    return rows
