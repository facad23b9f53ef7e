"""Class averages and their particles -> scores, choices, intensity groups."""
