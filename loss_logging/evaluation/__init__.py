"""evaluate_dataset and what its engines have in common."""
