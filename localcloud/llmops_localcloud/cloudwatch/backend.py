"""moto's CloudWatch, on our store and our clock."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import ModuleType
from typing import Any

from moto.cloudwatch import urls
from moto.cloudwatch.exceptions import (
    InvalidParameterCombination,
    InvalidParameterValue,
    ResourceNotFound,
    ValidationError,
)
from moto.cloudwatch.models import CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.sns.models import sns_backends

from llmops_localcloud.ports import Clock

from .alarms import INITIAL, Plan, plan
from .bucket import Bucket
from .expression import ExpressionError
from .query import MetricStat, QueryError, aligned, checked_period, checked_stat, read, run
from .statistic import SIMPLE
from .store import MetricKey, MetricStore, epoch_to_datetime, metric_key

log = logging.getLogger(__name__)

HISTORY_KEPT = 500
MAX_DATAPOINTS = 1440
"""GetMetricStatistics answers no more than this (as AWS)."""


class LocalCloudWatchBackend(CloudWatchBackend):
    """One region of one account. `clock` is set on a subclass when CloudWatch is installed."""

    clock: Clock

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.store = MetricStore()
        self.plans: dict[str, Plan] = {}
        self.alarm_history: deque[dict[str, Any]] = deque(maxlen=HISTORY_KEPT)

    @property
    def _url_module(self) -> ModuleType:
        module: ModuleType = urls
        return module

    # Metrics

    def put_metric_data(self, namespace: str, metric_data: list[dict[str, Any]]) -> None:
        """Timestamps are the cloud's own (virtual); a datum without one gets now."""
        for number, datum in enumerate(metric_data, start=1):
            self._validate_parameters_put_metric_data(datum, number)
        for datum in metric_data:
            self._put(namespace, datum)

    def _put(self, namespace: str, datum: Mapping[str, Any]) -> None:
        name, at = datum["MetricName"], datum.get("Timestamp") or self.clock.now()
        dimensions = {d["Name"]: d["Value"] for d in datum.get("Dimensions") or ()}
        unit = datum.get("Unit") or "None"
        if stats := datum.get("StatisticValues"):
            self.store.put_set(
                metric_key(namespace, name, dimensions),
                _aware(at),
                count=float(stats["SampleCount"]),
                total=float(stats["Sum"]),
                low=float(stats["Minimum"]),
                high=float(stats["Maximum"]),
                unit=unit,
            )
            return
        values = [float(v) for v in datum.get("Values") or [datum.get("Value", 0.0)]]
        counts = [float(c) for c in datum["Counts"]] if datum.get("Counts") else None
        self.store.put(namespace, name, dimensions, _aware(at), values, unit=unit, counts=counts)

    def get_metric_data(
        self,
        queries: list[dict[str, Any]],
        start_time: datetime,
        end_time: datetime,
        scan_by: str = "TimestampDescending",
    ) -> list[dict[str, Any]]:
        start, end = _aware(start_time).timestamp(), _aware(end_time).timestamp()
        if start >= end:
            raise ValidationError("The parameter StartTime must be less than parameter EndTime.")
        try:
            wanted = read(queries)
            found = run(self.store, wanted, start, end)
        except (QueryError, ExpressionError) as error:
            raise ValidationError(str(error)) from error
        results = []
        for query in wanted:
            if query.return_data:
                points = sorted(found[query.id].items(), reverse=scan_by != "TimestampAscending")
                results.append(
                    {
                        "Id": query.id,
                        "Label": query.label,
                        "Timestamps": [epoch_to_datetime(begin) for begin, _ in points],
                        "Values": [value for _, value in points],
                        "StatusCode": "Complete",
                    }
                )
        return results

    def statistics(
        self,
        of: MetricKey,
        *,
        start_time: datetime,
        end_time: datetime,
        period: Any,
        names: Sequence[str],
        unit: str | None,
    ) -> list[dict[str, Any]]:
        """GetMetricStatistics: data points with all statistics asked for, oldest first."""
        start, end = _aware(start_time).timestamp(), _aware(end_time).timestamp()
        if start >= end:
            raise InvalidParameterValue(
                "The parameter StartTime must be less than the parameter EndTime."
            )
        try:
            stats = [MetricStat(of, checked_period(period), checked_stat(n), unit) for n in names]
        except QueryError as error:
            raise InvalidParameterValue(str(error)) from error
        step = stats[0].period
        if (end - start) / step > MAX_DATAPOINTS:
            raise InvalidParameterCombination(
                f"You have requested up to {int((end - start) / step)} datapoints, which exceeds "
                f"the limit of {MAX_DATAPOINTS}."
            )
        span = range(aligned(start, step), int(end), step)
        found = self.store.measure(of, span, lambda bucket: _values(bucket, names), unit)
        shown = self.store.unit(of)
        return [
            {"Timestamp": epoch_to_datetime(begin), "Unit": shown, **values}
            for begin, values in found.items()
        ]

    def list_metrics(
        self,
        next_token: str | None,
        namespace: str,
        metric_name: str,
        dimensions: list[dict[str, str]],
    ) -> tuple[str | None, list[Any]]:
        """Metrics that have the given namespace, name and dimensions (a value may be left open)."""
        if next_token:
            return super().list_metrics(next_token, namespace, metric_name, dimensions)
        found: list[Any] = [
            {
                "Namespace": key.namespace,
                "MetricName": key.name,
                "Dimensions": [{"Name": n, "Value": v} for n, v in key.dimensions],
            }
            for key in self.store.metrics()
            if namespace in (None, key.namespace)
            and metric_name in (None, key.name)
            and _has(dict(key.dimensions), dimensions or [])
        ]
        page: tuple[str | None, list[Any]] = self._get_paginated(found)
        return page

    # Alarms

    def put_metric_alarm(self, *args: Any, **kwargs: Any) -> Any:
        """A new alarm is INSUFFICIENT_DATA; one that is changed keeps its state (as AWS)."""
        before = self.alarms.get(kwargs["name"])
        alarm = super().put_metric_alarm(*args, **kwargs)
        if alarm.rule is None:
            self._adopt(alarm, before)
        now = self.clock.now()
        alarm.configuration_updated_timestamp = now
        self._take_state(alarm, before, now)
        done = "created" if before is None else "updated"
        self._remember(alarm, "ConfigurationUpdate", f'Alarm "{alarm.name}" {done}', {})
        return alarm

    def _adopt(self, alarm: Any, before: Any) -> None:
        try:
            self.plans[alarm.name] = plan(alarm)
        except (QueryError, ExpressionError) as error:
            if before is None:
                self.alarms.pop(alarm.name, None)
            else:
                self.alarms[alarm.name] = before
            raise ValidationError(str(error)) from error

    def _take_state(self, alarm: Any, before: Any, now: datetime) -> None:
        if before is None:
            alarm.state_value, alarm.state_reason = INITIAL
            alarm.state_reason_data = None
            alarm.state_updated_timestamp = alarm.state_transitioned_timestamp = now
            return
        for name in (
            "state_value", "state_reason", "state_reason_data",
            "state_updated_timestamp", "state_transitioned_timestamp", "history",
        ):  # fmt: skip
            setattr(alarm, name, getattr(before, name, None))

    def delete_alarms(self, alarm_names: list[str]) -> None:
        super().delete_alarms(alarm_names)
        for name in alarm_names:
            self.plans.pop(name, None)

    def set_alarm_state(
        self, alarm_name: str, reason: str, reason_data: str, state_value: str
    ) -> None:
        """Until the next evaluation says otherwise (as AWS)."""
        if alarm_name not in self.alarms:
            raise ResourceNotFound("Alarm not found")
        alarm = self.alarms[alarm_name]
        before = (alarm.state_value, alarm.state_reason)
        super().set_alarm_state(alarm_name, reason, reason_data, state_value)
        alarm.state_value, alarm.state_reason = before
        self.transition(alarm, state_value, reason, reason_data)

    def transition(self, alarm: Any, state: str, reason: str, data: str | None) -> None:
        """Give the alarm its new state, write its history and run its actions."""
        now, old = self.clock.now(), alarm.state_value
        old_reason = alarm.state_reason
        alarm.state_value, alarm.state_reason, alarm.state_reason_data = state, reason, data
        alarm.state_updated_timestamp = now
        if state == old:
            return
        alarm.state_transitioned_timestamp = now
        self._remember(
            alarm,
            "StateUpdate",
            f"Alarm updated from {old} to {state}",
            {
                "version": "1.0",
                "oldState": {"stateValue": old, "stateReason": old_reason},
                "newState": {"stateValue": state, "stateReason": reason},
            },
        )
        if alarm.actions_enabled:
            self._act(alarm, old, now)

    def _act(self, alarm: Any, old: str, now: datetime) -> None:
        """Publish to the SNS topics of the new state; other actions are only written down."""
        actions = {
            "ALARM": alarm.alarm_actions,
            "OK": alarm.ok_actions,
            "INSUFFICIENT_DATA": alarm.insufficient_data_actions,
        }[alarm.state_value]
        for arn in actions or ():
            if ":sns:" not in arn:
                self._remember(alarm, "Action", f"Action {arn} is not run by the local cloud", {})
                continue
            try:
                sns_backends[arn.split(":")[4]][arn.split(":")[3]].publish(
                    json.dumps(_message(alarm, old, now)),
                    arn=arn,
                    subject=f'{alarm.state_value}: "{alarm.name}"'[:100],
                )
            except ServiceException as error:
                log.warning("alarm %s could not publish to %s: %s", alarm.name, arn, error)
                self._remember(alarm, "Action", f"Failed to execute action {arn}", {})
            else:
                self._remember(alarm, "Action", f"Successfully executed action {arn}", {})

    def _remember(self, alarm: Any, kind: str, summary: str, data: Mapping[str, Any]) -> None:
        self.alarm_history.appendleft(
            {
                "AlarmName": alarm.name,
                "AlarmType": "MetricAlarm" if alarm.rule is None else "CompositeAlarm",
                "Timestamp": self.clock.now(),
                "HistoryItemType": kind,
                "HistorySummary": summary,
                "HistoryData": json.dumps(data),
            }
        )


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=epoch_to_datetime(0).tzinfo)


