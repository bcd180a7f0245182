-- Exact quantiles of the finite losses up to $through of some datasets, linearly interpolated.
SELECT dataset, quantile_cont(loss, [0.05, 0.25, 0.5, 0.75, 0.95, 0.99]) AS quantiles
FROM samples
WHERE loss IS NOT NULL AND step <= $through AND list_contains($datasets, dataset)
GROUP BY dataset
