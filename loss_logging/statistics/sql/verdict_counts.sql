-- How many items of each dataset are in each bin, and in none.
SELECT
    dataset,
    count(*) FILTER (bin = 0),
    count(*) FILTER (bin = 1),
    count(*) FILTER (bin = 2),
    count(*) FILTER (bin IS NULL)
FROM judged
GROUP BY dataset
ORDER BY dataset
