"""Shaping f: schedules, losses, optimizers, averages, checkpoints, and the trainer that runs them."""
