"""Training: recipes, batches, steps, validation, the folder of a run."""
