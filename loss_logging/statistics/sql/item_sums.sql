-- Partial sums per item over the steps in ($after, $through], with the numbers of the records whose texts belong to it; items.sql
-- fetches those. Grouping by the texts themselves takes four times as long.
--
-- An item is told by two hashes of 64 bits each: of 100 million items any two share both with a chance of 1 in 10^22. The second
-- is of a longer text, for which the function begins elsewhere: texts that share one hash do not therefore share the other.
--
-- `z` is the loss standardised with baseline.sql. A record whose caption is empty or was dropped compares the empty caption
-- with itself, and is no pair; nor is one whose rival has the same caption, as after a correction.
WITH
numbered AS NOT MATERIALIZED (
    SELECT *, row_number() OVER () AS row
    FROM samples
    WHERE step > $after AND step <= $through
),
scored AS NOT MATERIALIZED (
    SELECT
        numbered.*,
        hash(dataset, path) AS item,
        hash(path || '/', dataset) AS item_again,
        (loss - baseline.mean) / baseline.std AS z,
        CASE
            WHEN loss_empty IS NOT NULL OR loss_rival IS NOT NULL
                THEN NOT caption_dropped AND trim(caption, E' \t\r\n') <> ''
        END AS captioned,  -- asked of pairs alone: most records are none, and captions are long
        CASE WHEN captioned THEN mismatch_of(loss, loss_empty) END AS mismatch,
        CASE WHEN captioned AND rival IS DISTINCT FROM caption THEN mismatch_of(loss, loss_rival) END AS against_rival
    FROM numbered
    LEFT JOIN baseline USING (block, timestep_bin)
)
SELECT
    item,
    item_again,
    count(*) AS count,
    count(loss) AS n,
    avg(loss) AS mean,
    var_pop(loss) * count(loss) AS m2,
    min(loss) AS lowest,
    max(loss) AS highest,
    arg_max(step, loss) AS highest_step,
    arg_max_null(timestep, loss) AS highest_timestep,
    arg_max(loss, step) AS last_loss,
    coalesce(sum(z), 0) AS sum_z,
    count(z) AS n_z,
    coalesce(var_pop(z) * count(z), 0) AS m2_z,
    count(mismatch) AS n_paired,
    coalesce(sum(mismatch), 0) AS sum_mismatch,
    coalesce(var_pop(mismatch) * count(mismatch), 0) AS m2_mismatch,
    count(against_rival) AS n_rival,
    coalesce(sum(against_rival), 0) AS sum_rival,
    coalesce(var_pop(against_rival) * count(against_rival), 0) AS m2_rival,
    bool_and(is_reg) AS is_reg,
    any_value(row) AS any_row,
    arg_max(row, step) FILTER (NOT caption_dropped) AS caption_row,
    arg_max(row, loss) AS highest_row
FROM scored
GROUP BY item, item_again
