"""Spending compute: how deep, how broad, when to stop, which restart to believe."""
