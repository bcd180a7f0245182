-- Items with a caption, at most so many, the same ones whenever they are asked for.
SELECT dataset, path, caption
FROM item_statistics
WHERE checkable AND trim(caption, E' \t\r\n') <> ''
ORDER BY hash(dataset, path)
LIMIT $most
