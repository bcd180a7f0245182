-- One row of figures per dataset, and one with dataset NULL over all of them, from the cells.
WITH
part AS (
    SELECT dataset, count, n, mean, m2, lowest, highest FROM cells
    UNION ALL
    SELECT NULL, count, n, mean, m2, lowest, highest FROM cells
),
total AS (
    SELECT
        dataset,
        sum(count)::BIGINT AS count,
        sum(n)::BIGINT AS n,
        sum(n * mean) / nullif(sum(n), 0) AS mean,
        min(lowest) AS lowest,
        max(highest) AS highest
    FROM part
    GROUP BY dataset
)
SELECT
    total.dataset,
    any_value(total.count) AS count,
    any_value(total.n) AS n,
    any_value(total.mean) AS mean,
    any_value(total.lowest) AS lowest,
    any_value(total.highest) AS highest,
    sqrt(sum(part.m2 + part.n * (part.mean - total.mean) ** 2) / nullif(any_value(total.n), 0)) AS std
FROM total
JOIN part ON part.dataset IS NOT DISTINCT FROM total.dataset
GROUP BY total.dataset
ORDER BY total.dataset NULLS FIRST
