"""Service level objectives: from what was measured to a verdict with its bound.

from labkit.slo import Objective, judge, measure_until_decided

judgement = judge(recording.only("single"), Objective(milliseconds=100, quantile=0.99))
print(judgement.verdict, judgement.summary)

decision = measure_until_decided(
    lambda attempt: run(Schedule.poisson(200, seconds=20, seed=attempt), client),
    Objective(milliseconds=100),
    kind="single",
)
"""

from labkit.slo.cost import Cost, Day, Fleet, Price, cost_of, judge_cost, price_of
from labkit.slo.gpu import judge_gpu, measure_gpu
from labkit.slo.gpu_samples import GpuSamples
from labkit.slo.judge import judge, judge_availability
from labkit.slo.nvml import NvmlGpus
from labkit.slo.objectives import AvailabilityObjective, Objective
from labkit.slo.retries import Decision, measure_until_decided

__all__ = [
    "AvailabilityObjective",
    "Cost",
    "Day",
    "Decision",
    "Fleet",
    "GpuSamples",
    "NvmlGpus",
    "Objective",
    "Price",
    "cost_of",
    "judge",
    "judge_availability",
    "judge_cost",
    "judge_gpu",
    "measure_gpu",
    "measure_until_decided",
    "price_of",
]
