-- Captions of items that the caption rules have not seen yet, each once, of one part of them; see unchecked_captions.sql.
SELECT DISTINCT dataset, caption, caption_hash
FROM item_statistics
ANTI JOIN checked_captions USING (caption_hash)
WHERE checkable AND caption_hash % $parts::UBIGINT = $part::UBIGINT
