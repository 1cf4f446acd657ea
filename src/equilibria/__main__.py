"""`python -m equilibria`, for launchers that start modules."""

from equilibria.cli import main

main()
