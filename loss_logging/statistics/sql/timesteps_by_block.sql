-- How many timesteps there are in each block of steps in ($after, $through].
SELECT block, count(timestep) AS n
FROM samples
WHERE step > $after AND step <= $through
GROUP BY block
ORDER BY block
