"""Every published configuration as one YAML file, and what turns one into a task and a reasoner."""

from equilibria.recipes.load import load_recipe, parse_recipe, recipe_names
from equilibria.recipes.recipe import DataConfig, Recipe

__all__ = ["DataConfig", "Recipe", "load_recipe", "parse_recipe", "recipe_names"]
