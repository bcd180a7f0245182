-- The same for very many items: of values rounded to a multiple of 2^-16. caption_mismatch lies in [-2, 2], so that there are at
-- most 262,145 of them, whose counts add. The median is off by at most 2^-17, the median absolute deviation by 2^-16.
WITH
counted AS MATERIALIZED (
    SELECT dataset, round(caption_mismatch * 65536)::BIGINT AS place, count(*) AS n
    FROM item_statistics
    WHERE decided
    GROUP BY ALL
),
medians AS (
    SELECT dataset, min(place) AS place
    FROM (
        SELECT
            dataset,
            place,
            sum(n) OVER (PARTITION BY dataset ORDER BY place) AS through,
            sum(n) OVER (PARTITION BY dataset) AS total
        FROM counted
    )
    WHERE 2 * through >= total
    GROUP BY dataset
),
deviations AS (
    SELECT dataset, abs(counted.place - medians.place) AS deviation, sum(n) AS n
    FROM counted
    JOIN medians USING (dataset)
    GROUP BY ALL
),
spreads AS (
    SELECT dataset, min(deviation) AS deviation
    FROM (
        SELECT
            dataset,
            deviation,
            sum(n) OVER (PARTITION BY dataset ORDER BY deviation) AS through,
            sum(n) OVER (PARTITION BY dataset) AS total
        FROM deviations
    )
    WHERE 2 * through >= total
    GROUP BY dataset
)
SELECT dataset, place / 65536 AS middle, deviation / 65536 AS spread
FROM medians
JOIN spreads USING (dataset)
