"""Looking at a reasoner: accuracy against compute, residual-error coupling, path independence, plots."""
