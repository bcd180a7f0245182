-- The last step, a step with at most an eighth of its records, one with an eighth of those, and so on, down to $first records; and
-- how many records there are up to each. They are counted from the end: the largest of them costs most.
WITH steps AS (SELECT step, sum(count(*)) OVER (ORDER BY step) AS n FROM records GROUP BY step)
SELECT max(step), max(n)::BIGINT
FROM steps
GROUP BY floor(log2((SELECT max(n) FROM steps) / greatest(n, $first)) / 3)
ORDER BY ALL
