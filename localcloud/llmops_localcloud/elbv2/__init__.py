"""Elastic Load Balancing v2 of the local cloud: moto's API in front of a real load balancer.

`backend` extends moto's backend so that every change reaches the load balancer process before the
API call is answered; `translate` turns moto's objects into the desired state (pure); `refuse` says
no, by name, to what the load balancer does not do; `plane` is what the rest of the daemon holds
(`ports.Targets` and `ports.Router`); `resources` are the CloudFormation types; `metrics` puts
counts into the metric store.
"""

from .plane import DataPlane, install

__all__ = ["DataPlane", "install"]
