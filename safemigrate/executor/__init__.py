"""Floor 6: touches the database and the clock, decides nothing."""
