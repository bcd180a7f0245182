-- Every item of two reports. Where the second goes on from the first ($continues), what is compared is the mean of the
-- records that came in between with the mean of those before: the second's own mean contains both.
--
-- Texts stay where they are, in the rows `before_row` and `after_row`: only few are shown, and to move all takes as long as the
-- rest. Two captions are told apart by hashes of 64 bits.
--
-- z = change / error, error = s * sqrt(1 / n_before + 1 / n_after), s being the standard deviation within items, pooled over the
-- dataset: few records say little about the spread of one item's losses. An s below $rounding of the losses is none: they
-- are equal.
WITH sides AS (
    SELECT
        coalesce(after.dataset, before.dataset) AS dataset,
        coalesce(after.path, before.path) AS path,
        coalesce(after.caption_hash <> before.caption_hash, false) AS is_recaptioned,
        before.rowid AS before_row,
        after.rowid AS after_row,
        before_row IS NOT NULL AS in_before,
        after_row IS NOT NULL AS in_after,
        before.n AS n_before,
        before.figure AS figure_before,
        before.m2 AS m2_before,
        $continues AND in_before AND in_after AND before.n > 0 AS is_part,
        CASE WHEN is_part THEN after.n - before.n ELSE after.n END AS n_after,
        CASE
            WHEN NOT (is_part AND $is_loss) THEN after.figure
            WHEN n_after > 0 THEN (after.n * after.figure - before.n * before.figure) / n_after
        END AS figure_after,
        CASE
            WHEN NOT is_part THEN after.m2
            WHEN n_after > 0
                THEN greatest(
                    after.m2 - before.m2 - (figure_after - figure_before) ** 2 * before.n * n_after / after.n, 0
                )
        END AS m2_after
    FROM (SELECT *, rowid, hash(caption) AS caption_hash FROM before) AS before
    FULL JOIN (SELECT *, rowid, hash(caption) AS caption_hash FROM after) AS after USING (dataset, path)
),

spread AS (
    SELECT
        dataset,
        sqrt(sum(m2_before + m2_after) / nullif(sum(n_before + n_after - 2), 0)) AS s,
        $rounding * avg(greatest(abs(figure_before), abs(figure_after))) AS least_s
    FROM sides
    WHERE n_before > 0 AND n_after > 0
    GROUP BY dataset
)

SELECT
    dataset,
    path,
    is_recaptioned,
    before_row,
    after_row,
    in_before,
    in_after,
    n_before,
    n_after,
    figure_before,
    figure_after,
    figure_after - figure_before AS change,
    CASE
        WHEN $is_loss AND n_before > 0 AND n_after > 0 AND s > least_s AND isfinite(s)
            THEN s * sqrt(1 / n_before + 1 / n_after)
    END AS error,
    change / error AS z,
    change <> 0 AND CASE WHEN NOT $is_loss OR s <= least_s THEN true ELSE coalesce(abs(z) > $clear, false) END AS is_clear
FROM sides
LEFT JOIN spread USING (dataset)
