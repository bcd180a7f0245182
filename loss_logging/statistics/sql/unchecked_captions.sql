-- Captions in ($after, $through] that the caption rules have not seen yet, each once; of those that fall in the part $part of
-- $parts. The hash stands in for the caption: 64 bits, so that two of ten million captions share one with a chance of about one
-- in 400,000. Without the casts, every hash is divided in 128 bits.
SELECT dataset, caption, caption_hash
FROM (
    SELECT DISTINCT dataset, caption, hash(dataset, caption) AS caption_hash
    FROM samples
    WHERE
        step > $after
        AND step <= $through
        AND NOT caption_dropped
        AND NOT is_reg
        AND hash(dataset, caption) % $parts::UBIGINT = $part::UBIGINT
)
ANTI JOIN checked_captions USING (caption_hash)
