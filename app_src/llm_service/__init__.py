"""The handbook service: OpenAI-compatible question answering over a corpus of documents.

Start it with `python -m llm_service`; `llm_service.settings` lists what it reads from its
environment, `llm_service.api` what it answers.
"""
