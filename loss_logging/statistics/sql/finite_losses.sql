-- The finite losses up to $through, each with the place of its dataset among the sorted names of all; of some datasets, or of all
-- where $datasets is NULL.
SELECT place, loss
FROM samples
JOIN (SELECT dataset, row_number() OVER (ORDER BY dataset) - 1 AS place FROM (SELECT DISTINCT dataset FROM cells))
    USING (dataset)
WHERE loss IS NOT NULL AND step <= $through AND ($datasets IS NULL OR list_contains($datasets, dataset))
