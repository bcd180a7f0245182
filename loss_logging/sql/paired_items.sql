-- How many items of each dataset caption_mismatch is decided for, and the middle and spread of those: median and median
-- absolute deviation.
SELECT
    dataset,
    count(*) FILTER (decided) AS decided,
    count(*) FILTER (n_paired > 0 AND NOT decided) AS undecided,
    count(*) FILTER (n_paired = 0) AS unpaired,
    median(caption_mismatch) FILTER (decided) AS middle,
    mad(caption_mismatch) FILTER (decided) AS spread,
    count(*) FILTER (decided AND caption_mismatch > 0) AS above_zero
FROM item_statistics
GROUP BY dataset
ORDER BY dataset
