-- What a loss in the steps ($after, $through] is standardised with: mean and standard deviation of those of the same timestep bin
-- and block of steps. Where fewer than 8 records share both, or do not vary, the whole block stands in; where those do not vary
-- either, or so much that it overflows, there is nothing to standardise with.
WITH
in_cell AS (
    SELECT block, timestep_bin, count(*) AS n, avg(loss) AS mean, spread_of(stddev_pop(loss), mean) AS std
    FROM samples
    WHERE loss IS NOT NULL AND step > $after AND step <= $through
    GROUP BY block, timestep_bin
),
in_block AS (
    SELECT block, avg(loss) AS mean, spread_of(stddev_pop(loss), mean) AS std
    FROM samples
    WHERE loss IS NOT NULL AND step > $after AND step <= $through
    GROUP BY block
)
SELECT
    block,
    timestep_bin,
    CASE WHEN in_cell.n >= 8 AND in_cell.std > 0 THEN in_cell.mean ELSE in_block.mean END AS mean,
    CASE WHEN in_cell.n >= 8 AND in_cell.std > 0 THEN in_cell.std ELSE in_block.std END AS std
FROM in_cell
JOIN in_block USING (block)
