-- Items whose caption, as it is now, was not compared with the others yet; as many as there is room for.
SELECT dataset, path, caption, hash(dataset, path, caption) AS item_hash
FROM item_statistics
WHERE checkable AND hash(dataset, path, caption) NOT IN (SELECT item_hash FROM compared_items)
ORDER BY dataset, path
LIMIT $room
