-- The verdicts are joined to the few that are shown.
WITH hardest AS (
    SELECT *
    FROM item_statistics
    WHERE hard IS NOT NULL  -- losses near 1e308 overflow on the way
    ORDER BY hard DESC, dataset, path
    LIMIT $k
)
SELECT
    dataset,
    path,
    caption,
    hard AS score,
    count - non_finite AS count,
    average_loss,
    NULL AS standard_error,
    NULL AS t,
    NULL AS robust_z,
    std_z,
    verdict,
    p_wrong,
    p_odd
FROM hardest
LEFT JOIN verdicts USING (item)
ORDER BY hard DESC, dataset, path
