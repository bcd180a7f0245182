-- What a loss in the steps ($after, $through] is standardised with: mean and standard deviation of those of the same block of
-- steps and timestep bin. Where fewer than 8 records share both, or do not vary, 2, 5 or 10 neighbouring bins are one, as few as
-- will do; then the whole block stands in. Where that does not vary either, or so much that it overflows, there is nothing to
-- standardise with.
WITH
joined AS (
    SELECT
        block,
        width,
        CASE WHEN width = 20 THEN 0 WHEN timestep_bin < 0 THEN -1 ELSE timestep_bin // width END AS place,
        count(*) AS n,
        avg(loss) AS mean,
        spread_of(stddev_pop(loss), mean) AS std
    FROM samples, (SELECT unnest([1, 2, 5, 10, 20]) AS width)
    WHERE loss IS NOT NULL AND step > $after AND step <= $through
    GROUP BY ALL
),
cells AS (
    SELECT block, place AS timestep_bin FROM joined WHERE width = 1
),
narrowest AS (
    SELECT cells.block, timestep_bin, arg_min({mean: mean, std: std}, width) AS found
    FROM cells
    JOIN joined
        ON
            joined.block = cells.block
            AND place = CASE WHEN width = 20 THEN 0 WHEN timestep_bin < 0 THEN -1 ELSE timestep_bin // width END
    WHERE (n >= 8 AND std IS NOT NULL) OR width = 20
    GROUP BY ALL
)
SELECT block, timestep_bin, found.mean AS mean, found.std AS std FROM narrowest
