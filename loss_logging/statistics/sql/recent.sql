-- Mean finite loss per dataset over each window of $every steps in ($after, $through]; the last window ends at $through.
SELECT least((step + $every - 1) // $every * $every, $through)::BIGINT AS step, dataset, avg(loss) AS mean
FROM samples
WHERE loss IS NOT NULL AND step > $after AND step <= $through
GROUP BY ALL
HAVING isfinite(avg(loss))  -- losses near 1e308 overflow on the way
ORDER BY ALL
