"""Looking back: what was recorded, as tables in a terminal."""
