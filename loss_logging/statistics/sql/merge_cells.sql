-- Cells of two disjoint sets of records as those of their union: Chan, Golub and LeVeque, "Updating formulae and a pairwise
-- algorithm for computing sample variances" (1979).
SELECT
    dataset,
    timestep_bin,
    coalesce(a.count, 0) + coalesce(b.count, 0) AS count,
    coalesce(a.n, 0) + coalesce(b.n, 0) AS n,
    merged_mean(a.n, a.mean, b.n, b.mean) AS mean,
    merged_m2(a.n, a.mean, a.m2, b.n, b.mean, b.m2) AS m2,
    least(a.lowest, b.lowest) AS lowest,
    greatest(a.highest, b.highest) AS highest,
    coalesce(a.outside_bins, 0) + coalesce(b.outside_bins, 0) AS outside_bins
FROM closed_cells AS a
FULL JOIN new_cells AS b USING (dataset, timestep_bin)
