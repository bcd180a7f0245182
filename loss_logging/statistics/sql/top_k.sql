-- The $k items of each dataset with the highest single loss.
--
-- `peaks` has one row per record or per item. Only losses at or above the $candidates-th highest of a dataset are looked at, or
-- all where $candidates is NULL: a sort of a million rows is what this avoids. The caller sees from the number of rows whether
-- that was enough.
WITH
threshold AS (
    SELECT dataset, list_min(max(loss, coalesce($candidates, 1)::BIGINT)) AS enough FROM peaks GROUP BY dataset
),
candidate AS (
    SELECT dataset, path, max(loss) AS highest, arg_max({caption: caption, step: step, timestep: timestep}, loss) AS peak
    FROM peaks
    JOIN threshold USING (dataset)
    WHERE $candidates IS NULL OR loss >= enough
    GROUP BY dataset, path
),
ranked AS (
    SELECT *, row_number() OVER (PARTITION BY dataset ORDER BY highest DESC, path) AS place FROM candidate
)
SELECT dataset, path, peak.caption, highest, peak.step, peak.timestep
FROM ranked
WHERE place <= $k
ORDER BY dataset, place
