-- Items with a caption, at most so many, the same ones whenever they are asked for; none where no record has a pair.
SELECT dataset, path, caption
FROM item_statistics
WHERE checkable AND trim(caption, E' \t\r\n') <> '' AND (SELECT max(n_paired) + max(n_rival) FROM item_statistics) > 0
ORDER BY hash(dataset, path)
LIMIT $most
