"""`equilibria watch`: restarts of one problem settle before one's eyes, in the terminal or as pictures."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

import equilibria as eq
from equilibria.cli.options import Device, Seed, With, resolve_device
from equilibria.cli.progress import meter
from equilibria.errors import EquilibriaError

NAME = "sudoku-6x6"  # where nothing else is said
FASTEST = 10  # frames a second: a terminal takes no more without flicker
MANY = 128  # restarts of a landscape


def watch(
    problem: Annotated[
        str | None,
        typer.Argument(
            metavar="[PUZZLE|FILE]",
            help="A puzzle, or a file of them; none: the held-out ones of a shipped reasoner.",
        ),
    ] = None,
    row: Annotated[int, typer.Option(help="Which problem of several, from 1.")] = 1,
    reasoner: With = None,
    depth: Annotated[int, typer.Option(help="Iterations.")] = 32,
    breadth: Annotated[int, typer.Option(help="Restarts that race.")] = 8,
    restart: Annotated[
        int | None,
        typer.Option(help="Which of them is shown large, from 1; none: the one that settles best."),
    ] = None,
    halting: Annotated[
        str, typer.Option(help="fixed: full depth; or recipe, learned, residual: restarts end by that rule.")
    ] = "fixed",
    fps: Annotated[float, typer.Option(help=f"Iterations a second, at most {FASTEST}.")] = 4.0,
    gif: Annotated[Path | None, typer.Option(help="Save it as a film.")] = None,
    png: Annotated[Path | None, typer.Option(help="Save it for print: boards over residuals.")] = None,
    landscape: Annotated[
        Path | None,
        typer.Option(help=f"Draw {MANY} restarts, or --breadth if that is more, in their principal plane."),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="As in reasoner.noise=0; repeatable."),
    ] = None,
    seed: Seed = 0,
    no_colour: Annotated[
        bool, typer.Option("--no-colour", help="Characters alone; NO_COLOR in the environment does the same.")
    ] = False,
    device: Device = "auto",
) -> None:
    """Watch restarts of one problem settle. Ctrl-C ends it."""
    console = Console(no_color=True if no_colour else None)
    _check(row, depth, breadth, restart, fps, gif, png, landscape)
    pipeline, problems = _loaded(problem, row, reasoner, device, change or [])
    pipeline.halting(halting)  # an unknown word is an error before anything is computed
    try:
        with meter("settling", depth * breadth) as shown:
            scene = pipeline.watch(
                problems,
                depth=depth,
                breadth=breadth,
                halting=halting,
                seed=seed,
                watch=lambda report: shown.count(report.nfe, depth * breadth),
            )
        large = scene.convergent if restart is None else restart - 1
        _save(console, pipeline, scene, large, gif, png, fps)
        if landscape is not None:
            _landscape(console, pipeline, problems, landscape, depth, max(breadth, MANY), halting, seed)
        _show(console, scene, large, fps)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _check(
    row: int,
    depth: int,
    breadth: int,
    restart: int | None,
    fps: float,
    gif: Path | None,
    png: Path | None,
    landscape: Path | None,
) -> None:
    """Raises EquilibriaError for what could not be done."""
    for name, value in (("row", row), ("depth", depth), ("breadth", breadth)):
        if value < 1:
            raise EquilibriaError(f"--{name} {value}: give a whole number from 1 up")
    if restart is not None and not 1 <= restart <= breadth:
        raise EquilibriaError(
            f"--restart {restart}: there are {breadth}, counted from 1; --breadth gives more"
        )
    if not 0 < fps <= FASTEST:
        raise EquilibriaError(f"--fps {fps:g}: give more than 0 and at most {FASTEST}")
    for path, ending in ((gif, ".gif"), (png, ".png"), (landscape, ".png")):
        if path is not None:
            eq.check_picture(path, ending)


def _loaded(
    problem: str | None, row: int, reasoner: str | None, device: str, changes: list[str]
) -> tuple["eq.Pipeline", "eq.Problems"]:
    """The reasoner, and the one problem that is asked for."""
    where = resolve_device(device)
    path = Path(problem) if problem is not None and _is_file(problem) else None
    if problem is None:
        name = reasoner or NAME
        problems = eq.held_out_problems(name)
        pipeline = eq.load(name, where, changes)
        source = f"the held-out problems of {name}"
    else:
        name = reasoner or eq.load_for(path or problem).name
        pipeline = eq.load(name, where, changes)
        if path is not None:
            problems = pipeline.task.read(path, limit=row, labelled=False)
        else:
            problems = pipeline.problems(problem)
        source = problem if path is not None else "the text"
    if row > len(problems):
        raise EquilibriaError(f"--row {row}: {source} has {len(problems):,}")
    return pipeline, problems[row - 1 : row]


def _is_file(problem: str) -> bool:
    try:
        return Path(problem).is_file()
    except OSError:  # a pasted board can be longer than a file name may be
        return False


def _save(
    console: Console,
    pipeline: "eq.Pipeline",
    scene: "eq.Scene",
    restart: int,
    gif: Path | None,
    png: Path | None,
    fps: float,
) -> None:
    title = f"{pipeline.name} on one {pipeline.task.noun}, {scene.restarts} restarts"
    if png is not None:
        eq.draw_strip(scene, restart, png, f"{title}; thick: restart {restart + 1}, shown above")
        _say(console, f"restart {restart + 1} and the residuals of all drawn in {png}")
    if gif is not None:
        with meter("drawing", eq.last_iteration(scene) + 1) as shown:
            frames = eq.draw_film(scene, restart, gif, fps, title, shown.count)
        _say(console, f"{frames} frames drawn in {gif}, {gif.stat().st_size / 1e6:.2f} MB")


def _landscape(
    console: Console,
    pipeline: "eq.Pipeline",
    problems: "eq.Problems",
    path: Path,
    depth: int,
    breadth: int,
    halting: str,
    seed: int,
) -> None:
    with meter("exploring", depth * breadth) as shown:
        scene = pipeline.watch(
            problems,
            depth=depth,
            breadth=breadth,
            halting=halting,
            seed=seed,
            states=True,
            watch=lambda report: shown.count(report.nfe, depth * breadth),
        )
    title = f"{breadth} restarts of {pipeline.name} on one {pipeline.task.noun}"
    right = None if scene.right is None else scene.right[:, -1]
    eq.plot_projection(eq.project_states(scene.recording), right, path, title)
    _say(console, f"{breadth} restarts drawn in {path}")


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _show(console: Console, scene: "eq.Scene", restart: int, fps: float) -> None:
    """Play it, or, where nobody can watch, print what was seen."""
    if not console.is_terminal:
        console.print(eq.scene_summary(scene, restart))
        return
    with Live(console=console, auto_refresh=False) as live:
        for iteration in range(scene.depth + 1):
            began = time.perf_counter()
            live.update(eq.scene_view(scene, restart, iteration, console.width), refresh=True)
            if iteration < scene.depth:
                time.sleep(max(0.0, 1 / fps - (time.perf_counter() - began)))
