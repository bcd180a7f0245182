-- How many items of each dataset caption_mismatch is decided for, and the middle and spread of those, from `middles`.
SELECT
    dataset,
    count(*) FILTER (decided) AS decided,
    count(*) FILTER (n_paired > 0 AND NOT decided) AS undecided,
    count(*) FILTER (n_paired = 0) AS unpaired,
    any_value(middle) AS middle,
    any_value(spread) AS spread,
    count(*) FILTER (decided AND caption_mismatch > 0) AS above_zero
FROM item_statistics
LEFT JOIN middles USING (dataset)
GROUP BY dataset
ORDER BY dataset
