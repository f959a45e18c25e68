"""One file per command: parse, call a runbook, render."""
