"""POST /v1/chat/completions, answered without a framework."""
