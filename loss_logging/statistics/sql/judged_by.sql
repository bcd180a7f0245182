-- What every item is judged by; of 0 items ($most) where there are too many. `hard` is from the middle of its dataset, where
-- $enough items tell that: a whole dataset that is harder than the others is no odd image.
SELECT
    item_statistics.item,
    n_paired,
    caption_mismatch,
    standard_error,
    n_rival,
    rival_mismatch,
    rival_error,
    score,
    ratio,
    word_score,
    seen.item IS NOT NULL AS compared,
    hard - coalesce(middle, 0) AS hard
FROM item_statistics
LEFT JOIN (
    SELECT dataset, median(hard) AS middle FROM item_statistics GROUP BY dataset HAVING count(hard) >= $enough
) USING (dataset)
LEFT JOIN seen ON seen.item = item_statistics.item
LIMIT $most
