"""The day simulator: a home on packet time, seeded, fed to the real Guard. `python -m tests.sim` prints its tables."""
