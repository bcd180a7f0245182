-- The sums of item_sums.sql with the texts of each item; what merge_items.sql adds up. The records are numbered as there. The hash
-- is compared once more: a log that another process cuts between two readings gives fewer items, and none with another's texts.
--
-- The hashes go along: queries that tell items or captions apart need no texts, which take ten times as long.
--
-- `highest_caption` is NULL where it is `caption`, as it nearly always is: captions are what takes the memory.
WITH
texts AS NOT MATERIALIZED (
    SELECT row_number() OVER () AS row, dataset, path, caption
    FROM samples
    WHERE step > $after AND step <= $through
)
SELECT
    item,
    item_again,
    dataset,
    path,
    count,
    n,
    mean,
    m2,
    lowest,
    highest,
    highest_step,
    highest_timestep,
    nullif(item_peaks.caption, CASE WHEN caption_row IS NOT NULL THEN texts.caption END) AS highest_caption,
    last_loss,
    sum_z,
    n_z,
    m2_z,
    n_paired,
    sum_mismatch,
    m2_mismatch,
    n_rival,
    sum_rival,
    m2_rival,
    CASE WHEN caption_row IS NOT NULL THEN texts.caption END AS caption,
    CASE WHEN caption_row IS NOT NULL THEN hash(dataset, texts.caption) END AS caption_hash,
    is_reg
FROM texts
JOIN item_sums ON texts.row = coalesce(caption_row, any_row) AND hash(dataset, path) = item
LEFT JOIN item_peaks ON item_peaks.row = highest_row
