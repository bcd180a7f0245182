-- What every other query reads: the records, with a bin on the timestep axis (0 to 19, -1 without a timestep), a bin on
-- the logarithm of the loss, and the block of steps that `hard` standardises in. A loss that is not finite is NULL here: it
-- counts as a record and enters nothing else. Variable: block_steps; macro: timestep_bin.
--
-- Loss bins: 64 to the octave, so at most 1.1% wide; bin 0 is a loss of exactly zero, negative losses mirror the positive
-- ones. 70000 keeps the smallest float64 (2^-1074) above zero.
CREATE OR REPLACE VIEW all_samples AS
SELECT
    step,
    path,
    dataset,
    caption,
    finite_loss AS loss,
    timestep,
    CASE WHEN timestep IS NULL THEN -1 ELSE timestep_bin(timestep) END::TINYINT AS timestep_bin,
    CASE
        WHEN finite_loss > 0 THEN 70000 + floor(64 * log2(finite_loss))
        WHEN finite_loss < 0 THEN -70000 - floor(64 * log2(-finite_loss))
        WHEN finite_loss = 0 THEN 0
    END::INTEGER AS loss_bin,
    CASE WHEN finite_loss IS NOT NULL THEN loss_empty END AS loss_empty,
    CASE WHEN finite_loss IS NOT NULL THEN loss_rival END AS loss_rival,
    rival,
    ((step + getvariable('block_steps') - 1) // getvariable('block_steps'))::BIGINT AS block,
    is_reg,
    caption_dropped
FROM (SELECT *, CASE WHEN isfinite(loss) THEN loss END AS finite_loss FROM records);
