-- Partial sums per item over the steps in ($after, $through]; what merge_items.sql adds up.
--
-- `z` is the loss standardised with baseline.sql. A record whose caption is empty or was dropped compares the empty caption
-- with itself, and is no pair.
WITH
scored AS NOT MATERIALIZED (
    SELECT
        samples.*,
        (loss - baseline.mean) / baseline.std AS z,
        CASE
            WHEN
                NOT caption_dropped
                AND trim(caption, E' \t\r\n') <> ''
                AND isfinite(loss_empty)
                AND least(loss, loss_empty) >= 0
                AND loss / 2 + loss_empty / 2 > 0
            THEN (loss - loss_empty) / (loss / 2 + loss_empty / 2)
        END AS mismatch
    FROM samples
    LEFT JOIN baseline USING (block, timestep_bin)
    WHERE step > $after AND step <= $through
)
-- `highest_caption` is NULL where it is `caption`, as it nearly always is: captions are what takes the memory.
SELECT
    dataset,
    path,
    count(*) AS count,
    count(loss) AS n,
    avg(loss) AS mean,
    var_pop(loss) * count(loss) AS m2,
    min(loss) AS lowest,
    max(loss) AS highest,
    arg_max(step, loss) AS highest_step,
    arg_max_null(timestep, loss) AS highest_timestep,
    nullif(arg_max(caption, loss), arg_max(caption, step) FILTER (NOT caption_dropped)) AS highest_caption,
    arg_max(loss, step) AS last_loss,
    coalesce(sum(z), 0) AS sum_z,
    count(z) AS n_z,
    coalesce(var_pop(z) * count(z), 0) AS m2_z,
    count(mismatch) AS n_paired,
    coalesce(sum(mismatch), 0) AS sum_mismatch,
    coalesce(var_pop(mismatch) * count(mismatch), 0) AS m2_mismatch,
    arg_max(caption, step) FILTER (NOT caption_dropped) AS caption,
    bool_and(is_reg) AS is_reg
FROM scored
GROUP BY dataset, path
