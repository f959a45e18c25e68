"""CloudFormation's AWS::CloudWatch::Alarm, which moto does not have."""

from __future__ import annotations

from typing import Any

from moto.cloudformation import parsing
from moto.cloudwatch.models import (
    Dimension,
    Metric,
    MetricDataQuery,
    MetricStat,
    cloudwatch_backends,
)
from moto.core.common_models import CloudFormationModel


class AlarmResource(CloudFormationModel):
    """A handle: the alarm itself is in the backend."""

    def __init__(self, name: str, account_id: str, region_name: str) -> None:
        self.name = name
        self._backend = cloudwatch_backends[account_id][region_name]

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::CloudWatch::Alarm"

    @staticmethod
    def cloudformation_name_type() -> str:
        return "AlarmName"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "Arn"

    @property
    def physical_resource_id(self) -> str:
        return self.name

    def is_created(self) -> bool:
        return True

    def get_cfn_attribute(self, attribute_name: str) -> Any:
        return {"Arn": self._backend.alarms[self.name].alarm_arn}[attribute_name]

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **_kwargs: Any,
    ) -> AlarmResource:
        put(cloudwatch_backends[account_id][region_name], resource_name, cloudformation_json)
        return cls(resource_name, account_id, region_name)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
    ) -> AlarmResource:
        """In place, unless AlarmName changed: then a new alarm replaces the old one."""
        given = cloudformation_json["Properties"].get("AlarmName")
        name = given or original_resource.name
        put(cloudwatch_backends[account_id][region_name], name, cloudformation_json)
        if name != original_resource.name:
            original_resource.delete(account_id, region_name)
        return cls(name, account_id, region_name)

    def delete(self, account_id: str, region_name: str) -> None:
        self._backend.delete_alarms([self.name])


def put(backend: Any, name: str, cloudformation_json: Any) -> None:
    """PutMetricAlarm with a template's properties, whose numbers may be strings."""
    given = cloudformation_json["Properties"]
    backend.put_metric_alarm(
        name=name,
        namespace=given.get("Namespace"),
        metric_name=given.get("MetricName"),
        metric_data_queries=[_query(query) for query in given.get("Metrics") or []],
        comparison_operator=given.get("ComparisonOperator"),
        evaluation_periods=_number(given.get("EvaluationPeriods"), int),
        datapoints_to_alarm=_number(given.get("DatapointsToAlarm"), int),
        period=_number(given.get("Period"), int),
        threshold=_number(given.get("Threshold"), float),
        statistic=given.get("Statistic"),
        extended_statistic=given.get("ExtendedStatistic"),
        description=given.get("AlarmDescription"),
        dimensions=given.get("Dimensions") or [],
        alarm_actions=given.get("AlarmActions") or [],
        ok_actions=given.get("OKActions") or [],
        insufficient_data_actions=given.get("InsufficientDataActions") or [],
        unit=given.get("Unit"),
        actions_enabled=str(given.get("ActionsEnabled", True)).lower() == "true",
        treat_missing_data=given.get("TreatMissingData"),
        evaluate_low_sample_count_percentile=given.get("EvaluateLowSampleCountPercentile"),
        threshold_metric_id=given.get("ThresholdMetricId"),
        tags=given.get("Tags"),
    )


def _query(query: Any) -> MetricDataQuery:
    stat = None
    if given := query.get("MetricStat"):
        of = given["Metric"]
        dimensions = [Dimension(d["Name"], d["Value"]) for d in of.get("Dimensions") or []]
        metric = Metric(of["MetricName"], of["Namespace"], dimensions)
        stat = MetricStat(metric, str(int(given["Period"])), given["Stat"], given.get("Unit"))
    return MetricDataQuery(
        query["Id"],
        query.get("Label"),
        query.get("Period"),
        query.get("ReturnData"),
        expression=query.get("Expression"),
        metric_stat=stat,
    )


def _number(value: Any, kind: type[int] | type[float]) -> int | float | None:
    return None if value is None else kind(value)


def register() -> None:
    """Let moto's CloudFormation know the type (its lists are cached)."""
    for cached in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        cached.cache_clear()
