-- The folders of the items whose caption a rule objects to.
SELECT DISTINCT regexp_replace(i.path, '[^/]*$', '') AS folder
FROM item_statistics AS i
LEFT JOIN flagged_captions AS alone USING (dataset, caption)
LEFT JOIN flagged_items AS beside USING (dataset, path)
WHERE checkable AND (alone.verdict IS NOT NULL OR beside.verdict IS NOT NULL)
