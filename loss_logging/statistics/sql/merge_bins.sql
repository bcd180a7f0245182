SELECT dataset, loss_bin, sum(n)::BIGINT AS n
FROM (FROM closed_bins UNION ALL FROM new_bins)
GROUP BY dataset, loss_bin
