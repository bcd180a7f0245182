-- Every item's figures, as they stand in the JSON artifact.
--
-- hard = sum(z) / (n + 5): the 5 pulls items seen a few times towards zero.
-- caption_mismatch = mean((loss - loss_empty) / ((loss + loss_empty) / 2)): relative to each record's own losses, because
-- timesteps of high loss would otherwise drown the others, where noise is predicted those that say least about the caption;
-- and relative to both, because a share of a loss near zero would drown everything. Fewer than 4 paired records decide nothing.
-- Of equal ones the standard error is 0, and not what their sum rounds to. rival_mismatch is the same of loss_rival.
--
-- suspect: the losses, too, say that something is wrong with the item; a flag on its caption is to be looked at first.
WITH
mismatch AS (
    SELECT *, sum_mismatch / nullif(n_paired, 0) AS caption_mismatch, sum_rival / nullif(n_rival, 0) AS rival_mismatch FROM items
),
figures AS (
    SELECT
        item,
        dataset,
        path,
        count,
        finite(mean) AS average_loss,
        lowest AS min_loss,
        highest AS max_loss,
        finite(sqrt(m2 / nullif(n, 0))) AS std_loss,
        last_loss,
        finite(CASE WHEN n_z > 0 THEN sum_z / (n_z + 5) END) AS hard,
        finite(CASE WHEN n_z > 0 THEN sqrt(m2_z / n_z) END) AS std_z,
        caption_mismatch,
        coalesce(caption, '') AS caption,
        caption_hash,
        count - n AS non_finite,
        n_paired,
        n_paired >= decisive_pairs() AS decided,
        error_of(n_paired, m2_mismatch) AS standard_error,
        rival_mismatch,
        n_rival,
        error_of(n_rival, m2_rival) AS rival_error,
        caption IS NOT NULL AND NOT is_reg AS checkable
    FROM mismatch
)
SELECT
    *,
    coalesce(hard >= 1, false)
    OR coalesce(decided AND caption_mismatch > 2 * standard_error, false) AS suspect
FROM figures
