-- Moments of the losses per dataset and timestep bin, over the steps in ($after, $through]. `m2` is the sum of squared
-- deviations from the mean, which merges without cancellation (see merge_cells.sql).
SELECT
    dataset,
    timestep_bin,
    count(*) AS count,
    count(loss) AS n,
    avg(loss) AS mean,
    var_pop(loss) * count(loss) AS m2,
    min(loss) AS lowest,
    max(loss) AS highest,
    count(*) FILTER (outside_bins(timestep)) AS outside_bins
FROM samples
WHERE step > $after AND step <= $through
GROUP BY dataset, timestep_bin
