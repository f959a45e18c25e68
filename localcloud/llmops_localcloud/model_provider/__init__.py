"""A stand-in for a model provider: OpenAI's chat completions on 127.0.0.1, without a model.

It says what it is given as a draft (`prediction` of OpenAI's API; without one the last message),
after a wait that is drawn as real providers' times are. Nothing is generated: what a service says
through it is the service's own text, and what a rehearsal learns from it is time, tokens, refusals
and outages, shared by every release that asks it.
"""
