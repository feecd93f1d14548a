"""The report of an hour: one self-contained page and the same as JSON."""

from __future__ import annotations

import html
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autograder.files import write_atomically
from autograder.production.hour import Seen
from autograder.production.timeline import timeline
from autograder.production.verdicts import Promise, budget, promises, score
from autograder.report import STYLE

_STYLE = "pre { white-space: pre-wrap } td:nth-child(3) { white-space: nowrap }"
PAGE, DATA = "hour.html", "hour.json"


def write_report(seen: Seen, folder: Path, *, seconds: float) -> list[Promise]:
    """Write `hour.html` and `hour.json`; gives what was found.

    Args:
        seen: The hour.
        folder: Where they go.
        seconds: How long it took, building and all.
    """
    found = promises(seen)
    write_atomically(folder / PAGE, _page(seen, found, seconds).encode())
    write_atomically(folder / DATA, (json.dumps(_plain(seen, found, seconds), indent=1) + "\n").encode())
    return found


def _plain(seen: Seen, found: list[Promise], seconds: float) -> dict[str, Any]:
    points, of = score(found)
    return {
        "schema_version": 1,
        "began": datetime.fromtimestamp(seen.began, UTC).isoformat(),
        "seconds": round(seconds, 1),
        "points": points,
        "of": of,
        "promises": [
            {
                "name": each.name,
                "points": each.earned,
                "maximum": each.points,
                "verdict": each.found.verdict.value,
                "tier": each.found.tier.value,
                "evidence": each.found.summary,
                "measured": each.found.measured,
            }
            for each in found
        ],
        "budget": budget(seen).measured,
        "happened": [{"what": each.what, "second": round(each.at - seen.began, 2)} for each in seen.happened],
        "releases": {event.value: each.plain() for event, each in seen.releases.items()},
        "alerts": [asdict(each) for each in seen.alerts],
        "parts": [
            {
                "name": part.name,
                "second": round(began - seen.began, 2),
                "requests": recording.requests,
                "missed": recording.misses,
            }
            for part, began, recording in seen.parts
        ],
        "traces": {"sent": len(seen.traces), "joined": sum(hops == 2 for hops in seen.traces.values())},
    }


def _page(seen: Seen, found: list[Promise], seconds: float) -> str:
    points, of = score(found)
    began = datetime.fromtimestamp(seen.began, UTC)
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(each.name)}</th><td>{each.found.verdict.words}</td>"
        f"<td>{each.earned:g} of {each.points:g}</td><td>{html.escape(each.found.summary)}</td>"
        f"<td>{each.found.tier.value}</td></tr>"
        for each in found
    )
    heads = "".join(
        f"<th scope='col'>{name}</th>" for name in ("Promise", "Verdict", "Points", "Evidence", "Measured on")
    )
    picture = timeline(seen)._repr_mimebundle_()["text/html"]
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>Project 1: the hour</title><style>{STYLE} {_STYLE}</style>"
        "</head><body><main>"
        "<h1>Project 1: the hour</h1>"
        f"<p>Run on {began:%Y-%m-%d at %H:%M} UTC, {seconds / 60:.1f} minutes with all that it took. "
        f"<strong>{points:g} of {of:g} points</strong> of what could be decided.</p>"
        f"<p>The whole hour, the bad release with it: {html.escape(budget(seen).summary)}.</p>"
        f"<div class='scroll'><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        f"<h2>What happened when</h2>{picture}"
        "<p>This machine is the only node whose pods are containers: the drain evicts them one by one "
        "through the API, as kubectl drain does, and they come back on the same node.</p>"
        "</main></body></html>\n"
    )
