-- Items for which too few paired records decide are counted in paired_items.sql.
SELECT
    dataset,
    path,
    caption,
    caption_mismatch AS score,
    n_paired AS count,
    average_loss,
    standard_error,
    caption_mismatch / nullif(standard_error, 0) AS t,
    robust_z(caption_mismatch, middle, spread) AS robust_z
FROM item_statistics
JOIN paired_items USING (dataset)
WHERE item_statistics.decided
ORDER BY caption_mismatch DESC, dataset, path
LIMIT $k
