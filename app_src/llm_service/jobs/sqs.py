"""SQS as the queue of job ids. The SDK blocks, so it runs in threads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llm_service.jobs.settings import JobsSettings

logger = logging.getLogger("llm_service")

LONG_POLL = 10
"""Seconds that a receive waits for a message: half of what SQS allows, for a worker that is told
to stop waits for its last one."""
MOST_RECEIVED = 10
"""Messages that one receive of SQS brings at most."""


class QueueAway(Exception):
    """SQS refused or cannot be reached; why is in the log."""


@dataclass(frozen=True, slots=True)
class Message:
    """A job's id as it was received; `receives` counts how often it was so far."""

    job_id: str
    receipt: str
    receives: int


class SqsQueue:
    """The queue of `settings.queue_url`; the client is made when it is first needed."""

    def __init__(self, settings: JobsSettings, client: Any = None) -> None:
        self._settings, self._client = settings, client

    async def send(self, job_id: str, delay: float = 0) -> None:
        """Queues the id, to be received after `delay` seconds. Raises QueueAway."""
        await self._call(
            lambda sqs, url: sqs.send_message(
                QueueUrl=url, MessageBody=job_id, DelaySeconds=round(delay)
            )
        )

    async def receive(self, limit: int) -> list[Message]:
        """Up to `limit` messages, none after LONG_POLL seconds. Raises QueueAway."""
        answer = await self._call(
            lambda sqs, url: sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(limit, MOST_RECEIVED),
                WaitTimeSeconds=LONG_POLL,
                VisibilityTimeout=round(self._settings.visibility),
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
        )
        return [
            Message(
                message["Body"],
                message["ReceiptHandle"],
                int(message["Attributes"]["ApproximateReceiveCount"]),
            )
            for message in answer.get("Messages", ())
        ]

    async def hide(self, message: Message, seconds: float) -> None:
        """Nobody receives the message for so long; what cannot be said is only logged."""
        await self._tried(
            lambda sqs, url: sqs.change_message_visibility(
                QueueUrl=url, ReceiptHandle=message.receipt, VisibilityTimeout=round(seconds)
            )
        )

    async def give_back(self, message: Message, delay: float = 0) -> None:
        """Queues the id anew, so that this receive does not count; where that cannot be done it
        does."""
        try:
            await self.send(message.job_id, delay)
        except QueueAway:
            await self.hide(message, delay)
        else:
            await self.delete(message)

    async def delete(self, message: Message) -> None:
        """The message is done with; one that stays is found done when it is received again."""
        await self._tried(
            lambda sqs, url: sqs.delete_message(QueueUrl=url, ReceiptHandle=message.receipt)
        )

    async def _tried(self, call: Callable[[Any, str], Any]) -> None:
        try:
            await self._call(call)
        except QueueAway:
            return

    async def _call(self, call: Callable[[Any, str], Any]) -> Any:
        return await asyncio.to_thread(self._called, call)

    def _called(self, call: Callable[[Any, str], Any]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if self._client is None:
                self._client = _client(self._settings)
            return call(self._client, str(self._settings.queue_url))
        except (BotoCoreError, ClientError) as error:
            logger.warning("the queue of jobs cannot be used: %s", type(error).__name__)
            raise QueueAway from error


def _client(settings: JobsSettings) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.Session().client(
        "sqs",
        region_name=settings.region,
        endpoint_url=settings.endpoint_url,
        config=Config(
            connect_timeout=5,
            read_timeout=LONG_POLL + 10,
            retries={"mode": "standard", "max_attempts": 3},
        ),
    )
