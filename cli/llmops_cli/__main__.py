"""`python -m llmops_cli`"""

from llmops_cli.main import app

app(prog_name="llmops")
