-- Number and mean of the losses in each timestep bin, per dataset and (dataset NULL) over all.
SELECT dataset, timestep_bin, sum(n)::BIGINT AS n, sum(n * mean) / nullif(sum(n), 0) AS mean
FROM cells
WHERE timestep_bin >= 0
GROUP BY GROUPING SETS ((dataset, timestep_bin), (timestep_bin))
ORDER BY dataset, timestep_bin
