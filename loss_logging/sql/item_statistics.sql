-- Every item's figures, as they stand in the JSON artifact.
--
-- hard = sum(z) / (n + 5): the 5 pulls items seen a few times towards zero.
-- caption_mismatch = sum(loss - loss_empty) / sum(loss_empty); its standard error is that of a ratio of sums by the delta
-- method (Cochran, "Sampling Techniques", 1977, section 6.4). Fewer than 4 paired records decide nothing about a caption.
--
-- suspect: the losses, too, say that something is wrong with the item; a flag on its caption is to be looked at first.
WITH
ratio AS (
    SELECT *, CASE WHEN sum_empty > 0 THEN sum_difference / sum_empty END AS caption_mismatch FROM items
),
figures AS (
    SELECT
        dataset,
        path,
        count,
        mean AS average_loss,
        lowest AS min_loss,
        highest AS max_loss,
        sqrt(m2 / nullif(n, 0)) AS std_loss,
        last_loss,
        CASE WHEN n_z > 0 THEN sum_z / (n_z + 5) END AS hard,
        finite(CASE WHEN n_z > 0 THEN sqrt(m2_z / n_z) END) AS std_z,
        caption_mismatch,
        coalesce(caption, '') AS caption,
        count - n AS non_finite,
        n_paired,
        coalesce(n_paired >= 4 AND isfinite(caption_mismatch), false) AS decided,
        finite(CASE
            WHEN n_paired > 1 THEN sqrt(
                greatest(
                    sum_difference2 - 2 * caption_mismatch * sum_product + caption_mismatch ** 2 * sum_empty2, 0
                ) * n_paired / (n_paired - 1)
            ) / sum_empty
        END) AS standard_error,
        caption IS NOT NULL AND NOT is_reg AS checkable
    FROM ratio
)
SELECT
    *,
    coalesce(isfinite(hard) AND hard >= 1, false)
    OR coalesce(decided AND caption_mismatch > 2 * standard_error, false) AS suspect
FROM figures
