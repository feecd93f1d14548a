"""Replicas against load: an autoscaler rehearsed in virtual time, or watched on a cluster.

from labkit.scaling import Load, rehearse

load = Load([(30, 8, 8), (15, 8, 80), (60, 80, 80), (60, 8, 8)])
timeline = rehearse(autoscaler, deployment, load)
print(timeline.reversals(), timeline.late_share(0.5, since=55, until=105))
timeline.plot()
"""

from labkit.scaling.live import scale_under_load, watch_deployments
from labkit.scaling.rehearsal import Load, Server, rehearse
from labkit.scaling.timeline import Timeline

__all__ = ["Load", "Server", "Timeline", "rehearse", "scale_under_load", "watch_deployments"]
