"""Recipes that turn a split into weights: naive, and adversarial."""

from benchmark.training.course import Epoch
from benchmark.training.recipe import RECIPES, Recipe, read_recipe
from benchmark.training.train import TrainingResult, train

__all__ = ["RECIPES", "Epoch", "Recipe", "TrainingResult", "read_recipe", "train"]
