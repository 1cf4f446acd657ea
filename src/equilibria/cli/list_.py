"""`equilibria list`: what there is."""

import torch
from rich.console import Console
from rich.table import Table

import equilibria as eq


def list_everything() -> None:
    """Show the reasoners that ship, the recipes and the tasks, with sizes, costs and scores."""
    console = Console()
    console.print("[bold]reasoners that ship[/]  (equilibria solve … --with NAME)")
    console.print(_shipped())
    console.print("\n[bold]recipes[/]  (equilibria train NAME)")
    console.print(_recipes())
    console.print(f"\n[bold]tasks[/]     {', '.join(eq.task_names())}")
    console.print(f"[bold]families[/]  {', '.join(eq.families())}")


def _grid() -> Table:
    """Names that never fold, beside text that may."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    return table


def _shipped() -> Table:
    table = _grid()
    for name in eq.shipped_names():
        pipeline = eq.load(name)
        size = (eq.find_checkpoint(name) / "model.safetensors").stat().st_size
        board = "x".join(str(side) for side in pipeline.task.board)
        table.add_row(
            name,
            f"{pipeline.task.name} {board}, {pipeline.reasoner.parameter_count():,} parameters, "
            f"{size / 1000:,.0f} kB, made by {pipeline.recipe.name}; "
            f"{(pipeline.facts or {}).get('score', 'not scored')}",
        )
    return table


def _recipes() -> Table:
    table = _grid()
    for name in eq.recipe_names():
        recipe = eq.load_recipe(name)
        with torch.device("meta"):  # sizes without numbers
            reasoner = recipe.build_reasoner(recipe.build_task())
        training = recipe.training
        table.add_row(
            name,
            f"{recipe.summary}\n[dim]{recipe.reasoner.family}, {reasoner.parameter_count():,} parameters, "
            f"{reasoner.equivalent_layers} layers an iteration; {training.steps:,} steps of "
            f"{training.batch}; {recipe.hardware or 'not run yet'}[/]",
        )
    return table
