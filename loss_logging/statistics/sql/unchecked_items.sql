-- Captions of items that the caption rules have not seen yet, each once, of one part of them; see unchecked_captions.sql.
SELECT dataset, caption, caption_hash
FROM (
    SELECT DISTINCT dataset, caption, hash(dataset, caption) AS caption_hash
    FROM item_statistics
    WHERE checkable AND hash(dataset, caption) % $parts = $part
)
ANTI JOIN checked_captions USING (caption_hash)
