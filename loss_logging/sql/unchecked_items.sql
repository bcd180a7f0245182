-- Captions of items that the caption rules have not seen yet, each once; see unchecked_captions.sql.
SELECT DISTINCT dataset, caption, hash(dataset, caption) AS caption_hash
FROM item_statistics
WHERE checkable AND hash(dataset, caption) NOT IN (SELECT caption_hash FROM checked_captions)
