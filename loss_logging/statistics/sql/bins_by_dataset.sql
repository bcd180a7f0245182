-- Fine bins per dataset and (dataset NULL) over all, ascending.
SELECT dataset, loss_bin, sum(n)::BIGINT AS n
FROM bins
GROUP BY GROUPING SETS ((dataset, loss_bin), (loss_bin))
ORDER BY dataset, loss_bin
