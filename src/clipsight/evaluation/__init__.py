"""Evaluation of models: retrieval, zero-shot, linear probes, distribution shift, precisions, templates.

from clipsight import evaluation
found = evaluation.evaluate("builtin", zeroshot="pets/")
print(found.metrics.accuracy)
"""

from clipsight.evaluation.evaluator import Evaluation as Evaluation
from clipsight.evaluation.evaluator import LinearProbe as LinearProbe
from clipsight.evaluation.evaluator import ZeroShot as ZeroShot
from clipsight.evaluation.evaluator import compare_templates as compare_templates
from clipsight.evaluation.evaluator import evaluate as evaluate
from clipsight.evaluation.precision_benchmark import ModelComparison as ModelComparison
from clipsight.evaluation.precision_benchmark import compare_models as compare_models
from clipsight.evaluation.retrieval import Retrieval as Retrieval
from clipsight.evaluation.robustness import Robustness as Robustness

__all__ = [
    "Evaluation",
    "LinearProbe",
    "ModelComparison",
    "Retrieval",
    "Robustness",
    "ZeroShot",
    "compare_models",
    "compare_templates",
    "evaluate",
]
