-- First the captions that are very likely wrong, then those to look at, then all others: by score alone the few records of an
-- item lead, whose error is large. Where rivals were compared, too, both mismatches count alike. Items for which too few paired records decide are counted in paired_items.sql.
SELECT
    dataset,
    path,
    caption,
    caption_mismatch AS score,
    n_paired AS count,
    average_loss,
    standard_error,
    caption_mismatch / nullif(standard_error, 0) AS t,
    robust_z(caption_mismatch, middle, spread) AS robust_z,
    NULL AS std_z,
    verdict,
    p_wrong,
    p_odd
FROM judged
JOIN paired_items USING (dataset)
WHERE judged.decided
ORDER BY coalesce(bin, 2), judged.mismatch DESC, dataset, path
LIMIT $k
