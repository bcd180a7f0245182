-- Items of the closed steps (of `carried_items`: all, or those with newer records) and of newer ones as one; `b` is the newer.
SELECT
    item,
    item_again,
    coalesce(a.dataset, b.dataset) AS dataset,
    coalesce(a.path, b.path) AS path,
    coalesce(a.count, 0) + coalesce(b.count, 0) AS count,
    coalesce(a.n, 0) + coalesce(b.n, 0) AS n,
    merged_mean(a.n, a.mean, b.n, b.mean) AS mean,
    merged_m2(a.n, a.mean, a.m2, b.n, b.mean, b.m2) AS m2,
    least(a.lowest, b.lowest) AS lowest,
    greatest(a.highest, b.highest) AS highest,
    CASE WHEN a.highest IS NULL OR b.highest > a.highest THEN b.highest_step ELSE a.highest_step END AS highest_step,
    CASE WHEN a.highest IS NULL OR b.highest > a.highest THEN b.highest_timestep ELSE a.highest_timestep END
        AS highest_timestep,
    nullif(
        CASE
            WHEN a.highest IS NULL OR b.highest > a.highest THEN coalesce(b.highest_caption, b.caption, '')
            ELSE coalesce(a.highest_caption, a.caption, '')
        END,
        coalesce(b.caption, a.caption)
    ) AS highest_caption,
    coalesce(b.last_loss, a.last_loss) AS last_loss,
    coalesce(a.sum_z, 0) + coalesce(b.sum_z, 0) AS sum_z,
    coalesce(a.n_z, 0) + coalesce(b.n_z, 0) AS n_z,
    merged_m2(a.n_z, a.sum_z / a.n_z, a.m2_z, b.n_z, b.sum_z / b.n_z, b.m2_z) AS m2_z,
    coalesce(a.n_paired, 0) + coalesce(b.n_paired, 0) AS n_paired,
    coalesce(a.sum_mismatch, 0) + coalesce(b.sum_mismatch, 0) AS sum_mismatch,
    merged_m2(
        a.n_paired, a.sum_mismatch / a.n_paired, a.m2_mismatch, b.n_paired, b.sum_mismatch / b.n_paired, b.m2_mismatch
    ) AS m2_mismatch,
    coalesce(a.n_rival, 0) + coalesce(b.n_rival, 0) AS n_rival,
    coalesce(a.sum_rival, 0) + coalesce(b.sum_rival, 0) AS sum_rival,
    merged_m2(a.n_rival, a.sum_rival / a.n_rival, a.m2_rival, b.n_rival, b.sum_rival / b.n_rival, b.m2_rival) AS m2_rival,
    coalesce(b.caption, a.caption) AS caption,
    coalesce(b.caption_hash, a.caption_hash) AS caption_hash,
    coalesce(a.is_reg, true) AND coalesce(b.is_reg, true) AS is_reg
FROM carried_items AS a
FULL JOIN new_items AS b USING (item, item_again)
