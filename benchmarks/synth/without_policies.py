"""The stacks of an environment as `app.py` makes them, without cdk-nag's policies."""

import os

from llmops_runbooks import settings
from llmops_stacks import build, new_app

app = new_app()
build(app, settings.load(os.environ["LLMOPS_ENV"]))
app.synth()
