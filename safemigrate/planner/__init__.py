"""Floor 5: plans, without a cursor and without a clock."""
