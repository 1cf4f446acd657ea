"""`equilibria list`: what there is."""

from rich.console import Console
from rich.table import Table

import equilibria as eq


def list_everything() -> None:
    """Show the reasoners that ship, the recipes and the tasks, with sizes, costs and scores."""
    console = Console()
    console.print(_shipped())
    console.print(_recipes())
    console.print(f"tasks: {', '.join(eq.task_names())}    families: {', '.join(eq.families())}")


def _shipped() -> Table:
    table = Table(title="reasoners that ship", title_justify="left")
    for name in ("name", "task", "parameters", "size", "recipe", "score"):
        table.add_column(name, overflow="fold")
    for name in eq.shipped_names():
        pipeline = eq.load(name)
        size = (eq.find_checkpoint(name) / "model.safetensors").stat().st_size
        table.add_row(
            name,
            f"{pipeline.task.name} {'x'.join(str(side) for side in pipeline.task.board)}",
            f"{pipeline.reasoner.parameter_count():,}",
            f"{size / 1000:,.0f} kB",
            pipeline.recipe.name,
            (pipeline.facts or {}).get("score", ""),
        )
    return table


def _recipes() -> Table:
    table = Table(title="recipes (equilibria train NAME)", title_justify="left")
    for name in ("name", "family", "parameters", "layers", "cost", "what it is"):
        table.add_column(name, overflow="fold")
    for name in eq.recipe_names():
        recipe = eq.load_recipe(name)
        reasoner = recipe.build_reasoner(recipe.build_task())
        table.add_row(
            name,
            recipe.reasoner.family,
            f"{reasoner.parameter_count() / 1e6:.2f}M",
            str(reasoner.equivalent_layers),
            f"{recipe.training.steps:,} steps x {recipe.training.batch}"
            + (f"; {recipe.hardware}" if recipe.hardware else ""),
            recipe.summary,
        )
    return table
