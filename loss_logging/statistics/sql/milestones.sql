-- The last step of each quadrupling of the number of records, and how many there are up to it.
SELECT max(step), max(n)::BIGINT
FROM (SELECT step, sum(count(*)) OVER (ORDER BY step) AS n FROM records GROUP BY step)
GROUP BY floor(log2(greatest(n / $first, 1)) / 2)
ORDER BY ALL
