"""CloudWatch of the local cloud: metrics, EMF logs and alarms on the cloud's own clock.

`store` keeps pre-aggregated metrics, `expression` and `query` read them (pure), `emf` finds metrics
in log lines and `logs` takes the lines, `evaluation` decides an alarm's state (pure) and `alarms`
does it again and again; `backend` puts all of it behind moto's API, `resources` adds the
CloudFormation type.
"""

from .install import CloudWatch, install
from .store import MetricStore

__all__ = ["CloudWatch", "MetricStore", "install"]
