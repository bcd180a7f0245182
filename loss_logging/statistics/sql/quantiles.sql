-- Exact quantiles of the finite losses up to $through, per dataset and (dataset NULL) over all, linearly interpolated.
SELECT dataset, quantile_cont(loss, [0.05, 0.25, 0.5, 0.75, 0.95, 0.99]) AS quantiles
FROM samples
WHERE loss IS NOT NULL AND step <= $through
GROUP BY GROUPING SETS ((dataset), ())
