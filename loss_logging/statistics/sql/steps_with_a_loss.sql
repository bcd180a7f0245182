-- The first and the last step with a finite loss.
SELECT min(step), max(step) FROM records WHERE isfinite(loss)
