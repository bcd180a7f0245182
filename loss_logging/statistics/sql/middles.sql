-- Median and median absolute deviation of the decided items' caption_mismatch, per dataset: exact, at 16 bytes of memory an item.
SELECT dataset, median(caption_mismatch) AS middle, mad(caption_mismatch) AS spread
FROM item_statistics
WHERE decided
GROUP BY dataset
