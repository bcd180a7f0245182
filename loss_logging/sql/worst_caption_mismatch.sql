-- Fewer than 4 paired records decide nothing about a caption.
SELECT
    dataset,
    path,
    caption,
    caption_mismatch AS score,
    n_paired AS count,
    average_loss,
    standard_error,
    caption_mismatch / nullif(standard_error, 0) AS t
FROM item_statistics
WHERE isfinite(caption_mismatch) AND n_paired >= 4
ORDER BY caption_mismatch DESC, dataset, path
LIMIT $k
