"""What can go wrong, by what the operator can do about it.

LlmopsError                 base: one sentence, what, where, what next
├── UsageError              the input or the configuration is wrong; nothing was changed (exit 2)
│   └── SettingsError       llmops.toml is missing, unreadable or has a wrong value
├── RolloutFailed           the rollout ended otherwise than asked (exit 1)
├── Undecided               inconclusive, or a person has to decide (exit 3)
└── CloudError              AWS refused or cannot be reached (exit 4)
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command; documented and stable."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNDECIDED = 3
    CLOUD = 4


class LlmopsError(Exception):
    """One sentence for the operator; `hint`, if any, is the command or edit to do next."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LlmopsError):
    """The command cannot be carried out as given; nothing was changed."""

    exit_code = ExitCode.USAGE


class SettingsError(UsageError):
    """llmops.toml is missing, unreadable or says something that is not allowed."""


class RolloutFailed(LlmopsError):
    """The release did not end where the operator asked for."""

    exit_code = ExitCode.FAILED


class Undecided(LlmopsError):
    """Nobody has decided yet: the evidence is inconclusive or a person is waited for."""

    exit_code = ExitCode.UNDECIDED


class CloudError(LlmopsError):
    """AWS refused a call or could not be reached."""

    exit_code = ExitCode.CLOUD