def _has(dimensions: Mapping[str, str], wanted: Sequence[Mapping[str, str]]) -> bool:
    return all(
        d["Name"] in dimensions and d.get("Value") in (None, dimensions[d["Name"]]) for d in wanted
    )


def _values(bucket: Bucket, names: Sequence[str]) -> dict[str, Any]:
    point: dict[str, Any] = {}
    for name in names:
        value = bucket.statistic(name)
        if value is None:
            continue
        if name not in SIMPLE:
            point.setdefault("ExtendedStatistics", {})[name] = value
        else:
            point[name] = value
    return point


def _message(alarm: Any, old: str, now: datetime) -> dict[str, Any]:
    """What AWS publishes when an alarm changes its state (the parts people read)."""
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": alarm.alarm_arn.split(":")[4],
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": now.isoformat(),
        "Region": alarm.region_name,
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": old,
    }


class LocalCloudWatchResponse(CloudWatchResponse):
    """What moto's response class leaves out."""

    @property
    def _local(self) -> LocalCloudWatchBackend:
        backend = self.cloudwatch_backend
        assert isinstance(backend, LocalCloudWatchBackend)
        return backend

    def get_metric_statistics(self) -> ActionResult:
        names = [*self._get_param("Statistics", []), *self._get_param("ExtendedStatistics", [])]
        if not names:
            raise InvalidParameterCombination(
                "Must specify either Statistics or ExtendedStatistics"
            )
        name = self._get_param("MetricName")
        dimensions = {d["Name"]: d["Value"] for d in self._get_param("Dimensions", [])}
        points = self._local.statistics(
            metric_key(self._get_param("Namespace"), name, dimensions),
            start_time=self._get_param("StartTime"),
            end_time=self._get_param("EndTime"),
            period=self._get_param("Period"),
            names=names,
            unit=self._get_param("Unit"),
        )
        return ActionResult({"Label": name, "Datapoints": points})

    def describe_alarm_history(self) -> ActionResult:
        """Newest first, unless ScanBy says otherwise. Not paged beyond MaxRecords."""
        name, kind = self._get_param("AlarmName"), self._get_param("HistoryItemType")
        start, end = self._get_param("StartDate"), self._get_param("EndDate")
        items = [
            item
            for item in list(self._local.alarm_history)
            if name in (None, item["AlarmName"])
            and kind in (None, item["HistoryItemType"])
            and (start is None or item["Timestamp"] >= _aware(start))
            and (end is None or item["Timestamp"] <= _aware(end))
        ]
        if self._get_param("ScanBy") == "TimestampAscending":
            items.reverse()
        limit = self._get_int_param("MaxRecords", 100)
        return ActionResult({"AlarmHistoryItems": items[:limit]})
