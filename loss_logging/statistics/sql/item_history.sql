-- The records of the items in `wanted` up to $through, by step; of an item with many, $most spread evenly, and how many there are.
SELECT dataset, path, step, timestep, loss, loss_empty, of
FROM (
    SELECT
        dataset,
        path,
        step,
        timestep,
        CASE WHEN isfinite(loss) THEN loss END AS loss,
        loss_empty,
        count(*) OVER (PARTITION BY dataset, path) AS of,
        row_number() OVER (PARTITION BY dataset, path ORDER BY step) AS place
    FROM records
    SEMI JOIN wanted USING (dataset, path)
    WHERE step <= $through
)
WHERE (place - 1) * $most // of <> (place - 2) * $most // of OR place = 1
ORDER BY dataset, path, step
