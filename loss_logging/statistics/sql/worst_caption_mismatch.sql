-- First the captions that are very likely wrong, then those to look at, then all others: by score alone the few records of an
-- item lead, whose error is large. Within each go the chances, where pictures calibrate them, then both mismatches alike, where
-- rivals were compared, too. Items for which too few paired records decide are counted in paired_items.sql; they are here where
-- their picture contradicts them, without a score if none of their records is paired.
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
    p_odd,
    NULL AS decision,
    word,
    better_word
FROM judged
JOIN paired_items USING (dataset)
WHERE judged.decided OR bin < 2
ORDER BY coalesce(bin, 2), p_wrong DESC NULLS LAST, judged.mismatch DESC, dataset, path
LIMIT $k
