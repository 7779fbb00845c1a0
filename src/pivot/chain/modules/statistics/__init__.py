"""What developers have asked for: one row for each answer, and totals by epoch, developer, model and minute."""
