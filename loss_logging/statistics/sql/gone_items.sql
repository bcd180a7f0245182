-- What was compared and is no item's caption any more.
SELECT number
FROM compared_items
WHERE item_hash NOT IN (SELECT hash(dataset, path, caption) FROM item_statistics WHERE checkable)
