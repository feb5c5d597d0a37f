"""Numbers that say how far a direction can be trusted."""
