-- NULL for a figure that overflowed: losses near 1e308 are finite, the sum of two is not.
CREATE OR REPLACE MACRO finite(value) AS CASE WHEN isfinite(value) THEN value END;
-- A standard deviation, or NULL where there is none to speak of: it overflowed, or is what a sum of values of this mean that are
-- equal rounds to.
CREATE OR REPLACE MACRO spread_of(std, mean) AS CASE WHEN isfinite(std) AND std > 1e-9 * abs(mean) THEN std END;
-- How far a value lies from the middle of its dataset, in standard deviations that outliers do not inflate: the modified
-- z-score of Iglewicz and Hoaglin, "How to Detect and Handle Outliers" (1993); 1.4826 * MAD estimates the standard deviation
-- of normal values. A spread below 1e-9 is rounding: the values are equal, and none is far from the others.
CREATE OR REPLACE MACRO robust_z(value, middle, spread) AS
    finite(CASE WHEN spread > 1e-9 THEN (value - middle) / (1.4826 * spread) END);
-- The standard error of the mean of n values, of which m2 is the sum of squared deviations.
CREATE OR REPLACE MACRO error_of(n, m2) AS
    CASE WHEN n > 1 THEN coalesce(spread_of(sqrt(greatest(m2, 0) / (n - 1)), 1), 0) / sqrt(n) END;
-- How much higher one loss is than another, relative to both; NULL where there is none, one is negative or both are zero.
CREATE OR REPLACE MACRO mismatch_of(loss, other) AS
    CASE WHEN isfinite(other) AND least(loss, other) >= 0 AND loss / 2 + other / 2 > 0 THEN (loss - other) / (loss / 2 + other / 2) END;
-- Mean and sum of squared deviations of two disjoint sets, either of which may be missing (NULL) or empty.
CREATE OR REPLACE TEMP MACRO merged_mean(n_a, mean_a, n_b, mean_b) AS
    CASE
        WHEN coalesce(n_a, 0) = 0 THEN mean_b
        WHEN coalesce(n_b, 0) = 0 THEN mean_a
        ELSE mean_a + (mean_b - mean_a) * n_b / (n_a + n_b)
    END;
CREATE OR REPLACE TEMP MACRO merged_m2(n_a, mean_a, m2_a, n_b, mean_b, m2_b) AS
    CASE
        WHEN coalesce(n_a, 0) = 0 THEN m2_b
        WHEN coalesce(n_b, 0) = 0 THEN m2_a
        ELSE m2_a + m2_b + (mean_b - mean_a) ** 2 * n_a * n_b / (n_a + n_b)
    END;
-- The words of a caption in no order: trainers shuffle tags.
CREATE OR REPLACE MACRO words_of(caption) AS list_sort(list_distinct(regexp_split_to_array(lower(trim(caption)), '[\s,.;]+')));
