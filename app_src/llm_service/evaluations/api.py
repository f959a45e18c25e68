"""`POST /v1/evaluations`: the evaluator."""

from __future__ import annotations

from fastapi import APIRouter, Request

from llm_service.auth import ANONYMOUS
from llm_service.evaluations.shapes import Evaluation, EvaluationRequest

router = APIRouter()


@router.post("/v1/evaluations", response_model=Evaluation)
async def evaluate(asked: EvaluationRequest, request: Request) -> Evaluation:
    """Scores an answer against a reference, by rule and, if `judge` names a model, by that."""
    principal = getattr(request.state, "principal", ANONYMOUS)
    found: Evaluation = await request.app.state.service.evaluator.evaluate(asked, principal)
    return found
