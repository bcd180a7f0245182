-- How many timesteps lie outside the bins, and how many there are.
SELECT
    coalesce(sum(outside_bins), 0)::BIGINT AS outside,
    coalesce(sum(count) FILTER (timestep_bin >= 0), 0)::BIGINT AS known
FROM cells
