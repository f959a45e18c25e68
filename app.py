"""Entry of `cdk synth`: the stacks of one environment of llmops.toml, checked by cdk-nag."""

import os
import sys

from llmops_constructs import InvalidConstruct
from llmops_runbooks import settings
from llmops_runbooks.errors import ExitCode, SettingsError
from llmops_stacks import add_checks, build, new_app


def main() -> int:
    """The environment is `-c env=NAME`, else LLMOPS_ENV, else the file's default_environment."""
    app = new_app()
    chosen = app.node.try_get_context("env") or os.environ.get("LLMOPS_ENV")
    try:
        environment = settings.load(chosen or settings.default_environment())
        build(app, environment)
    except (SettingsError, InvalidConstruct) as error:
        print(f"{error} {getattr(error, 'hint', '')}".rstrip(), file=sys.stderr)
        return ExitCode.USAGE
    add_checks(app, environment)
    app.synth()
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
