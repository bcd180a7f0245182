-- The folders of all items.
SELECT DISTINCT regexp_replace(path, '[^/]*$', '') AS folder FROM item_statistics
