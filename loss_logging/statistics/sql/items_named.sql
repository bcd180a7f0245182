-- The items that are called so.
SELECT DISTINCT path FROM item_statistics WHERE list_contains($names, path) ORDER BY path
