-- How many items of each dataset are in each bin, and in none; nothing where no record has a pair and no picture was compared.
SELECT
    dataset,
    count(*) FILTER (bin = 0),
    count(*) FILTER (bin = 1),
    count(*) FILTER (bin = 2),
    count(*) FILTER (bin IS NULL)
FROM judged
WHERE (SELECT max(n_paired) > 0 OR max(bin) IS NOT NULL FROM judged)
GROUP BY dataset
ORDER BY dataset
