-- The mean loss of each dataset, and of all of them (dataset NULL), in windows of $width steps from $first to $through: the
-- last step of the window, how many finite losses, their mean and its standard error. Windows without a loss are left out.
SELECT dataset, place, count(*) AS n, avg(loss) AS mean, stddev_samp(loss) / sqrt(count(*)) AS error
FROM (
    SELECT dataset, (step - $first) // $width AS place, loss
    FROM records
    WHERE isfinite(loss) AND step <= $through
)
GROUP BY GROUPING SETS ((dataset, place), (place))
ORDER BY ALL
