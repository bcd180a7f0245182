-- How many finite losses fall in each bin, per dataset, over the steps in ($after, $through].
SELECT dataset, loss_bin, count(*) AS n
FROM samples
WHERE loss IS NOT NULL AND step > $after AND step <= $through
GROUP BY dataset, loss_bin
