-- Captions of items that the caption rules have not seen yet, each once, of one part of them; see unchecked_captions.sql.
SELECT DISTINCT dataset, caption, caption_hash
FROM (SELECT dataset, caption, hash(dataset, caption) AS caption_hash FROM item_statistics WHERE checkable)
ANTI JOIN checked_captions USING (caption_hash)
WHERE caption_hash % $parts::UBIGINT = $part::UBIGINT
