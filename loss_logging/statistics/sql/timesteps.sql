-- The timesteps of the steps in ($after, $through], how many there are of each, and the lowest and highest of those, ascending.
-- They are rounded to 15 significant bits, so that very many make at most 16,384 rows for each power of two; whole numbers up to
-- 32,768 stay what they are.
WITH scaled AS (
    SELECT
        CASE WHEN abs(timestep) < 1e-290 THEN 0.0 ELSE timestep END AS timestep,
        2.0 ** (floor(log2(greatest(abs(timestep), 1e-290))) - 14) AS unit
    FROM samples
    WHERE timestep IS NOT NULL AND step > $after AND step <= $through
)
SELECT
    coalesce(finite(round(timestep / unit) * unit), timestep) AS rounded,
    count(*) AS n,
    min(timestep) AS lowest,
    max(timestep) AS highest
FROM scaled
GROUP BY rounded
ORDER BY rounded
