"""An open-loop load generator whose numbers can be judged.

Requests are sent when they are due, however slowly the server answers, from a process of its own; latency
counts from the intended send time; the generator's own lag is measured beside it.

    from labkit.load import HttpClient, Kind, Schedule, longest_stall, plot, preflight, run
    from labkit.slo import Objective, judge

    client = HttpClient(
        "http://127.0.0.1:8000",
        kinds=[
            Kind(name="single", share=0.985, method="POST", path="/predict", bodies=images, check=is_right),
            Kind(name="bulk", share=0.015, method="POST", path="/predict", bodies=[thousand_images]),
            Kind(name="health", rate=20, path="/health"),
        ],
    )
    preflight(client)  # says at once what would spoil the run
    recording = run(Schedule.poisson(200, seconds=30, seed=1), client)
    print(judge(recording.only("single"), Objective(milliseconds=100, quantile=0.99)).summary)
    print(longest_stall(recording, "health").milliseconds)
    plot(recording, limit_ms=100)
"""

from labkit.load.clients import Client, GrpcClient, HttpClient, Kind
from labkit.load.first_request import preflight
from labkit.load.outcomes import Outcome
from labkit.load.plots import Plot, describe, plot
from labkit.load.recording import Recording, Stall, longest_stall
from labkit.load.runner import Progress, run
from labkit.load.schedule import Schedule

__all__ = [
    "Client",
    "GrpcClient",
    "HttpClient",
    "Kind",
    "Outcome",
    "Plot",
    "Progress",
    "Recording",
    "Schedule",
    "Stall",
    "describe",
    "longest_stall",
    "plot",
    "preflight",
    "run",
]
